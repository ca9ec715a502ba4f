package gateway_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"strait/gateway"
	"strait/transport"
	"strait/upstream"
)

func TestEventsKeepTheirOrder(t *testing.T) {
	l := newLogic()
	g := start(t, gateway.Config{Shards: 2, QueueSize: 64}, l)
	const players, each = 8, 300
	var wg sync.WaitGroup
	for p := range players {
		c := player(t, g)
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; i < each; {
				if c.say(fmt.Sprintf("%d/%d", p, i)) == 1 {
					i++
					continue
				}
				<-c.resumed // refused: the ring is full
			}
			c.lose()
		}()
	}
	wg.Wait()
	es := l.await(t, count(players*(each+2)))
	perSession := make(map[upstream.Session][]event)
	for _, e := range es {
		perSession[e.session] = append(perSession[e.session], e)
	}
	require.Len(t, perSession, players)
	for _, es := range perSession {
		require.Equal(t, upstream.Opened, es[0].kind)
		require.Equal(t, upstream.Closed, es[len(es)-1].kind)
		require.True(t, es[len(es)-1].reason.Lost)
		for i, e := range es[1 : len(es)-1] {
			require.Equal(t, fmt.Sprint(i), e.body[strings.Index(e.body, "/")+1:])
		}
	}
}

func TestOneFloodingPlayerFillsOnlyHisShare(t *testing.T) {
	l := newLogic()
	l.hold = true // game logic takes nothing back
	g := start(t, gateway.Config{QueueSize: 256}, l)
	flooder, other := player(t, g), player(t, g)
	taken := 0
	for taken < 1000 && flooder.say("x") == 1 {
		taken++
	}
	require.Equal(t, 256/8, taken, "an eighth of the ring")
	require.Equal(t, 1, other.say("y"), "the other one is not disturbed")
	l.await(t, count(2+taken+1))
	select {
	case <-flooder.resumed:
		require.FailNow(t, "resumed although nothing was taken")
	default:
	}
	l.letGo()
	<-flooder.resumed
	require.Equal(t, 1, flooder.say("x"))
}

func TestBytesInFlightAreBounded(t *testing.T) {
	l := newLogic()
	l.hold = true
	g := start(t, gateway.Config{InFlightBytes: 4096}, l)
	c := player(t, g)
	require.Equal(t, 2, c.say(strings.Repeat("a", 65536), strings.Repeat("a", 65536)), "two of the largest always fit")
	require.Equal(t, 0, c.say("b"))
	l.await(t, count(3))
	l.letGo()
	<-c.resumed
	require.Equal(t, 4, c.say("c", "d", "e", "f"))
}

func TestUnreliableIsDroppedAboveTheShare(t *testing.T) {
	l := newLogic()
	l.hold = true
	g := start(t, gateway.Config{QueueSize: 128}, l)
	c := player(t, g)
	var ms []transport.Message
	for range 40 {
		m := c.msg("pos")
		m.Delivery = transport.Unreliable
		ms = append(ms, m)
	}
	require.Equal(t, 40, c.peer.Deliver(ms), "never held back")
	require.EqualValues(t, 40-16, g.Stats().Drops[upstream.DropInboundFull])
	require.EqualValues(t, 16, g.Stats().Received[transport.Unreliable].Messages)
}

func TestAShutGateHoldsReliableMessages(t *testing.T) {
	l := newLogic()
	g := start(t, gateway.Config{}, l)
	c := player(t, g)
	s := l.await(t, count(1))[0].session
	var gate upstream.Gate
	s.Slot().SetGate(&gate)
	gate.Shut()
	require.Equal(t, 0, c.say("a", "b"))
	m := c.msg("pos")
	m.Delivery = transport.Unreliable
	require.Equal(t, 1, c.peer.Deliver([]transport.Message{m}))
	gate.Open()
	<-c.resumed
	require.Equal(t, 2, c.say("a", "b"))
	require.Equal(t, []string{"a", "b"}, bodies(l.await(t, count(3)), s))
}

