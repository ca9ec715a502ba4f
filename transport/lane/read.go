package lane

import (
	"encoding/binary"
	"time"

	"strait/proto/wire"
	"strait/transport"
)

// Space is where the next bytes of the stream belong; it is at most what the
// frame at hand still needs, so that a blocking read never waits with a whole
// frame in hand. nil: do not read now, because the session is full, not yet
// authenticated or finished; Resume says when to ask again.
func (c *Core) Space() []byte {
	if len(c.pending) > 0 {
		return nil
	}
	return c.space()
}

func (c *Core) space() []byte {
	switch c.state {
	case finished:
		return nil
	case judging:
		if !c.opened.Load() {
			return nil
		}
		c.state = open
	}
	if c.holding() {
		return nil
	}
	if c.buf == nil {
		return c.hdr[c.have:]
	}
	return c.buf.B[c.got:]
}

// holding reports whether the peer must first read some of its PONGs.
func (c *Core) holding() bool {
	if c.unanswered.Load() < maxPings {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pings) < maxPings || c.closing != nil {
		return false
	}
	c.held = true
	return true
}

// Advance takes note of n bytes read into Space. An error is a
// [transport.Reason]: the peer broke the protocol, was told so with CLOSE, and
// nothing more is read.
func (c *Core) Advance(n int, now time.Time) error {
	if n <= 0 || c.state == finished {
		return nil
	}
	err := c.advance(n, now)
	c.note(now)
	return err
}

// Feed hands over bytes read elsewhere; p is borrowed. n is how many were
// taken: fewer than len(p) when Space has become nil, and then the caller keeps
// the rest for after Resume. Errors are those of Advance.
func (c *Core) Feed(p []byte, now time.Time) (n int, err error) {
	if len(c.pending) > 0 {
		return 0, nil
	}
	c.feeding = true
	for n < len(p) && err == nil {
		if c.nextErr != nil || c.nextFrame != nil {
			break
		}
		if len(c.pending) >= maxBatch {
			if c.deliver(); len(c.pending) > 0 {
				break
			}
		}
		s := c.space()
		if s == nil {
			break
		}
		k := copy(s, p[n:])
		n += k
		err = c.advance(k, now)
	}
	c.feeding = false
	if err == nil {
		err = c.Resume()
	}
	c.note(now)
	return n, err
}

// Resume offers the session again what it did not take. From the reader, after
// the transport's Resume was called. Errors are those of Advance.
func (c *Core) Resume() error {
	c.deliver()
	if len(c.pending) > 0 || c.state == finished {
		return nil
	}
	switch {
	case c.nextFrame != nil:
		b := c.nextFrame
		c.nextFrame = nil
		return c.control(b, time.Time{})
	case c.nextErr != nil:
		return c.fail(c.nextErr)
	}
	return nil
}

// End releases what the reader holds: the stream has ended and reason says why.
// From the reader; the peer hears of it unless it did before.
func (c *Core) End(reason transport.Reason) {
	c.deliver()
	for _, m := range c.pending {
		m.Buf.Release()
	}
	c.keep(0)
	if c.nextFrame != nil {
		c.nextFrame.Release()
		c.nextFrame = nil
	}
	c.finish(reason)
}

// finish ends reading and says so, once.
func (c *Core) finish(reason transport.Reason) {
	if c.buf != nil {
		c.buf.Release()
		c.buf = nil
	}
	c.have, c.got = 0, 0
	c.whole()
	if c.state != finished {
		c.state = finished
		c.peer.Closing(reason)
	}
}

// note publishes for other goroutines when something was last heard and since
// when a frame has been incomplete.
func (c *Core) note(now time.Time) {
	if c.complete {
		c.complete = false
		c.heard.Store(now.UnixNano())
		c.whole()
	}
	if c.have == 0 {
		return
	}
	if !c.marked {
		c.marked = true
		c.partial.Store(now.UnixNano())
	}
	if c.buf != nil {
		c.buffered.Store(int32(len(c.buf.B)))
	}
}

// whole notes that no frame is incomplete.
func (c *Core) whole() {
	if c.marked {
		c.marked = false
		c.partial.Store(0)
		c.buffered.Store(0)
	}
}

func (c *Core) advance(n int, now time.Time) error {
	if c.buf == nil {
		c.have += uint8(n)
		if c.have < wire.HeaderLen {
			return nil
		}
		c.frame, _ = wire.ParseHeader(c.hdr[:])
		if err := c.judge(); err != nil {
			return c.fail(err)
		}
		c.buf = c.pool.Get(min(int(c.frame.Length), firstPiece))
	} else {
		c.got += n
	}
	if c.got < len(c.buf.B) {
		return nil
	}
	if c.got < int(c.frame.Length) {
		c.grow()
		return nil
	}
	b := c.buf
	c.buf, c.have, c.got = nil, 0, 0
	c.complete = true
	return c.act(b, now)
}

