package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/backend"
	"strait/client"
	"strait/examples/arena/game"
	"strait/examples/internal/edge"
	"strait/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs an arena behind a gateway, until the test ends.
func start(t *testing.T) *edge.Gateway {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	log := slog.New(slog.DiscardHandler)
	served := make(chan error, 1)
	go func() { served <- serve(ctx, l, newArena(game.NewWorld(5), log), log) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-served)
	})
	return edge.Start(t, "link://"+l.Addr().String())
}

// guest is a player whose messages a test sends and receives by hand.
type guest struct {
	t      *testing.T
	client *client.Client
	id     game.ID
	names  map[game.ID]string
}

func connect(t *testing.T, g *edge.Gateway) *guest {
	return &guest{t: t, client: g.Dial(t), names: make(map[game.ID]string)}
}

func join(t *testing.T, g *edge.Gateway, name string) *guest {
	t.Helper()
	p := connect(t, g)
	welcome := awaits(p, func(game.Welcome) bool { return true })
	require.Equal(t, *game.NewWorld(0).Grid(), welcome.Grid)
	p.send(client.Reliable, game.Control, game.Enter{Name: name})
	p.id = awaits(p, func(game.You) bool { return true }).Player
	require.Equal(t, name, p.names[p.id])
	return p
}

func (p *guest) send(d transport.Delivery, channel uint8, m game.Message) {
	p.t.Helper()
	require.NoError(p.t, p.client.Send(p.t.Context(), d, channel, m.Append(nil)))
}

// awaits receives until a message is as it should be, and checks the others.
func awaits[M game.Message](p *guest, ok func(M) bool) M {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), edge.Patience)
	defer cancel()
	for {
		m, err := p.client.Receive(ctx)
		require.NoError(p.t, err)
		msg, err := game.ParseFromArena(m.Payload)
		require.NoError(p.t, err)
		_, unreliable := msg.(*game.Snapshot)
		require.Equal(p.t, unreliable, m.Delivery == client.Unreliable)
		require.Equal(p.t, unreliable, m.Channel == game.State)
		switch msg := msg.(type) {
		case game.Joined:
			p.names[msg.Player] = msg.Name
		case game.Gone:
			delete(p.names, msg.Player)
		}
		if msg, is := msg.(M); is && ok(msg) {
			return msg
		}
	}
}

func TestPlayersSeeAndHearEachOther(t *testing.T) {
	g := start(t)
	ada := join(t, g, "Ada")
	bob := join(t, g, "Bob")
	awaits(ada, func(m game.Joined) bool { return m == game.Joined{Player: bob.id, Name: "Bob"} })
	require.Equal(t, map[game.ID]string{ada.id: "Ada", bob.id: "Bob"}, bob.names)

	for _, p := range []*guest{ada, bob} {
		awaits(p, func(s *game.Snapshot) bool { return s.Player(ada.id) != nil && s.Player(bob.id) != nil })
	}
	ada.send(client.Unreliable, game.State, game.Input{Number: 41, Direction: game.Down})
	awaits(bob, func(s *game.Snapshot) bool { return s.Player(ada.id).Input == 41 })

	bob.send(client.Reliable, game.Control, game.Say{Text: "hello"})
	for _, p := range []*guest{ada, bob} {
		awaits(p, func(m game.Said) bool { return m == game.Said{Player: bob.id, Text: "hello"} })
	}

	require.NoError(t, bob.client.Close())
	awaits(ada, func(m game.Gone) bool { return m.Player == bob.id })
	awaits(ada, func(s *game.Snapshot) bool { return s.Player(bob.id) == nil })
}

func TestSnapshotsComeAtTheRateOfTheWorld(t *testing.T) {
	p := join(t, start(t), "Ada")
	first := awaits(p, func(*game.Snapshot) bool { return true })
	began := time.Now()
	last := awaits(p, func(s *game.Snapshot) bool { return s.Step >= first.Step+game.StepsPerSecond })
	took := time.Since(began)
	// A loaded machine may be late, but no world runs ahead of its clock.
	assert.Greater(t, took, 900*time.Millisecond, "%d steps in %v", last.Step-first.Step, took)
}

func TestEnteringTwiceIsHearingAgainWhoIsThere(t *testing.T) {
	p := join(t, start(t), "Ada")
	p.names = make(map[game.ID]string)
	p.send(client.Reliable, game.Control, game.Enter{Name: "Eve"})
	assert.Equal(t, p.id, awaits(p, func(game.You) bool { return true }).Player)
	assert.Equal(t, map[game.ID]string{p.id: "Ada"}, p.names)
}

func TestWhoHasNotEnteredCannotPlay(t *testing.T) {
	g := start(t)
	ada := join(t, g, "Ada")
	eve := connect(t, g)
	eve.send(client.Unreliable, game.State, game.Input{Number: 1})
	eve.send(client.Reliable, game.Control, game.Say{Text: "boo"})
	eve.send(client.Reliable, game.Control, game.Enter{Name: "Eve"})
	awaits(ada, func(m game.Joined) bool { return m.Name == "Eve" })
	eve.send(client.Reliable, game.Control, game.Say{Text: "hi"})
	assert.Equal(t, "hi", awaits(ada, func(game.Said) bool { return true }).Text, "what came before Enter was not said")
}

// paper counts what is published reliably.
type paper struct{ said int }

func (p *paper) Publish(_, _ string, d backend.Delivery, _ uint8, _ []byte, _ ...*backend.Session) error {
	if d == backend.Reliable {
		p.said++
	}
	return nil
}

func TestChatIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, published := newArena(game.NewWorld(5), slog.New(slog.DiscardHandler)), new(paper)
		a.publisher = published
		s := new(backend.Session)
		a.admit(s, "Ada")
		for range 50 {
			a.say(s, "me first")
		}
		assert.Equal(t, 1, published.said)
		time.Sleep(chatEvery - 1)
		a.say(s, "too soon")
		assert.Equal(t, 1, published.said)
		time.Sleep(time.Nanosecond)
		a.say(s, "in time")
		assert.Equal(t, 2, published.said)
	})
}

func TestNonsenseEndsTheSession(t *testing.T) {
	p := connect(t, start(t))
	require.NoError(t, p.client.Send(t.Context(), client.Reliable, game.Control, []byte{250}))
	<-p.client.Done()
	assert.ErrorIs(t, p.client.Err(), transport.ProtocolError)
}

func TestAFullArenaRefuses(t *testing.T) {
	g := start(t)
	for i := range game.MaxPlayers {
		join(t, g, fmt.Sprint(i))
	}
	p := connect(t, g)
	p.send(client.Reliable, game.Control, game.Enter{Name: "late"})
	<-p.client.Done()
	assert.ErrorIs(t, p.client.Err(), transport.Overloaded)
}

func TestBadAddressesAreRefused(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for _, url := range []string{"", "127.0.0.1", "grpc://127.0.0.1:9000"} {
		assert.Error(t, run(t.Context(), url, 1, log), url)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.NoError(t, run(ctx, "link://127.0.0.1:0", 1, slog.New(slog.DiscardHandler)))
}
