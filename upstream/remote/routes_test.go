package remote_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"strait/proto/batch"
	"strait/upstream"
	"strait/upstream/remote"
	"strait/upstream/upstreamtest"
)

// serving makes a backend of some routes.
func serving(routes ...string) *logic {
	l := newLogic()
	l.routes = routes
	return l
}

func TestRoutesGoToWhoServesThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		lobby, arena := n.up("10.0.0.1:1", serving("lobby", "")), n.up("10.0.0.2:1", serving("arena"))
		p := start(t, g, n, remote.Config{}, "10.0.0.1:1", "10.0.0.2:1")
		lobby.connected(t, 2)
		arena.connected(t, 2)
		synctest.Wait()
		for range 20 {
			l, a := g.Open(upstream.Announcement{Route: "lobby"}), g.Open(upstream.Announcement{Route: "arena"})
			none := g.Open(upstream.Announcement{})
			require.Equal(t, []seen{{"opened", l.Handle(), "lobby"}}, lobby.await(t, l.Handle(), 1))
			require.Equal(t, []seen{{"opened", a.Handle(), "arena"}}, arena.await(t, a.Handle(), 1))
			lobby.await(t, none.Handle(), 1)
		}
		nobody := g.Open(upstream.Announcement{Route: "market"})
		g.Settle()
		require.Equal(t, 1, p.Status().Waiting)
		require.True(t, nobody.IsOpen())
	})
}

func TestOneRouteIsOnOneBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		a, b := n.up("10.0.0.1:1", newLogic()), n.up("10.0.0.2:1", newLogic())
		start(t, g, n, remote.Config{}, "10.0.0.1:1", "10.0.0.2:1")
		a.connected(t, 2)
		b.connected(t, 2)
		synctest.Wait()
		used := make(map[bool]bool)
		for _, route := range []string{"r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8"} {
			before := []int{len(a.log(0)), len(b.log(0))}
			for range 10 {
				g.Open(upstream.Announcement{Route: route})
			}
			g.Settle()
			synctest.Wait()
			onA, onB := len(a.log(0))-before[0], len(b.log(0))-before[1]
			require.Equal(t, 10, onA+onB)
			require.Equal(t, 10, max(onA, onB), "route %s was split", route)
			used[onA == 10] = true
		}
		require.Len(t, used, 2, "all routes on one backend")
	})
}

func TestSessionsGivenAwayTooEarlyAreHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		late := serving("lobby")
		late.late = true
		n.up("10.0.0.1:1", late)
		start(t, g, n, remote.Config{}, "10.0.0.1:1", "10.0.0.2:1")
		late.connected(t, 2)
		// Only the lobby can be reached, and has not said that it is one.
		s := g.Open(upstream.Announcement{Route: "arena"})
		late.await(t, s.Handle(), 1)
		s.SayReliable("to the wrong one")
		s.Expect("to the wrong one")
		arena := n.up("10.0.0.2:1", serving("arena"))
		arena.connected(t, 2)
		synctest.Wait()
		late.holder(t, s.Handle()).greet(false)
		require.Equal(t, []seen{{"opened", s.Handle(), "arena"}}, arena.await(t, s.Handle(), 1))
		require.Equal(t, seen{"closed", s.Handle(), "moved"}, late.await(t, s.Handle(), 3)[2])
		s.SayReliable("to the right one")
		s.Expect("to the right one")
	})
}

func TestDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		a, b := n.up("10.0.0.1:1", newLogic()), n.up("10.0.0.2:1", newLogic())
		p := start(t, g, n, remote.Config{}, "10.0.0.1:1", "10.0.0.2:1")
		a.connected(t, 2)
		b.connected(t, 2)
		synctest.Wait()
		ss := spread(t, g, a, b)
		drain := func(l *logic, on bool) {
			for _, c := range l.connected(t, 2) {
				c.greet(on)
			}
			synctest.Wait()
		}
		drain(a, true)
		had := len(a.log(0))
		for range 20 {
			g.Open(upstream.Announcement{})
		}
		g.Settle()
		synctest.Wait()
		require.Len(t, a.log(0), had)
		require.Equal(t, "draining", p.Status().Streams[0].State)
		ss[0].SayReliable("still here")
		ss[0].Expect("still here")

		// The last one that takes new sessions goes: those of before may stay with
		// whom they are, the others wait.
		drain(b, true)
		ok, why := p.Ready()
		require.False(t, ok)
		require.Contains(t, why, "draining")
		waits := g.Open(upstream.Announcement{})
		g.Settle()
		require.Equal(t, 1, p.Status().Waiting)
		drain(a, false)
		a.await(t, waits.Handle(), 1)

		// A stream of a draining backend is lost: its other one keeps the sessions.
		drain(a, true)
		_ = b.holder(t, ss[1].Handle()).Close()
		synctest.Wait()
		require.Equal(t, seen{"again", ss[1].Handle(), ""}, b.await(t, ss[1].Handle(), 2)[1])
	})
}

func TestMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		lobby, arena := n.up("10.0.0.1:1", serving("lobby")), n.up("10.0.0.2:1", serving("arena"))
		start(t, g, n, remote.Config{Streams: 1}, "10.0.0.1:1", "10.0.0.2:1")
		l := lobby.connected(t, 1)[0]
		a := arena.connected(t, 1)[0]
		synctest.Wait()
		s := g.Open(upstream.Announcement{Route: "lobby"})
		h := s.Handle()
		lobby.await(t, h, 1)
		l.say(batch.AppendJoin(nil, "room", []uint64{h}))
		synctest.Wait()
		require.Equal(t, []uint64{h}, g.Members("lobby", "room"))

		l.say(batch.AppendMove(nil, h, "market"))
		g.AwaitDrops(upstream.DropNoRoute, 1)
		l.say(batch.AppendMove(nil, h, "lobby")) // it is there
		synctest.Wait()
		require.Len(t, lobby.log(h), 1)
		require.Equal(t, []uint64{h}, g.Members("lobby", "room"))

		s.SayReliable("before")
		s.Expect("before")
		// What comes after the move is not from the session's stream any more.
		l.say(batch.AppendSendOne(batch.AppendMove(nil, h, "arena"), h, 0, false, []byte("too late")))
		g.AwaitDrops(upstream.DropNotCurrent, 1)
		require.Equal(t, []seen{{"opened", h, "arena"}}, arena.await(t, h, 1))
		require.Equal(t, []seen{
			{"opened", h, "lobby"}, {"message", h, "before"}, {"closed", h, "moved"},
		}, lobby.await(t, h, 3))
		require.Empty(t, g.Members("lobby", "room"))
		s.SayReliable("after")
		s.Expect("after")
		require.Len(t, arena.log(h), 2)
		a.say(batch.AppendJoin(nil, "room", []uint64{h}))
		synctest.Wait()
		require.Equal(t, []uint64{h}, g.Members("arena", "room"))

		// The route is kept when the stream is lost, and Closed goes to the new one.
		n.down("10.0.0.2:1")
		synctest.Wait()
		arena = n.up("10.0.0.2:1", serving("arena"))
		require.Equal(t, []seen{{"again", h, "arena"}}, arena.await(t, h, 1))
		s.Leave()
		arena.await(t, h, 2)
		synctest.Wait()
		require.Len(t, lobby.log(h), 3)
	})
}

func TestMoveBetweenRoutesOfOneBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		b := n.up("10.0.0.1:1", newLogic())
		start(t, g, n, remote.Config{Streams: 1}, "10.0.0.1:1")
		s := g.Open(upstream.Announcement{Route: "a"})
		h := s.Handle()
		b.await(t, h, 1)
		b.holder(t, h).say(batch.AppendMove(nil, h, "b"))
		b.await(t, h, 3)
		s.SayReliable("x")
		s.Expect("x")
		require.Equal(t, []seen{{"opened", h, "a"}, {"closed", h, "moved"}, {"opened", h, "b"}, {"message", h, "x"}}, b.log(h))
	})
}

func TestPublishReachesTheRoutesOfItsBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		lobby, rest := n.up("10.0.0.1:1", serving("lobby")), n.up("10.0.0.2:1", serving())
		start(t, g, n, remote.Config{Streams: 1}, "10.0.0.1:1", "10.0.0.2:1")
		l, r := lobby.connected(t, 1)[0], rest.connected(t, 1)[0]
		synctest.Wait()
		a, b := g.Open(upstream.Announcement{Route: "lobby"}), g.Open(upstream.Announcement{Route: "arena"})
		g.Settle()
		g.Join("lobby", "room", a)
		g.Join("arena", "room", b)
		l.say(batch.AppendPublish(nil, "room", 0, false, []byte("lobby"), nil))
		a.Expect("lobby")
		require.Zero(t, b.Unread())
		r.say(batch.AppendPublish(nil, "room", 0, false, []byte("any"), []uint64{a.Handle()}))
		b.Expect("any")
		require.Zero(t, a.Unread())
		b.Leave()
		g.Settle()
		r.say(batch.AppendPublish(nil, "room", 0, false, []byte("all"), nil))
		a.Expect("all")
	})
}

func TestNamesAreResolvedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g, r := newNetwork(), upstreamtest.NewGateway(t, 0), new(names)
		r.set("game", nil)
		p := start(t, g, n, remote.Config{
			Resolver: r, ResolveEvery: 10 * time.Second, PingTimeout: time.Minute, FullTimeout: time.Minute,
		}, "game:9")
		s := g.Open(upstream.Announcement{})
		time.Sleep(time.Second)
		_, why := p.Ready()
		require.Contains(t, why, `"game" has no addresses`)

		// Two addresses: the streams spread over them, and one that refuses is no
		// trouble.
		r.set("game", nil, "10.0.0.2", "10.0.0.1", "10.0.0.3")
		a, b := n.up("10.0.0.1:9", newLogic()), n.up("10.0.0.2:9", newLogic())
		a.connected(t, 1)
		b.connected(t, 1)
		synctest.Wait()
		s.SayReliable("x")
		s.Expect("x")
		old, other := a, b
		if len(a.log(s.Handle())) == 0 {
			old, other = b, a
		}

		// A resolver that fails changes nothing.
		r.set("game", &time.ParseError{})
		time.Sleep(30 * time.Second)
		s.SayReliable("y")
		s.Expect("y")

		// The address goes: replies to what the old one got still count, and what
		// comes meanwhile goes to the new one, once.
		old.hang(true)
		s.SayReliable("asked the old one")
		synctest.Wait()
		c := n.up("10.0.0.4:9", newLogic())
		keep := other.address[:len(other.address)-2]
		r.set("game", nil, keep, "10.0.0.4")
		c.connected(t, 1)
		synctest.Wait()
		s.SayReliable("asked meanwhile")
		g.Settle()
		old.hang(false)
		s.Expect("asked the old one", "asked meanwhile")
		synctest.Wait()
		next := c
		if len(c.log(s.Handle())) == 0 {
			next = other
		}
		s.SayReliable("asked the new one")
		s.Expect("asked the new one")
		var heard []string
		for _, e := range append(old.log(s.Handle()), next.log(s.Handle())...) {
			heard = append(heard, e.Kind+" "+e.Text)
		}
		require.Equal(t, []string{
			"opened ", "message x", "message y", "message asked the old one", "message asked meanwhile",
			"again ", "message asked the new one",
		}, heard)
		require.Zero(t, g.Drops(upstream.DropStreamLost))
		require.Zero(t, p.Status().Streams[0].Lost+p.Status().Streams[1].Lost)
	})
}

func TestAddressThatDoesNotAnswerReplacesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g, r := newNetwork(), upstreamtest.NewGateway(t, 0), new(names)
		r.set("game", nil, "10.0.0.1")
		b := n.up("10.0.0.1:9", newLogic())
		start(t, g, n, remote.Config{Streams: 1, Resolver: r, ResolveEvery: time.Second}, "game:9")
		s := g.Open(upstream.Announcement{})
		b.await(t, s.Handle(), 1)
		r.set("game", nil, "10.0.0.2")
		time.Sleep(5 * time.Second)
		s.SayReliable("x")
		s.Expect("x")
		require.Len(t, b.log(s.Handle()), 2)
		n.mu.Lock()
		require.NotZero(t, n.dials["10.0.0.2:9"])
		n.mu.Unlock()
	})
}
