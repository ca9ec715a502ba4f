package upstreamtest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/transport"
	"strait/upstream"
)

// Player is a session as game logic sees it, whatever the driver.
type Player interface {
	Announced() upstream.Announcement
	Send(d transport.Delivery, channel uint8, payload []byte)
	Close(code transport.Code, reason string)
	Join(group string)
	Leave(group string)
}

// Logic is the game logic that the suite brings; nil functions ignore what they
// would be called for. They are called by the driver's game logic, one call at a
// time for one player.
type Logic struct {
	Opened  func(p Player)
	Message func(p Player, m Received)
	Closed  func(p Player, code transport.Code, reason string)
	Link    func(p Player, kind transport.Kind, rtt time.Duration)
}

// Publish sends to a group by means of the game logic.
type Publish func(route, group string, m Received, except ...Player)

// Driver makes a driver that serves l, attaches it to g, and returns when it is
// ready. What it starts ends with the test.
type Driver func(t *testing.T, g *Gateway, l Logic) (upstream.Driver, Publish)

// Run holds a driver to the contract of package upstream.
func Run(t *testing.T, start Driver) {
	for name, test := range map[string]func(*testing.T, Driver){
		"Announcement":   announcement,
		"Order":          order,
		"Delivery":       delivery,
		"Batches":        batches,
		"Groups":         groups,
		"CloseByLogic":   closeByLogic,
		"CloseByPlayer":  closeByPlayer,
		"RefusedPayload": refusedPayload,
		"Link":           link,
		"Barrier":        barrier,
		"Close":          closed,
	} {
		t.Run(name, func(t *testing.T) {
			// Registered first, so that it looks last.
			t.Cleanup(func() { goleak.VerifyNone(t) })
			test(t, start)
		})
	}
}

func echo(p Player, m Received) { p.Send(m.Delivery, m.Channel, []byte(m.Payload)) }

func announcement(t *testing.T, start Driver) {
	g := NewGateway(t, 0)
	opened := make(chan upstream.Announcement, 1)
	start(t, g, Logic{Opened: func(p Player) { opened <- p.Announced() }})
	want := upstream.Announcement{
		ID:        transport.ID{1, 2, 3, 15: 16},
		Subject:   "player one",
		Claims:    map[string]string{"guild": "north", "level": "7"},
		Transport: transport.KindTCPUDP,
		Route:     "",
	}
	s := g.Open(want)
	want.Remote = s.Announcement().Remote
	assert.Equal(t, want, receive(t, opened))
}

func order(t *testing.T, start Driver) {
	g := NewGateway(t, 4)
	start(t, g, Logic{Message: echo})
	const players, messages = 16, 300
	var ready sync.WaitGroup
	for range players {
		s := g.Open(upstream.Announcement{})
		ready.Go(func() {
			for i := range messages {
				s.Say(transport.Reliable, uint8(i%3), fmt.Sprintf("%d/%d", s.Handle(), i))
			}
			for i := range messages {
				want := Received{transport.Reliable, uint8(i % 3), fmt.Sprintf("%d/%d", s.Handle(), i)}
				if got := s.Next(); !assert.Equal(t, want, got) {
					return
				}
			}
		})
	}
	ready.Wait()
}

func delivery(t *testing.T, start Driver) {
	g := NewGateway(t, 0)
	start(t, g, Logic{Message: echo})
	s := g.Open(upstream.Announcement{})
	for _, m := range []Received{
		{transport.Reliable, 0, "a"},
		{transport.Unreliable, 0, "b"},
		{transport.Reliable, 255, ""},
		{transport.Unreliable, 255, ""},
		{transport.Unreliable, 7, strings.Repeat("u", MaxUnreliable)},
		{transport.Reliable, 7, strings.Repeat("r", MaxReliable)},
	} {
		s.Say(m.Delivery, m.Channel, m.Payload)
		require.Equal(t, m, s.Next())
	}
}

func batches(t *testing.T, start Driver) {
	g := NewGateway(t, 0)
	start(t, g, Logic{Message: func(p Player, m Received) {
		p.Send(transport.Unreliable, 0, make([]byte, MaxUnreliable+1)) // refused: an error inside of a batch
		echo(p, m)
	}})
	s := g.Open(upstream.Announcement{})
	for range 10 {
		s.SayReliable("x")
		s.Expect("x")
	}
	s.Leave()
	require.Zero(t, g.Unbatched(), "flushes outside of a batch of commands")
}

func groups(t *testing.T, start Driver) {
	g := NewGateway(t, 0)
	var mu sync.Mutex
	players := make(map[string]Player)
	_, publish := start(t, g, Logic{Message: func(p Player, m Received) {
		mu.Lock()
		players[p.Announced().Subject] = p
		mu.Unlock()
		switch m.Payload {
		case "join":
			p.Join("room")
		case "leave":
			p.Leave("room")
		}
		echo(p, m)
	}})
	a, b, c := g.Open(upstream.Announcement{Subject: "a"}), g.Open(upstream.Announcement{Subject: "b"}), g.Open(upstream.Announcement{Subject: "c"})
	for _, s := range []*Session{a, b, c} {
		s.SayReliable("join")
		s.Expect("join")
	}
	require.Equal(t, []uint64{a.Handle(), b.Handle(), c.Handle()}, g.Members("", "room"))

	publish("", "room", Received{transport.Reliable, 0, "to all"})
	for _, s := range []*Session{a, b, c} {
		s.Expect("to all")
	}
	mu.Lock()
	but := players["b"]
	mu.Unlock()
	publish("", "room", Received{transport.Unreliable, 9, "but b"}, but)
	for _, s := range []*Session{a, c} {
		require.Equal(t, Received{transport.Unreliable, 9, "but b"}, s.Next())
	}
	c.SayReliable("leave")
	c.Expect("leave")
	publish("", "room", Received{transport.Reliable, 0, "without c"})
	a.Expect("without c")
	b.Expect("without c")
	require.Zero(t, c.Unread())
}

