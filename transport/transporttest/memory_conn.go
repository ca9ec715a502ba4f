package transporttest

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"strait/transport"
	"strait/transport/lane"
)

// memoryConn is the gateway's end of a connection in memory: one goroutine that
// reads and writes what it can without blocking and then waits for a signal.
type memoryConn struct {
	// static
	memory   *Memory
	up, down *pipe
	inner    *memoryDatagrams // nil: none
	core     *lane.Core
	opening  *transport.Opening
	deadline time.Time // of the opening
	signal   chan struct{}

	// owned by the goroutine
	peer      transport.Peer // nil: refused
	reason    transport.Reason
	chunk     [4096]byte
	rest      []byte // of chunk: what the lane has not taken
	out       []byte // what the pipe has not taken
	inputDone bool   // nothing more comes
	written   bool   // everything up to the end of the stream was written
	cut       bool   // writing failed, or takes too long
	until     time.Time
	discarded int

	// atomic
	woken   atomic.Bool // there may be something to Fill
	resume  atomic.Bool
	settled atomic.Bool // the session is open, or was evicted before
	ending  atomic.Pointer[transport.Reason]
}

func newMemoryConn(m *Memory) *memoryConn {
	c := &memoryConn{memory: m, deadline: time.Now().Add(m.setup.OpenTimeout), signal: make(chan struct{}, 1)}
	c.up, c.down = newPipe(c.poke), newPipe(c.poke)
	if m.datagrams {
		c.inner = newMemoryDatagrams(c)
	}
	c.core = lane.New(lane.Config{
		Role: lane.Gateway, MaxMessage: m.setup.MaxMessage, Pool: m.setup.Pool, Resume: c.Resume,
	}, memoryPeer{c})
	return c
}

func (c *memoryConn) Kind() transport.Kind { return c.memory.kind() }
func (c *memoryConn) Max() int             { return c.memory.setup.MaxUnreliable }
func (c *memoryConn) Path() transport.Path { return c.core.Path() }

func (c *memoryConn) Datagrams() transport.Lane {
	if c.inner == nil {
		return nil
	}
	return c.inner
}

func (c *memoryConn) Wake() {
	c.woken.Store(true)
	c.poke()
}

func (c *memoryConn) Resume() {
	c.resume.Store(true)
	c.poke()
}

func (c *memoryConn) Ping() {
	c.core.Ping()
	c.Wake()
}

func (c *memoryConn) Control(t transport.Control, payload []byte) {
	if t == transport.ControlServerHello {
		if !c.settled.CompareAndSwap(false, true) {
			return
		}
		if c.opening != nil {
			c.opening.Done()
		}
	}
	c.core.Control(t, payload)
	c.Wake()
}

func (c *memoryConn) Close(r transport.Reason) {
	if c.ending.CompareAndSwap(nil, &r) {
		c.core.Close(r)
		c.Wake()
	}
}

func (c *memoryConn) evict() {
	if c.settled.CompareAndSwap(false, true) {
		c.Close(transport.Because(transport.Overloaded, "too many connections are opening"))
	}
}

