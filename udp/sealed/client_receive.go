package sealed

import (
	"encoding/binary"
	"time"
)

// Receive takes a packet that came from the gateway's address and decrypts it in place:
// pkt is garbage after. Messages go to h before it returns. What it drops is counted,
// and the reason returned; a packet that is dropped has no effect.
func (c *Client) Receive(pkt []byte, now time.Time, h Handler) Drop {
	at := c.tick(now)
	t, ok := TypeOf(pkt)
	if !ok {
		return c.drop(DropType)
	}
	switch t {
	case TypeRetry:
		return c.drop(c.retry(pkt))
	case TypeReset:
		return c.drop(c.reset(pkt))
	case TypeData:
		return c.drop(c.data(pkt, at, h))
	}
	return c.drop(DropType)
}

// retry answers a RETRY with one more HELLO, at once and once a series.
func (c *Client) retry(pkt []byte) Drop {
	cid, cookie, ok := ParseRetry(pkt)
	if !ok {
		return DropSize
	}
	if c.state != Opening || c.helloed == 0 || c.retried || cid != c.cid || keyOf(pkt) != c.cur.number&1 {
		return DropRetry
	}
	c.cookie, c.retried, c.helloNo = cookie, true, true
	return DropNone
}

// reset unbinds a lane that the gateway does not know.
func (c *Client) reset(pkt []byte) Drop {
	cid, value, ok := ParseReset(pkt)
	if !ok {
		return DropSize
	}
	if c.state == Unbound {
		return DropUnbound
	}
	if good := c.genuine(&value); !good || cid != c.cid {
		return DropReset
	}
	c.leave(CauseReset)
	return DropNone
}

func (c *Client) data(pkt []byte, at instant, h Handler) Drop {
	if len(pkt) < minToClient || len(pkt) > MaxPacket {
		return DropSize
	}
	if c.state == Unbound {
		return DropUnbound
	}
	e := c.cur
	if e.number&1 != keyOf(pkt) {
		if e = c.prev; e == nil {
			return DropEpoch
		}
	}
	plain, _, drop := c.open(e, pkt, clientHeader, binary.BigEndian.Uint32(pkt[1:]), c.extra(pkt[:clientHeader], ToClient))
	if drop != DropNone {
		return drop
	}
	if drop := check(plain, ToClient); drop != DropNone {
		return drop
	}
	c.heard, c.silent = at, 0
	if e == c.cur && c.prev != nil && c.prevUntil == 0 {
		c.prevUntil = at + oldEpoch
	}
	for rest := plain; len(rest) > 0; {
		var f []byte
		f, rest = cut(rest, ToClient)
		switch f[0] {
		case frameClose:
			c.leave(CauseRemote)
			return DropNone
		case frameAccept:
			c.accepted(time.Duration(binary.BigEndian.Uint32(f[9:])) * time.Millisecond)
		case frameChallenge:
			c.challenges++
			c.response, c.challenge = true, binary.BigEndian.Uint64(f[1:])
		case frameResponse: // this end challenges nobody
		default:
			c.common(e, f, at, h)
		}
	}
	return DropNone
}

// accepted takes an ACCEPT: with the first one the lane is bound.
func (c *Client) accepted(idle time.Duration) {
	c.idle = idle
	if c.state != Opening {
		return
	}
	c.state, c.bound, c.cause = Bound, true, CauseNone
	c.helloNo, c.pingNow = false, true
}
