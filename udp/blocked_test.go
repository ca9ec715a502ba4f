package udp

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// narrow is a port that can be full.
type narrow struct {
	port
	takes   atomic.Int64 // datagrams that it has room for
	waiting atomic.Bool  // a write waits for opened
	opened  chan struct{}
}

func (n *narrow) write(out []datagram, wait bool) (total int) {
	for {
		room := n.takes.Load()
		k := min(int64(len(out)), room)
		n.takes.Add(-k)
		done := n.port.write(out[:k], wait)
		total += done
		if !wait || done == len(out) {
			return total
		}
		out = out[done:]
		n.waiting.Store(true)
		<-n.opened
	}
}

// A full socket stops nobody: what is queued meanwhile is the session's to drop, and
// all goes on when there is room.
func TestFullSocket(t *testing.T) {
	for _, share := range []bool{false, true} {
		fullSocket(t, share)
	}
}

func fullSocket(t *testing.T, share bool) {
	n := &narrow{opened: make(chan struct{})}
	n.takes.Store(1 << 40)
	s := newSite(t, "127.0.0.1", func(c *Config) {
		c.Share, c.inner.port = share, func(p port) port { n.port = p; return n }
	})
	p, c := s.open(true, 0)
	so := s.sv.sockets[0]
	if so.port.waits() {
		t.Skip("the portable way waits in package net")
	}
	c.until(func() bool { return !c.step(time.Millisecond) }, "quiet")
	s.eventually(func() bool { return so.writer.Load() == idle }, "nobody writes")
	n.takes.Store(2)
	for range 5 {
		p.send(0, "x") // returns although the socket is full
	}
	c.until(func() bool { return len(c.got) == 2 }, "as many as there is room for")
	s.eventually(n.waiting.Load, "what is sealed waits")
	for i := range 10000 {
		p.out.Push(message(s.pool, "y"))
		if i%100 == 0 {
			p.lane.Wake()
		}
	}
	require.LessOrEqual(t, int(s.pool.Used()), 128<<10, "the session's limit holds")
	n.takes.Store(1 << 40)
	n.opened <- struct{}{}
	c.until(func() bool { return len(c.got) > 100 && !c.step(time.Millisecond) }, "then all goes on")
	require.Zero(t, p.out.Bytes())
	s.eventually(func() bool { return so.writer.Load() == idle }, "nobody writes")
}

// Many goroutines at once, for the race detector and for lost wakes.
func TestConcurrency(t *testing.T) {
	everywhere(t, func(t *testing.T, host string, change func(*Config)) {
		s := newSite(t, host, change)
		var wg sync.WaitGroup
		const lanes, rounds = 6, 60
		for i := range lanes {
			p, c := s.open(true, i)
			wg.Go(func() {
				for i := range rounds {
					s.sv.Cork()
					p.send(1, "from game logic")
					p.lane.Ping()
					p.lane.Path()
					s.sv.Uncork()
					if i%20 == 0 {
						s.sv.Stats()
					}
				}
			})
			wg.Go(func() {
				for i := range rounds {
					c.send(0, uint16(i), "an echo")
					for c.step(time.Millisecond) {
					}
				}
				for end := time.Now().Add(patience); len(c.got) < 2*rounds && time.Now().Before(end); {
					c.step(time.Millisecond)
				}
				if len(c.got) != 2*rounds {
					p.blame("messages were lost or stuck")
				}
				p.lane.Close(reasonNormal)
			})
		}
		wg.Wait()
		s.eventually(func() bool { return s.sv.Stats().Lanes == 0 }, "all are closed")
	})
}