func (c *memoryConn) poke() {
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

func (c *memoryConn) sever() {
	c.up.sever()
	c.down.sever()
	if c.inner != nil {
		c.inner.end()
	}
}

func (c *memoryConn) run(accept transport.Accept) {
	peer, err := accept(c)
	if c.peer = peer; err != nil {
		c.peer = nil
		reason := transport.Reason{Code: transport.Internal}
		errors.As(err, &reason)
		c.Close(reason)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !c.over() {
		turned := c.inner != nil && c.inner.turn()
		if read, wrote := c.read(), c.write(); turned || read || wrote {
			continue
		}
		switch {
		case !c.until.IsZero():
			timer.Reset(time.Until(c.until))
		case !c.core.Opened():
			timer.Reset(time.Until(c.deadline))
		default:
			timer.Stop()
		}
		select {
		case <-c.signal:
		case <-timer.C:
			c.late()
		}
	}
	c.sever()
	if c.opening != nil {
		c.opening.Done()
	}
	if c.peer != nil {
		c.peer.Gone(c.reason)
	}
}

// late acts on the deadline that has passed.
func (c *memoryConn) late() {
	now := time.Now()
	switch {
	case !c.until.IsZero() && !now.Before(c.until):
		c.cut = true
	case c.until.IsZero() && !c.core.Opened() && !now.Before(c.deadline):
		c.Close(transport.Because(transport.Timeout, "the session was not open after %v", c.memory.setup.OpenTimeout))
	}
}

// over reports whether nothing is left to do, and starts what comes at the end.
func (c *memoryConn) over() bool {
	if r := c.ending.Load(); r != nil {
		c.core.End(*r)
	}
	if !c.core.Finished() {
		return false
	}
	if c.until.IsZero() {
		c.until = time.Now().Add(c.memory.setup.Linger)
		c.woken.Store(true)
	}
	return c.reason.Lost || c.cut || c.written && c.inputDone
}

// read hands on what has arrived, or discards it at the end; false: nothing was done.
func (c *memoryConn) read() bool {
	if c.core.Finished() {
		return c.discard()
	}
	if c.resume.Swap(false) {
		_ = c.core.Resume() // an error is the end that Finished tells
		c.owe()
		return true
	}
	if len(c.rest) == 0 {
		if c.core.Space() == nil {
			return false
		}
		n, err := c.up.tryRead(c.chunk[:])
		if err != nil {
			text := err.Error()
			if errors.Is(err, io.EOF) {
				text = "the client ended the stream without CLOSE"
			}
			c.inputDone = true
			c.core.End(transport.Reason{Lost: true, Text: text})
			return true
		}
		if c.rest = c.chunk[:n]; n == 0 {
			return false
		}
	}
	n, _ := c.core.Feed(c.rest, time.Now()) // an error is the end that Finished tells
	c.rest = c.rest[n:]
	c.owe()
	return n > 0
}

func (c *memoryConn) owe() {
	if c.core.Owes() {
		c.woken.Store(true)
	}
}

func (c *memoryConn) discard() bool {
	if c.inputDone || c.discarded >= c.memory.setup.LingerBytes {
		return false
	}
	n, err := c.up.tryRead(c.chunk[:])
	c.discarded += n
	c.inputDone = err != nil
	return n > 0 || err != nil
}

// write writes what there is and the pipe takes; false: nothing was done.
func (c *memoryConn) write() bool {
	if c.written || c.cut {
		return false
	}
	done := false
	if len(c.out) == 0 {
		if !c.woken.Swap(false) {
			return false
		}
		if c.out, done = c.core.Fill(c.out[:0], 16384, time.Now()); len(c.out) > 0 {
			c.woken.Store(true)
		} else if !done {
			c.core.Idle()
			return false
		}
	}
	n, err := c.down.tryWrite(c.out)
	c.out = c.out[n:]
	switch {
	case err != nil:
		c.out, c.cut = nil, true
		c.up.end() // reading will find that out when it has read what is there
	case done && len(c.out) == 0:
		c.written = true
		c.until = time.Now().Add(c.memory.setup.Linger)
		c.down.end()
	}
	return n > 0 || done || err != nil
}

// memoryPeer is the peer as the lane sees it, also while there is none.
type memoryPeer struct{ c *memoryConn }

func (p memoryPeer) Hello(b []byte) { p.c.peer.Hello(b) }

func (p memoryPeer) Control(t transport.Control, payload []byte) error {
	return p.c.peer.Control(t, payload)
}

func (p memoryPeer) Deliver(ms []transport.Message) int { return p.c.peer.Deliver(ms) }

func (p memoryPeer) Channels(dst []uint8) []uint8 { return p.c.peer.Channels(dst) }

func (p memoryPeer) Pull(dst []transport.Message, d transport.Delivery, channel, budget int) []transport.Message {
	if p.c.inner != nil {
		return p.c.inner.pull(dst, d, budget)
	}
	return p.c.peer.Pull(dst, d, channel, budget)
}

func (p memoryPeer) Closing(r transport.Reason) {
	p.c.reason = r
	if p.c.peer != nil {
		p.c.peer.Closing(r)
	}
}

func (memoryPeer) Gone(transport.Reason) {}