// judge decides about a frame from its header and the state of the opening.
func (c *Core) judge() error {
	if err := c.limits.Check(c.frame); err != nil {
		return err
	}
	t := c.frame.Type
	if t.Skippable() {
		return nil
	}
	first := wire.ClientHello
	if c.role == Client {
		first = wire.ServerHello
	}
	switch {
	case c.state == waiting && t != first && !(c.role == Client && t == wire.Close):
		return transport.Because(transport.ProtocolError, "%s before %s", t, first)
	case c.state != waiting && t == first:
		return transport.Because(transport.ProtocolError, "a second %s", t)
	}
	return nil
}

func (c *Core) grow() {
	b := c.pool.Get(min(int(c.frame.Length), 2*len(c.buf.B)))
	copy(b.B, c.buf.B)
	c.buf.Release()
	c.buf = b
}

// act acts on one complete frame and takes b.
func (c *Core) act(b *transport.Buf, now time.Time) error {
	switch c.frame.Type {
	case wire.Data:
		c.message(transport.Message{Delivery: transport.Reliable, Channel: c.frame.Channel, Buf: b})
		return nil
	case wire.DataUnreliable:
		seq, body, _ := wire.ParseUnreliable(b.B)
		b.B = body
		c.message(transport.Message{Delivery: transport.Unreliable, Channel: c.frame.Channel, Seq: seq, Buf: b})
		return nil
	case wire.Ack, wire.UDPOffer, wire.GoAway, wire.Close:
		if c.deliver(); len(c.pending) > 0 {
			c.nextFrame = b
			return nil
		}
	}
	return c.control(b, now)
}

// control acts on a complete frame that is no message and takes b. now is not
// looked at for the types that may have waited for messages before them.
func (c *Core) control(b *transport.Buf, now time.Time) error {
	defer b.Release()
	switch t := c.frame.Type; t {
	case wire.ClientHello:
		c.state = judging
		c.peer.Hello(b.B)
	case wire.ServerHello:
		c.state = open
		c.opened.Store(true)
		c.peer.Hello(b.B)
	case wire.Ping:
		c.mu.Lock()
		c.pings = append(c.pings, ping{data: [8]byte(b.B), at: now})
		c.unanswered.Store(int32(len(c.pings)))
		c.mu.Unlock()
	case wire.Pong:
		c.pong(b.B, now)
	case wire.Ack, wire.UDPOffer, wire.GoAway:
		if err := c.peer.Control(transport.Control(t), b.B); err != nil {
			return c.fail(err)
		}
	case wire.Close:
		return c.closed(b)
	}
	return nil
}

func (c *Core) message(m transport.Message) {
	if c.pending == nil {
		c.pending = c.one[:0]
		if c.feeding {
			c.batch = batches.Get().(*[maxBatch]transport.Message)
			c.pending = c.batch[:0]
		}
	}
	c.pending = append(c.pending, m)
	if !c.feeding {
		c.deliver()
	}
}

func (c *Core) deliver() {
	if len(c.pending) == 0 || c.state == finished {
		return
	}
	taken := c.peer.Deliver(c.pending)
	c.keep(copy(c.pending, c.pending[taken:]))
}

// keep leaves the first n messages in pending.
func (c *Core) keep(n int) {
	clear(c.pending[n:])
	c.pending = c.pending[:n]
	if n > 0 {
		return
	}
	c.pending = nil
	if c.batch != nil {
		batches.Put(c.batch)
		c.batch = nil
	}
}

func (c *Core) pong(b []byte, now time.Time) {
	nonce := binary.BigEndian.Uint64(b)
	delay := time.Duration(binary.BigEndian.Uint32(b[8:])) * time.Microsecond
	c.mu.Lock()
	if !c.probe.IsZero() && nonce == c.nonce {
		c.measured(now.Sub(c.probe) - delay)
		c.probe = time.Time{}
	}
	c.mu.Unlock()
	if c.ponged != nil {
		c.ponged(b, now)
	}
}

// closed acts on the peer's CLOSE: what it said before has been handed over, and
// the answer, after what is queued, is a CLOSE of our own.
func (c *Core) closed(b *transport.Buf) error {
	code, text, retry, err := wire.ParseClose(b.B)
	if err != nil {
		return c.fail(err)
	}
	c.finish(transport.Reason{
		Code: transport.Code(min(code, 0xffff)), Text: text, Remote: true,
		RetryAfter: time.Duration(retry) * time.Millisecond,
	})
	c.Close(transport.Reason{Code: transport.Normal, Text: "goodbye"})
	return nil
}

// fail ends reading because of err and tells the peer, once the session has
// taken what came before.
func (c *Core) fail(err error) error {
	if c.deliver(); len(c.pending) > 0 {
		c.nextErr = err
		return nil
	}
	reason, ok := err.(transport.Reason)
	if !ok {
		reason = transport.Because(transport.ProtocolError, "%v", err)
	}
	c.finish(reason)
	c.Close(reason)
	return reason
}
