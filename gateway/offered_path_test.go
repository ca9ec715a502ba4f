package gateway_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"strait/gateway"
	"strait/proto/straitv1"
	"strait/transport"
)

func TestInfoOfABoundLane(t *testing.T) {
	d := newDuo(t, gateway.Config{})
	heard := time.Now().Add(time.Minute)
	d.fakeConn.mu.Lock()
	d.fakeConn.path.RTT, d.fakeConn.path.Jitter = 40*time.Millisecond, 9*time.Millisecond
	d.fakeConn.mu.Unlock()
	d.lane.setPath(func(p *transport.Path) {
		*p = transport.Path{Remote: elsewhere, RTT: 30 * time.Millisecond, Jitter: 2 * time.Millisecond, LossPPM: 12000, Heard: heard}
	})
	in := d.session.Info()
	require.Equal(t, 9*time.Millisecond, in.Path.Jitter)
	require.Zero(t, in.Path.LossPPM)
	require.Equal(t, heard, in.Path.Heard, "heard on any lane, bound or not")
	require.True(t, in.Bound.IsZero())
	require.Equal(t, transport.Path{}, in.Datagrams)

	d.lane.bind(true)
	in = d.session.Info()
	require.Equal(t, 30*time.Millisecond, in.Path.RTT, "of the same way as jitter and loss")
	require.Equal(t, 2*time.Millisecond, in.Path.Jitter)
	require.EqualValues(t, 12000, in.Path.LossPPM)
	require.Equal(t, "192.0.2.1:4000", in.Remote.String())
	require.Equal(t, elsewhere, in.Datagrams.Remote)
	require.WithinDuration(t, time.Now(), in.Bound, time.Minute)

	d.gw.Sessions(func(s gateway.SessionInfo) bool {
		require.Equal(t, "tcp+udp", s.Transport)
		require.Equal(t, &gateway.LaneInfo{
			Remote: elsewhere.String(), Bound: in.Bound, Heard: heard, RTTMicros: 30000, Jitter: 2000, LossPPM: 12000, MaxBytes: 16000,
		}, s.Lane)
		return true
	})
	d.lane.setPath(func(p *transport.Path) { p.RTT = 0 })
	in = d.session.Info()
	require.Equal(t, 40*time.Millisecond, in.Path.RTT, "the connection's, until the lane has measured")
	require.Equal(t, 9*time.Millisecond, in.Path.Jitter)
	require.Zero(t, in.Path.LossPPM)

	d.lane.setPath(func(p *transport.Path) { p.RTT = 30 * time.Millisecond })
	d.lane.bind(false)
	in = d.session.Info()
	require.Equal(t, 40*time.Millisecond, in.Path.RTT)
	require.Equal(t, 9*time.Millisecond, in.Path.Jitter)
	require.Zero(t, in.Path.LossPPM)
	d.gw.Sessions(func(s gateway.SessionInfo) bool { require.Nil(t, s.Lane); return true })
}

func TestAConnectionWithDatagrams(t *testing.T) {
	l := newLogic()
	g := start(t, gateway.Config{}, l)
	c := newConn(t, g)
	c.kind, c.stuck = transport.KindQUIC, true
	c.datagrams = innerLane{c, transport.Path{Remote: elsewhere, LossPPM: 7, RTT: time.Millisecond}}
	require.NoError(t, c.join(g, &straitv1.ClientHello{Version: 1}))
	s := l.await(t, count(1))[0].session
	require.Equal(t, 1234, s.MaxUnreliable())
	require.EqualValues(t, 1, g.Stats().Sessions[transport.KindQUIC])
	for _, m := range unreliable(g.Pool(), "1", "2", "3") {
		require.NoError(t, s.Send(m))
	}
	c.mu.Lock()
	c.stuck = false
	c.mu.Unlock()
	s.Flush()
	require.Equal(t, []string{"1", "2", "3"}, c.received(), "first in, first out")
	in := s.Info()
	require.Equal(t, in.Opened, in.Bound)
	require.Equal(t, elsewhere, in.Datagrams.Remote)
	require.EqualValues(t, 7, in.Path.LossPPM)
}

func TestASessionIsHeardOnItsLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDuo(t, gateway.Config{IdleTimeout: 9 * time.Second})
		d.lane.bind(true)
		for range 30 {
			time.Sleep(time.Second)
			d.lane.setPath(func(p *transport.Path) { p.Heard = time.Now() })
		}
		synctest.Wait()
		require.Nil(t, d.reason(), "not a word on the connection")
		d.lane.mu.Lock()
		require.Positive(t, d.lane.pings, "measured, too")
		d.lane.mu.Unlock()
		d.lane.bind(false)
		pings := d.lane.pings
		time.Sleep(12 * time.Second)
		synctest.Wait()
		require.Equal(t, transport.Idle, d.reason().Code)
		require.Equal(t, pings, d.lane.pings, "a lane that is not bound is not asked")
	})
}

func TestLossOfTheLaneIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDuo(t, gateway.Config{})
		quiet := func(n int) {
			for range n {
				time.Sleep(time.Second)
				d.lane.setPath(func(p *transport.Path) { p.Heard = time.Now() })
			}
		}
		d.lane.setPath(func(p *transport.Path) { p.RTT = time.Millisecond })
		d.lane.bind(true)
		require.Equal(t, 1, d.links(), "the kind, at once")
		quiet(10)
		require.Equal(t, 1, d.links(), "not a second time")
		d.lane.setPath(func(p *transport.Path) { p.LossPPM = 20000 })
		quiet(4)
		require.Equal(t, 2, d.links())
		d.lane.setPath(func(p *transport.Path) { p.Jitter = 30 * time.Millisecond })
		quiet(4)
		require.Equal(t, 3, d.links())
	})
}

// What a lane measures right after it is bound, before the wheel comes by, is told, too.
func TestWhatIsMeasuredAtOnceIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDuo(t, gateway.Config{})
		d.lane.bind(true)
		require.Equal(t, 1, d.links(), "the kind, at once")
		d.lane.setPath(func(p *transport.Path) {
			p.RTT, p.Jitter, p.LossPPM = 80*time.Millisecond, 40*time.Millisecond, 250_000
		})
		time.Sleep(5 * time.Second)
		require.Equal(t, 2, d.links())
		time.Sleep(5 * time.Second)
		require.Equal(t, 2, d.links(), "not a second time")
	})
}

// A full ring delays the news of another kind and does not lose it.
func TestTheKindIsToldWhenTheRingHasRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDuo(t, gateway.Config{QueueSize: 64})
		var others []duo
		for range 10 {
			others = append(others, d.join(t))
		}
		block := make(chan struct{})
		d.logic.mu.Lock()
		d.logic.block = block
		d.logic.mu.Unlock()
		for full := false; !full; {
			for _, o := range others {
				full = o.say("x") == 0 || full
				synctest.Wait()
			}
		}
		for _, o := range others { // the share of one is not the ring
			for o.say("x") == 1 {
				continue
			}
		}
		d.lane.bind(true)
		d.logic.mu.Lock()
		d.logic.block = nil
		d.logic.mu.Unlock()
		close(block)
		synctest.Wait()
		require.Zero(t, d.links(), "there was no room")
		time.Sleep(2 * time.Second)
		require.Equal(t, 1, d.links())
		time.Sleep(10 * time.Second)
		require.Equal(t, 1, d.links())
	})
}