// Opened and Closed are never lost, also when the ring is full for a long time.
func TestFullRingLosesNoOpenedAndNoClosed(t *testing.T) {
	l := newLogic()
	l.block = make(chan struct{})
	g := start(t, gateway.Config{QueueSize: 64, MaxSessions: 1000}, l)
	const n = 500
	for range n {
		player(t, g).lose()
	}
	l.mu.Lock()
	block := l.block
	l.block = nil
	l.mu.Unlock()
	close(block)
	es := l.await(t, count(2*n))
	opened := make(map[upstream.Session]bool)
	for _, e := range es {
		if e.kind == upstream.Closed {
			require.True(t, opened[e.session], "Closed before Opened")
			continue
		}
		require.False(t, opened[e.session])
		opened[e.session] = true
	}
	require.Len(t, opened, n)
}

func TestNothingFollowsClosed(t *testing.T) {
	l := newLogic()
	g := start(t, gateway.Config{}, l)
	c := player(t, g)
	s := l.await(t, count(1))[0].session
	s.Close(transport.Because(transport.Kicked, "cheating"))
	s.Close(transport.Because(transport.Normal, "the first reason counts"))
	require.Equal(t, 3, c.say("a", "b", "c"), "taken and dropped")
	require.EqualValues(t, 3, g.Stats().Drops[upstream.DropAfterClose])
	es := l.await(t, count(2))
	require.Equal(t, upstream.Closed, es[1].kind)
	require.Equal(t, "cheating", es[1].reason.Text)

	m := transport.Message{Buf: g.Pool().Copy([]byte("late"))}
	err := s.Send(m)
	require.ErrorIs(t, err, transport.Kicked)
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestWhatWasSentBeforeCloseArrives(t *testing.T) {
	l := newLogic()
	g := start(t, gateway.Config{}, l)
	c := player(t, g)
	s := l.await(t, count(1))[0].session
	require.NoError(t, s.Send(transport.Message{Buf: g.Pool().Copy([]byte("you lose"))}))
	s.Close(transport.Because(transport.Kicked, "game over"))
	g.Shutdown(context.Background())
	require.Equal(t, []string{"you lose"}, c.received())
}

func TestSendLimits(t *testing.T) {
	l := newLogic()
	g := start(t, gateway.Config{MaxMessageBytes: 16384, SendBufferBytes: 40000}, l)
	c, other := player(t, g), player(t, g)
	c.stuck = true
	es := l.await(t, count(2))
	s := es[0].session
	buf := func(n int) *transport.Buf { return g.Pool().Get(n) }

	var tooLarge *transport.TooLargeError
	require.ErrorAs(t, s.Send(transport.Message{Buf: buf(16385)}), &tooLarge)
	require.Equal(t, 16384, tooLarge.Max)
	require.ErrorAs(t, s.Send(transport.Message{Delivery: transport.Unreliable, Buf: buf(1101)}), &tooLarge)
	require.NoError(t, s.Send(transport.Message{Delivery: transport.Unreliable, Buf: buf(1100)}))
	require.EqualValues(t, 2, g.Stats().Drops[upstream.DropTooLarge])

	require.NoError(t, s.Send(transport.Message{Buf: buf(16384)}))
	require.NoError(t, s.Send(transport.Message{Buf: buf(16384)}))
	err := s.Send(transport.Message{Buf: buf(16384)})
	require.ErrorIs(t, err, transport.TooSlow)
	require.Equal(t, transport.TooSlow, c.reason().Code)
	require.Nil(t, other.reason(), "the others go on")
	require.NoError(t, es[1].session.Send(transport.Message{Buf: buf(1)}))
	es[1].session.Flush()
	require.Len(t, other.received(), 1)
}

func TestHandlesAreNeverReused(t *testing.T) {
	l := newLogic()
	g := start(t, gateway.Config{MaxSessions: 2}, l)
	seen := make(map[uint64]bool)
	for i := range 50 {
		c := player(t, g)
		s := l.await(t, count(2*i+1))[2*i].session
		require.NotZero(t, s.Handle())
		require.False(t, seen[s.Handle()])
		seen[s.Handle()] = true
		require.Equal(t, s, l.gw.Session(s.Handle()))
		c.lose()
		l.await(t, count(2*i+2))
		require.Nil(t, l.gw.Session(s.Handle()), "gone")
	}
	require.Nil(t, l.gw.Session(0))
	require.Nil(t, l.gw.Session(^uint64(0)))
}

func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogic()
		g := start(t, gateway.Config{IdleTimeout: 9 * time.Second}, l)
		silent, alive, partial := player(t, g), player(t, g), player(t, g)
		began := time.Now()
		partial.mu.Lock()
		partial.path.PartialSince = began
		partial.mu.Unlock()
		for range 20 {
			time.Sleep(time.Second)
			now := time.Now()
			for _, c := range []*fakeConn{alive, partial} {
				c.mu.Lock()
				c.path.Heard = now
				c.mu.Unlock()
			}
			synctest.Wait()
			silent.mu.Lock()
			pings, closed := silent.pings, silent.closed
			silent.mu.Unlock()
			if d := now.Sub(began); d < 3*time.Second {
				require.Zero(t, pings, "after %v", d)
			} else if d > 5*time.Second {
				require.Positive(t, pings, "after %v", d)
			}
			if d := now.Sub(began); d < 9*time.Second {
				require.Nil(t, closed, "after %v", d)
			}
		}
		require.Equal(t, transport.Idle, silent.reason().Code)
		require.Equal(t, transport.Idle, partial.reason().Code)
		require.Contains(t, partial.reason().Text, "frame")
		require.Nil(t, alive.reason())
	})
}

