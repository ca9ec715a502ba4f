package gateway

import (
	"cmp"
	"slices"
	"time"

	"strait/transport"
)

// budgetPause is how long it takes until the use of memory is looked at again.
const budgetPause = 100 * time.Millisecond

// budget keeps the bytes in buffers below the limit of the whole process: over
// it, the sessions that hold the most go first.
type budget struct {
	gw   *Gateway
	wake chan struct{}
}

func newBudget(g *Gateway) *budget { return &budget{gw: g, wake: make(chan struct{}, 1)} }

// signal says that the budget is exceeded. It never blocks.
func (b *budget) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *budget) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-b.wake:
		}
		if n := b.relieve(); n > 0 {
			b.gw.log.Warn("over the budget of buffered bytes", "closed_sessions", n, "used", b.gw.pool.Used(), "budget", b.gw.pool.Limit())
		}
		select {
		case <-stop:
			return
		case <-time.After(budgetPause):
		}
	}
}

// relieve closes the fattest sessions until what they hold would bring the use
// down to nine tenths of the limit. What was closed before and takes its time to end,
// which Linger bounds, gives back what it holds, too: nobody else goes in its place.
func (b *budget) relieve() (closed int) {
	type weight struct {
		s     *session
		bytes int
	}
	excess := b.gw.pool.Used() - b.gw.pool.Limit()
	if excess <= 0 {
		return 0
	}
	excess += b.gw.pool.Limit() / 10
	var ws []weight
	b.gw.table.each(func(s *session) {
		n := s.out.Bytes() + s.conn.Path().Buffered
		if o := s.offered.Load(); o != nil {
			n += o.lane.Path().Buffered
		}
		if s.end.Load() != nil {
			excess -= int64(n)
		} else if n > 0 {
			ws = append(ws, weight{s, n})
		}
	})
	slices.SortFunc(ws, func(x, y weight) int { return cmp.Compare(y.bytes, x.bytes) })
	for _, w := range ws {
		if excess <= 0 {
			break
		}
		code := transport.TooSlow
		if w.s.out.Bytes() < w.bytes/2 {
			code = transport.Overloaded
		}
		w.s.Close(transport.Because(code, "the gateway is short of buffer memory and this session held %d bytes", w.bytes))
		excess -= int64(w.bytes)
		closed++
	}
	return closed
}
