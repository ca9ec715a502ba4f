package lane

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"strait/proto/wire"
	"strait/transport"
)

// Control queues a control frame; payload is borrowed. On the gateway's end
// ControlServerHello opens the lane. After Close it does nothing.
func (c *Core) Control(t transport.Control, payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil {
		return
	}
	c.ctl = wire.AppendFrame(c.ctl, wire.Type(t), 0, payload)
	if t == transport.ControlServerHello {
		c.opened.Store(true)
	}
}

// ClientHello queues the first frame of a client; payload is borrowed.
func (c *Core) ClientHello(payload []byte) {
	c.mu.Lock()
	c.ctl = wire.AppendFrame(c.ctl, wire.ClientHello, 0, payload)
	c.mu.Unlock()
}

// Ping asks for a PING to be written, if none is under way. Any goroutine.
func (c *Core) Ping() {
	c.mu.Lock()
	c.wantPing = true
	c.mu.Unlock()
}

// Close asks for the end: what is queued is still written, except towards a peer
// that was too slow for it, then CLOSE. The first reason counts. Any goroutine.
func (c *Core) Close(r transport.Reason) {
	text := r.Text
	if text == "" {
		text = r.Code.String()
	}
	c.mu.Lock()
	if c.closing == nil {
		c.closing = wire.AppendClose(nil, uint32(r.Code), text, uint32(r.RetryAfter.Milliseconds()))
		c.discard = r.Code == transport.TooSlow
	}
	c.mu.Unlock()
}

// Closing reports whether Close was called. Any goroutine.
func (c *Core) Closing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing != nil
}

// Fill appends what there is to write to dst: control frames, then messages up
// to limit bytes in all, with their headers (a longer message goes alone, or last),
// then, when closing and nothing is left, CLOSE. Nothing appended means nothing to
// do until the writer is woken again; else ask again. done: CLOSE has been
// appended by this or an earlier call, and nothing follows.
func (c *Core) Fill(dst []byte, limit int, now time.Time) (out []byte, done bool) {
	start := len(dst)
	c.mu.Lock()
	if c.closeSent {
		c.mu.Unlock()
		return dst, true
	}
	dst = append(dst, c.ctl...)
	c.ctl = c.ctl[:0]
	if cap(c.ctl) > 1024 {
		c.ctl = nil
	}
	opened := c.opened.Load()
	release := false
	if opened {
		for _, p := range c.pings {
			dst = wire.AppendPong(dst, p.data, micros(now.Sub(p.at)))
		}
		release, c.held = c.held, false
		c.pings = c.pings[:0]
		c.unanswered.Store(0)
		if cap(c.pings) > 4 {
			c.pings = nil
		}
		if c.wantPing && c.closing == nil && (c.probe.IsZero() || now.Sub(c.probe) > probeAgain) {
			c.nonce = rand.Uint64() // not to be guessed: who answers has received it
			c.probe = now
			var nonce [8]byte
			binary.BigEndian.PutUint64(nonce[:], c.nonce)
			dst = wire.AppendFrame(dst, wire.Ping, 0, nonce[:])
		}
		c.wantPing = false
	}
	// Only an end asked for by now: what was queued before it is pulled below.
	closing, discard := c.closing, c.discard
	c.mu.Unlock()
	if release && c.resume != nil {
		c.resume()
	}

	dry := true
	if opened && !discard {
		// Unreliable messages are the more urgent ones and bounded by their queue;
		// half the space for them keeps reliable ones moving.
		var noneUnreliable, noneReliable bool
		dst, noneUnreliable = c.pull(dst, transport.Unreliable, (limit-(len(dst)-start))/2)
		dst, noneReliable = c.pull(dst, transport.Reliable, limit-(len(dst)-start))
		if noneReliable && !noneUnreliable {
			dst, noneUnreliable = c.pull(dst, transport.Unreliable, limit-(len(dst)-start))
		}
		dry = noneReliable && noneUnreliable
	}
	if dry && closing != nil {
		dst = append(dst, closing...)
		c.mu.Lock()
		c.closeSent = true
		c.mu.Unlock()
		done = true
	}
	return dst, done
}

// pull encodes messages of one class, about budget bytes; none means that there
// was nothing left of it.
func (c *Core) pull(dst []byte, d transport.Delivery, budget int) (out []byte, none bool) {
	if budget <= 0 {
		return dst, false
	}
	if c.pulled == nil {
		c.pulled = pulls.Get().(*[]transport.Message)
	}
	ms := c.peer.Pull((*c.pulled)[:0], d, transport.AnyChannel, budget)
	for _, m := range ms {
		if d == transport.Unreliable {
			dst = wire.AppendUnreliable(dst, m.Channel, m.Seq, m.Buf.B)
		} else {
			dst = wire.AppendFrame(dst, wire.Data, m.Channel, m.Buf.B)
		}
		m.Buf.Release()
	}
	clear(ms)
	*c.pulled = ms[:0]
	return dst, len(ms) == 0
}

// Idle gives back the memory that pulling needed; from the writer, when it has
// nothing left to do, also at its end.
func (c *Core) Idle() {
	if c.pulled != nil {
		pulls.Put(c.pulled)
		c.pulled = nil
	}
}