// Who is not read, because game logic takes nothing, is not silent; the clock starts
// anew when he is read again. Datagrams alone do not start it.
func TestWhoIsNotReadIsNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogic()
		g := start(t, gateway.Config{IdleTimeout: 9 * time.Second}, l)
		c, partial := player(t, g), player(t, g)
		var gate upstream.Gate
		for _, e := range l.await(t, count(2)) {
			e.session.Slot().SetGate(&gate)
		}
		gate.Shut()
		require.Equal(t, 0, c.say("a"))
		require.Equal(t, 0, partial.say("a"))
		partial.mu.Lock()
		partial.path.PartialSince = time.Now()
		partial.mu.Unlock()
		m := c.msg("pos")
		m.Delivery = transport.Unreliable
		require.Equal(t, 1, c.peer.Deliver([]transport.Message{m}))
		time.Sleep(30 * time.Second)
		synctest.Wait()
		require.Nil(t, c.reason())
		require.Nil(t, partial.reason())
		gate.Open()
		require.Equal(t, 1, c.say("a"))
		require.Equal(t, 1, partial.say("a"))
		time.Sleep(8 * time.Second)
		require.Nil(t, c.reason())
		require.Nil(t, partial.reason())
		time.Sleep(4 * time.Second)
		synctest.Wait()
		require.Equal(t, transport.Idle, c.reason().Code)
		require.Equal(t, transport.Idle, partial.reason().Code)
	})
}

func TestLinkChangesReachGameLogic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogic()
		g := start(t, gateway.Config{}, l)
		c := player(t, g)
		links := func() (n int) {
			for _, e := range l.events {
				if e.kind == upstream.Link {
					n++
				}
			}
			return n
		}
		for i := range 20 {
			time.Sleep(time.Second)
			c.mu.Lock()
			c.path.Heard = time.Now()
			c.path.RTT = time.Duration(10+10*i) * time.Millisecond
			c.mu.Unlock()
		}
		synctest.Wait()
		require.GreaterOrEqual(t, links(), 3)
		require.LessOrEqual(t, links(), 7, "at most every three seconds")
		had := links()
		for range 10 {
			time.Sleep(time.Second)
			c.mu.Lock()
			c.path.Heard = time.Now()
			c.mu.Unlock()
		}
		synctest.Wait()
		require.LessOrEqual(t, links(), had+1, "nothing changed")
	})
}