type ending struct {
	subject string
	code    transport.Code
	reason  string
}

func closeByLogic(t *testing.T, start Driver) {
	g := NewGateway(t, 0)
	closed := make(chan ending, 1)
	start(t, g, Logic{
		Message: func(p Player, _ Received) {
			p.Send(transport.Reliable, 0, []byte("last words"))
			p.Close(transport.Kicked, "cheater")
		},
		Closed: func(p Player, code transport.Code, reason string) {
			closed <- ending{p.Announced().Subject, code, reason}
		},
	})
	s := g.Open(upstream.Announcement{Subject: "a"})
	s.SayReliable("hello")
	s.Expect("last words")
	require.Equal(t, transport.Reason{Code: transport.Kicked, Text: "cheater"}, s.Ended())
	require.Equal(t, ending{"a", transport.Kicked, "cheater"}, receive(t, closed))
}

func closeByPlayer(t *testing.T, start Driver) {
	g := NewGateway(t, 0)
	var mu sync.Mutex
	var seen []string
	note := func(what string) {
		mu.Lock()
		seen = append(seen, what)
		mu.Unlock()
	}
	closed := make(chan ending, 1)
	d, _ := start(t, g, Logic{
		Opened:  func(Player) { note("opened") },
		Message: func(_ Player, m Received) { note(m.Payload) },
		Closed: func(p Player, code transport.Code, reason string) {
			note("closed")
			p.Send(transport.Reliable, 0, []byte("to nobody"))
			closed <- ending{p.Announced().Subject, code, reason}
		},
	})
	s := g.Open(upstream.Announcement{Subject: "a"})
	s.SayReliable("one")
	s.SayReliable("two")
	s.Leave()
	require.Equal(t, ending{"a", transport.Normal, ""}, receive(t, closed))
	require.Equal(t, []string{"opened", "one", "two", "closed"}, seen)
	require.NoError(t, d.Barrier(t.Context()))
	require.Zero(t, s.Unread())
}

func refusedPayload(t *testing.T, start Driver) {
	g := NewGateway(t, 0)
	start(t, g, Logic{Message: func(p Player, m Received) {
		p.Send(transport.Unreliable, 0, make([]byte, MaxUnreliable+1))
		p.Send(transport.Reliable, 0, make([]byte, MaxReliable+1))
		echo(p, m)
	}})
	s := g.Open(upstream.Announcement{})
	s.SayReliable("still there")
	s.Expect("still there")
	g.AwaitDrops(upstream.DropTooLarge, 2)
	require.True(t, s.IsOpen())
}

func link(t *testing.T, start Driver) {
	type change struct {
		kind transport.Kind
		rtt  time.Duration
	}
	g := NewGateway(t, 0)
	changes := make(chan change, 1)
	start(t, g, Logic{Link: func(_ Player, kind transport.Kind, rtt time.Duration) { changes <- change{kind, rtt} }})
	s := g.Open(upstream.Announcement{})
	s.SetLink(transport.Info{
		Kind: transport.KindQUIC, Remote: s.Announcement().Remote, Path: transport.Path{RTT: 42 * time.Millisecond},
	})
	require.Equal(t, change{transport.KindQUIC, 42 * time.Millisecond}, receive(t, changes))
}

func barrier(t *testing.T, start Driver) {
	g := NewGateway(t, 0)
	d, _ := start(t, g, Logic{Message: echo})
	const players, messages = 8, 100
	var sessions []*Session
	for range players {
		sessions = append(sessions, g.Open(upstream.Announcement{}))
	}
	for range 5 {
		for _, s := range sessions {
			for range messages {
				s.SayReliable("x")
			}
		}
		g.Settle()
		ctx, cancel := context.WithTimeout(t.Context(), Patience)
		require.NoError(t, d.Barrier(ctx))
		cancel()
		for _, s := range sessions {
			require.Equal(t, messages, s.Unread(), "replies that the barrier did not wait for")
			for range messages {
				s.Next()
			}
		}
	}
}

func closed(t *testing.T, start Driver) {
	g := NewGateway(t, 0)
	d, _ := start(t, g, Logic{Message: echo})
	s := g.Open(upstream.Announcement{})
	s.SayReliable("x")
	s.Expect("x")
	ok, why := d.Ready()
	require.True(t, ok, why)
	require.NoError(t, d.Close())
	require.NoError(t, d.Close())
	ok, why = d.Ready()
	require.False(t, ok)
	require.NotEmpty(t, why)
	s.SayReliable("too late")
	late := g.Open(upstream.Announcement{})
	late.SayReliable("too late")
	late.Leave()
	g.AwaitDrops(upstream.DropShutdown, 2)
}

func receive[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case v := <-ch:
		return v
	case <-timer.C:
		require.FailNow(t, "game logic was not called")
		panic("unreachable")
	}
}
