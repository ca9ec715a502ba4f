package sealed

import (
	"slices"
	"time"
)

// Seal finishes p; pkt is a part of p's buffer. Control frames ride along. With an
// error, ErrUnbound or ErrEmpty, there is nothing to send and p may be started anew.
func (c *Client) Seal(p *Packet, now time.Time) (pkt []byte, err error) {
	at := c.tick(now)
	if c.state != Bound {
		return nil, ErrUnbound
	}
	if p.Empty() || p.d != ToGateway {
		return nil, ErrEmpty
	}
	c.fill(p, at)
	c.sentAt = at
	return c.seal(p), nil
}

// fill appends what waits for the gateway.
func (c *Client) fill(p *Packet, at instant) {
	if c.response && p.opaque(frameResponse, c.challenge, p.left()) {
		c.response = false
	}
	if c.state != Bound {
		return
	}
	asks := c.pingNow
	c.ride(p, at, p.left())
	if asks && !c.pingNow && c.silent == 0 {
		c.silent = at
	}
}

// Control appends the next packet of the lane's own, if there is one: HELLO, answers,
// PING, REPORT, CLOSE. dst needs MaxPacket bytes of room, else it is allocated. To be
// called until ok is false.
func (c *Client) Control(dst []byte, now time.Time) (out []byte, ok bool) {
	at := c.tick(now)
	switch {
	case c.closing:
		var p Packet
		dst = slices.Grow(dst, MaxPacket)
		p.Start(dst[len(dst):cap(dst)], ToGateway)
		p.ending(c.code, p.left())
		b := c.seal(&p)
		c.closing, c.cur = false, nil
		return dst[:len(dst)+len(b)], true
	case c.helloDue(at):
		return c.hello(slices.Grow(dst, MaxPacket), now), true
	case c.response, c.state == Bound && c.waiting(at):
		var p Packet
		dst = slices.Grow(dst, MaxPacket)
		p.Start(dst[len(dst):cap(dst)], ToGateway)
		c.fill(&p, at)
		if p.Empty() {
			return dst, false
		}
		b := c.seal(&p)
		return dst[:len(dst)+len(b)], true
	}
	return dst, false
}

// helloDue reports whether a HELLO is to be sent now. Of several that were missed one
// is enough.
func (c *Client) helloDue(at instant) (due bool) {
	if c.state != Opening {
		return false
	}
	due, c.helloNo = c.helloNo, false
	for c.helloed < len(helloAt) && at >= c.series+helloAt[c.helloed] {
		due = true
		c.helloed++
	}
	return due
}

// hello appends a HELLO with a new packet number.
func (c *Client) hello(dst []byte, now time.Time) []byte {
	e, start := c.cur, len(dst)
	dst, sealed := appendHello(dst, e.number, c.cid, c.cookie, uint32(e.next), c.offer.Token, uint64(now.UnixMicro()))
	dst = e.send.aead.Seal(dst[:sealed], c.nonce(&e.send.iv, e.next), dst[sealed:], dst[start:sealed])
	e.next++
	return dst
}