// However near the player is, game logic learns it once.
func TestTheFirstRoundTripIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogic()
		g := start(t, gateway.Config{}, l)
		c := player(t, g)
		for i := range 20 {
			c.mu.Lock()
			c.path.Heard, c.path.RTT = time.Now(), time.Duration(100+10*i)*time.Microsecond
			c.mu.Unlock()
			time.Sleep(time.Second)
		}
		synctest.Wait()
		links := 0
		for _, e := range l.events {
			if e.kind == upstream.Link {
				links++
			}
		}
		require.Equal(t, 1, links)
	})
}

func TestOverTheBudgetTheFattestGoes(t *testing.T) {
	l := newLogic()
	g := start(t, gateway.Config{BufferBudgetBytes: 1 << 20, SendBufferBytes: 1 << 30, MaxMessageBytes: 1 << 20}, l)
	fat, thin := player(t, g), player(t, g)
	fat.stuck, thin.stuck = true, true
	es := l.await(t, count(2))
	require.NoError(t, es[1].session.Send(transport.Message{Buf: g.Pool().Get(1000)}))
	for range 12 {
		_ = es[0].session.Send(transport.Message{Buf: g.Pool().Get(128 << 10)})
	}
	require.Eventually(t, func() bool { return fat.reason() != nil }, 10*time.Second, time.Millisecond)
	require.Equal(t, transport.TooSlow, fat.reason().Code)
	require.Nil(t, thin.reason())
	require.Eventually(t, func() bool { return g.Pool().Used() < 1<<20 }, 10*time.Second, time.Millisecond)
}

// A session that was closed, and takes its time to end, is not made up for by another.
func TestOverTheBudgetWhoEndsCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, gateway.Config{BufferBudgetBytes: 1 << 20}, newLogic())
		fat, thin := player(t, g), player(t, g)
		fat.lingers = make(chan struct{})
		fat.holds(1 << 20)
		thin.holds(128 << 10)
		for range 10 {
			defer g.Pool().Get(128 << 10).Release()
			time.Sleep(time.Second)
		}
		require.Equal(t, transport.Overloaded, fat.reason().Code)
		require.Nil(t, thin.reason())
		close(fat.lingers)
	})
}

// Whatever is held, a refused message finds the session too full to resume at
// once, or deliver would ask itself again for ever.
func TestTheLargestMessageIsTakenOrWaits(t *testing.T) {
	const largest = 1 << 20
	for _, held := range []int{1, 100 << 10, largest - 1, largest, largest + 1, 2*largest - 1} {
		l := newLogic()
		l.hold = true
		g := start(t, gateway.Config{MaxMessageBytes: largest}, l)
		c := player(t, g)
		for left := held; left > 0; left -= largest {
			require.Equal(t, 1, c.say(strings.Repeat("a", min(left, largest))))
		}
		want := 0
		if held <= largest {
			want = 1
		}
		require.Equal(t, want, c.say(strings.Repeat("b", largest)), "%d bytes held", held)
	}
}

// Who opens sessions to break them does not write the log: it says how much it leaves
// out, and every end is counted.
func TestBreachesDoNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		g := start(t, gateway.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, newLogic())
		breach := func(code transport.Code) { player(t, g).end(transport.Reason{Code: code, Text: "a breach"}) }
		for range 500 {
			breach(transport.ProtocolError)
		}
		synctest.Wait()
		require.Equal(t, 20, strings.Count(log.String(), "session closed"))
		breach(transport.Internal)
		synctest.Wait()
		require.Contains(t, log.String(), "code=INTERNAL", "one kind of end does not hide another")
		time.Sleep(time.Second)
		breach(transport.ProtocolError)
		synctest.Wait()
		require.Contains(t, log.String(), "not_logged_before=480")
		require.EqualValues(t, 501, g.Stats().Endings[transport.ProtocolError.String()])
	})
}
