package gateway

import (
	"maps"
	"slices"
	"sync"
)

// conns are the connections that must have ended before a shutdown has.
type conns struct {
	mu      sync.Mutex
	n       int
	opening map[*peer]struct{} // those that have no session
	closed  bool
	zero    chan struct{} // closed when n is 0; nil: nobody waits
}

// enter counts one more; false once there are to be none.
func (c *conns) enter(p *peer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.n++
	if c.opening == nil {
		c.opening = make(map[*peer]struct{})
	}
	c.opening[p] = struct{}{}
	return true
}

// opened says that p has a session.
func (c *conns) opened(p *peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.opening, p)
}

func (c *conns) leave(p *peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.opening, p)
	c.n--
	if c.n == 0 && c.zero != nil {
		close(c.zero)
		c.zero = nil
	}
}

// close refuses every later enter. It returns a channel that is closed when all have
// left, and who has no session yet.
func (c *conns) close() (gone <-chan struct{}, opening []*peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	ch := make(chan struct{})
	if c.n == 0 {
		close(ch)
	} else {
		c.zero = ch
	}
	return ch, slices.Collect(maps.Keys(c.opening))
}
