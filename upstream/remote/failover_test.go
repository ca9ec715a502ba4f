package remote_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"strait/transport"
	"strait/upstream"
	"strait/upstream/remote"
	"strait/upstream/upstreamtest"
)

func TestBackendAbsentAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		p := start(t, g, n, remote.Config{}, "10.0.0.1:1")
		s := g.Open(upstream.Announcement{})
		g.Settle()
		s.SayReliable("held at the gate")
		s.Say(transport.Unreliable, 0, "held at the gate")
		synctest.Wait()
		require.Equal(t, 2, s.Held())
		require.Equal(t, 1, p.Status().Waiting)
		ok, why := p.Ready()
		require.False(t, ok)
		require.Contains(t, why, "fake://10.0.0.1:1: connection refused")

		b := n.up("10.0.0.1:1", newLogic())
		s.Expect("held at the gate")
		require.Equal(t, []seen{
			{"opened", s.Handle(), ""},
			{"message", s.Handle(), "held at the gate"},
			{"unreliable", s.Handle(), "held at the gate"},
		}, b.await(t, s.Handle(), 3))
		ok, why = p.Ready()
		require.True(t, ok, why)
		require.Zero(t, p.Status().Waiting)
	})
}

func TestGraceExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		b := n.up("10.0.0.1:1", newLogic())
		p := start(t, g, n, remote.Config{Grace: 3 * time.Second}, "10.0.0.1:1")
		announced := g.Open(upstream.Announcement{})
		b.await(t, announced.Handle(), 1)
		n.down("10.0.0.1:1")
		synctest.Wait()
		began := time.Now()
		fresh := g.Open(upstream.Announcement{})
		for _, s := range []*upstreamtest.Session{announced, fresh} {
			require.Equal(t, transport.UpstreamLost, s.Ended().Code)
		}
		require.InDelta(t, 3*time.Second, time.Since(began), float64(500*time.Millisecond))
		synctest.Wait()
		require.Zero(t, p.Status().Waiting)

		// Whoever returns later hears nothing of them.
		b = n.up("10.0.0.1:1", newLogic())
		b.connected(t, 2)
		synctest.Wait()
		require.Empty(t, b.log(0))
	})
}

func TestBackendReturnsWithinGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		b := n.up("10.0.0.1:1", newLogic())
		start(t, g, n, remote.Config{}, "10.0.0.1:1")
		s := g.Open(upstream.Announcement{})
		b.await(t, s.Handle(), 1)
		n.down("10.0.0.1:1")
		synctest.Wait()
		s.SayReliable("meanwhile")
		time.Sleep(5 * time.Second)
		b = n.up("10.0.0.1:1", newLogic())
		s.Expect("meanwhile")
		require.Equal(t, []seen{{"again", s.Handle(), ""}, {"message", s.Handle(), "meanwhile"}}, b.log(s.Handle()))
	})
}

// spread opens sessions until each backend has at least one, and returns one of
// each.
func spread(t *testing.T, g *upstreamtest.Gateway, backends ...*logic) []*upstreamtest.Session {
	t.Helper()
	found := make([]*upstreamtest.Session, len(backends))
	for missing := len(backends); missing > 0; {
		s := g.Open(upstream.Announcement{})
		g.Settle()
		synctest.Wait()
		for i, b := range backends {
			if len(b.log(s.Handle())) > 0 && found[i] == nil {
				found[i] = s
				missing--
			}
		}
	}
	return found
}

func TestHungBackendDisturbsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 1) // one shard for both
		a, b := n.up("10.0.0.1:1", newLogic()), n.up("10.0.0.2:1", newLogic())
		p := start(t, g, n, remote.Config{StreamBufferBytes: 64 << 10}, "10.0.0.1:1", "10.0.0.2:1")
		a.connected(t, 2)
		b.connected(t, 2)
		synctest.Wait()
		ss := spread(t, g, a, b)
		poor, lucky := ss[0], ss[1]

		a.hang(true)
		began := time.Now()
		for i := 0; len(b.log(poor.Handle())) == 0; i++ {
			require.Less(t, time.Since(began), 10*time.Second, "the hung backend was not given up")
			poor.SayReliable(string(make([]byte, 4096)))
			asked := time.Now()
			lucky.SayReliable("ping")
			lucky.Expect("ping")
			require.Equal(t, asked, time.Now(), "the other backend's player had to wait")
			time.Sleep(50 * time.Millisecond)
		}
		require.Equal(t, seen{"again", poor.Handle(), ""}, b.log(poor.Handle())[0])
		var told []string
		for _, s := range p.Status().Streams {
			told = append(told, s.Error)
		}
		require.Contains(t, told[0]+told[1], "the backend ")

		// It takes connections, but that proves nothing any more.
		a.mu.Lock()
		a.silent = true
		a.mu.Unlock()
		a.hang(false)
		synctest.Wait()
		a.mu.Lock()
		a.events = nil
		a.mu.Unlock()
		for range 20 {
			g.Open(upstream.Announcement{})
		}
		synctest.Wait()
		require.Empty(t, a.log(0))
	})
}

func TestFullStreamIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		b := n.up("10.0.0.1:1", newLogic())
		p := start(t, g, n, remote.Config{
			Streams: 1, StreamBufferBytes: 64 << 10, FullTimeout: time.Second,
			PingEvery: time.Minute, PingTimeout: time.Minute,
		}, "10.0.0.1:1")
		s := g.Open(upstream.Announcement{})
		b.await(t, s.Handle(), 1)
		b.hang(true)
		for range 40 {
			s.SayReliable(string(make([]byte, 4096)))
			g.Settle()
		}
		synctest.Wait()
		require.NotZero(t, s.Held(), "the gate is open")
		st := p.Status().Streams[0]
		require.Greater(t, st.QueuedBytes, 64<<10)
		require.Less(t, st.QueuedBytes, 64<<10+8192)
		require.NotZero(t, st.QueuedEvents)
		time.Sleep(500 * time.Millisecond)
		require.GreaterOrEqual(t, p.Status().Streams[0].LagMicros, int64(500_000))

		time.Sleep(800 * time.Millisecond)
		synctest.Wait()
		require.Contains(t, p.Status().Streams[0].Error, "reads too slowly")
		require.EqualValues(t, 1, p.Status().Streams[0].Lost)
		b.hang(false)
		for range 40 {
			require.Len(t, s.Next().Payload, 4096)
		}
		require.Zero(t, s.Held())
	})
}

func TestSlowBackendCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		b := n.up("10.0.0.1:1", newLogic())
		p := start(t, g, n, remote.Config{StreamBufferBytes: 64 << 10}, "10.0.0.1:1")
		s := g.Open(upstream.Announcement{})
		b.await(t, s.Handle(), 1)
		b.hang(true)
		const messages = 100
		payload := make([]byte, 4096)
		for i := range messages {
			payload[0] = byte(i)
			s.SayReliable(string(payload))
			g.Settle()
		}
		for range 50 {
			s.Say(transport.Unreliable, 1, string(make([]byte, 1000)))
		}
		time.Sleep(3 * time.Second)
		require.NotZero(t, s.Held())
		b.hang(false)
		for i := range messages {
			require.Equal(t, byte(i), s.Next().Payload[0])
		}
		synctest.Wait()
		require.Zero(t, p.Status().Streams[0].Lost+p.Status().Streams[1].Lost)
		require.Zero(t, s.Held())
		require.Zero(t, s.Info().InFlight)
	})
}

func TestUnreliableGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 1)
		l := newLogic()
		l.mute = true
		b := n.up("10.0.0.1:1", l)
		p := start(t, g, n, remote.Config{Streams: 1, StreamBufferBytes: 64 << 10}, "10.0.0.1:1")
		s := g.Open(upstream.Announcement{})
		b.await(t, s.Handle(), 1)
		synctest.Wait()
		b.hang(true)
		// Past the gate, as events that were on the ring already.
		deliver := func(from, to int, d transport.Delivery) {
			for i := from; i < to; i++ {
				payload := make([]byte, 1000)
				payload[0], payload[1] = byte(i>>8), byte(i)
				p.Deliver(0, []upstream.Event{s.BytesEvent(d, 0, payload)})
				if i == from {
					synctest.Wait() // the writer takes the first
				}
			}
		}
		deliver(0, 300, transport.Unreliable)
		deliver(300, 303, transport.Reliable)
		require.Greater(t, g.Drops(upstream.DropStreamFull), 200)
		b.hang(false)
		want := 300 - g.Drops(upstream.DropStreamFull) + 3
		events := b.await(t, s.Handle(), 1+want)[1:]
		require.Len(t, events, want)
		last := -1
		for _, e := range events[1:] { // the first one was under way
			i := int(e.Text[0])<<8 | int(e.Text[1])
			require.Greater(t, i, last)
			last = i
		}
		require.Equal(t, 302, last)
		require.Greater(t, int(events[1].Text[0])<<8|int(events[1].Text[1]), 200, "the oldest give way first")
		// A reliable message more than fits does not push out another reliable one.
		require.Equal(t, "message", events[want-1].Kind)
	})
}

func TestAcknowledgedBackendGetsTheRestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		l := newLogic()
		l.acks, l.mute = true, true
		b := n.up("10.0.0.1:1", l)
		p := start(t, g, n, remote.Config{Streams: 1}, "10.0.0.1:1")
		s, gone := g.Open(upstream.Announcement{}), g.Open(upstream.Announcement{})
		s.SayReliable("acked")
		gone.SayReliable("acked")
		b.await(t, s.Handle(), 2)
		b.await(t, gone.Handle(), 2)
		synctest.Wait()
		require.Zero(t, p.Status().Streams[0].Unacked)

		b.mu.Lock()
		b.acks = false
		b.mu.Unlock()
		s.SayReliable("one")
		s.Say(transport.Unreliable, 0, "unreliable")
		s.SayReliable("two")
		gone.SayReliable("last words")
		gone.Leave()
		b.await(t, s.Handle(), 5)
		b.await(t, gone.Handle(), 4)
		synctest.Wait()
		require.NotZero(t, p.Status().Streams[0].Unacked)
		require.Zero(t, s.Info().InFlight, "what is retained must not hold the session's credit")

		n.down("10.0.0.1:1")
		synctest.Wait()
		s.SayReliable("three")
		l = newLogic()
		l.acks, l.mute = true, true
		b = n.up("10.0.0.1:1", l)
		require.Equal(t, []seen{
			{"again", s.Handle(), ""}, {"message", s.Handle(), "one"}, {"message", s.Handle(), "two"}, {"message", s.Handle(), "three"},
		}, b.await(t, s.Handle(), 4))
		require.Equal(t, []seen{
			{"again", gone.Handle(), ""}, {"message", gone.Handle(), "last words"}, {"closed", gone.Handle(), ""},
		}, b.await(t, gone.Handle(), 3))
		synctest.Wait()
		require.Zero(t, g.Drops(upstream.DropStreamLost))
		require.Zero(t, p.Status().Streams[0].Unacked)
	})
}

func TestSilentBackendGetsNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		l := newLogic()
		l.mute = true
		b := n.up("10.0.0.1:1", l)
		start(t, g, n, remote.Config{Streams: 1}, "10.0.0.1:1")
		s, gone := g.Open(upstream.Announcement{}), g.Open(upstream.Announcement{})
		s.SayReliable("once")
		gone.SayReliable("once")
		b.await(t, s.Handle(), 2)
		gone.Leave()
		b.await(t, gone.Handle(), 3)
		b.hang(true)
		s.SayReliable("under way")
		synctest.Wait()
		s.SayReliable("queued")
		g.Settle()
		n.down("10.0.0.1:1")
		l = newLogic()
		l.mute = true
		b = n.up("10.0.0.1:1", l)
		// The backend cannot have got what was under way as a whole.
		require.Equal(t, []seen{
			{"again", s.Handle(), ""}, {"message", s.Handle(), "under way"}, {"message", s.Handle(), "queued"},
		}, b.await(t, s.Handle(), 3))
		require.Empty(t, b.log(gone.Handle()))
		require.Equal(t, 2, g.Drops(upstream.DropStreamLost))
	})
}

func TestRetentionBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		l := newLogic()
		l.acks, l.mute = true, true
		b := n.up("10.0.0.1:1", l)
		p := start(t, g, n, remote.Config{Streams: 1, RetainBytes: 10 << 10}, "10.0.0.1:1")
		s := g.Open(upstream.Announcement{})
		b.await(t, s.Handle(), 1)
		synctest.Wait()
		b.mu.Lock()
		b.acks = false
		b.mu.Unlock()
		for range 20 {
			s.SayReliable(string(make([]byte, 1000)))
			g.Settle()
			synctest.Wait()
		}
		require.LessOrEqual(t, p.Status().Streams[0].Unacked, 10<<10)
		dropped := g.Drops(upstream.DropRetention)
		require.Equal(t, 20-10<<10/(1000+64), dropped)
		n.down("10.0.0.1:1")
		l = newLogic()
		b = n.up("10.0.0.1:1", l)
		b.await(t, s.Handle(), 1+20-dropped)
		synctest.Wait()
		require.Len(t, b.log(s.Handle()), 1+20-dropped)
	})
}

func TestBackendThatNeverAcknowledgesCostsNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		b := n.up("10.0.0.1:1", newLogic())
		p := start(t, g, n, remote.Config{Streams: 1, RetainBytes: 10 << 10}, "10.0.0.1:1")
		s := g.Open(upstream.Announcement{})
		for range 30 {
			s.SayReliable(string(make([]byte, 1000)))
			require.Len(t, s.Next().Payload, 1000)
		}
		synctest.Wait()
		require.Zero(t, p.Status().Streams[0].Unacked)
		require.Zero(t, g.Buffers().Live())
		require.Zero(t, g.Drops(upstream.DropRetention))
		b.await(t, s.Handle(), 31)
	})
}

func TestClosedWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		l := newLogic()
		l.mute = true
		b := n.up("10.0.0.1:1", l)
		p := start(t, g, n, remote.Config{Streams: 1}, "10.0.0.1:1")
		worth, idle := g.Open(upstream.Announcement{}), g.Open(upstream.Announcement{})
		b.await(t, worth.Handle(), 1)
		b.await(t, idle.Handle(), 1)
		b.hang(true)
		worth.SayReliable("important")
		g.Settle()
		n.down("10.0.0.1:1")
		synctest.Wait()
		unheard := g.Open(upstream.Announcement{})
		g.Settle()
		p.Deliver(0, []upstream.Event{unheard.Event(transport.Reliable, 0, "to nobody")})
		require.Equal(t, 3, p.Status().Waiting)
		worth.Leave()
		idle.Leave()
		unheard.Leave()
		g.Settle()
		require.Equal(t, 1, p.Status().Waiting)
		require.Equal(t, 1, g.Drops(upstream.DropStreamLost))

		b = n.up("10.0.0.1:1", newLogic())
		b.await(t, worth.Handle(), 3)
		synctest.Wait()
		require.Equal(t, []seen{
			{"again", worth.Handle(), ""}, {"message", worth.Handle(), "important"}, {"closed", worth.Handle(), ""},
		}, b.log(0))
	})
}

func TestPlayersOfOtherBackendsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		addresses := []string{"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"}
		var bs []*logic
		for _, a := range addresses {
			bs = append(bs, n.up(a, newLogic()))
		}
		start(t, g, n, remote.Config{}, addresses...)
		for _, b := range bs {
			b.connected(t, 2)
		}
		synctest.Wait()
		const players = 300
		for range players {
			g.Open(upstream.Announcement{})
		}
		g.Settle()
		synctest.Wait()
		total := 0
		for _, b := range bs {
			total += len(b.log(0))
			require.InDelta(t, players/3, len(b.log(0)), players/6, "spread unevenly")
			for _, c := range b.conns {
				require.InDelta(t, len(b.log(0))/2, len(c.sessions), players/8, "spread unevenly over the streams")
			}
		}
		require.Equal(t, players, total)
		before := []int{len(bs[0].log(0)), len(bs[1].log(0))}
		moved := len(bs[2].log(0))
		n.down(addresses[2])
		synctest.Wait()
		again := 0
		for i, b := range bs[:2] {
			for _, e := range b.log(0)[before[i]:] {
				require.Equal(t, "again", e.Kind)
				again++
			}
		}
		require.Equal(t, moved, again)
	})
}
