package sealed

import (
	"crypto/subtle"
	"fmt"
	"time"
)

// State is what a client's lane is doing.
type State uint8

const (
	Unbound State = iota // nothing: a new offer is awaited
	Opening              // a series of HELLOs is on its way
	Bound                // messages go
)

// String returns a name for logs.
func (s State) String() string {
	switch s {
	case Unbound:
		return "unbound"
	case Opening:
		return "opening"
	case Bound:
		return "bound"
	}
	return "unknown"
}

// helloAt are the times of a series of HELLOs; it has failed helloLast after the last
// (WIRE.md section 6.4).
var helloAt = [...]time.Duration{0, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second}

const helloLast = time.Second

// leastPing bounds how often a gateway of little patience has PINGs sent.
const leastPing = 100 * time.Millisecond

// Client is the client's end of one lane, on one socket that is connected to the
// address of the offer. It has no socket, timer or goroutine of its own. Not safe for
// concurrent use.
//
// After each call, or a batch of them, the caller sends what [Client.Control] gives,
// looks whether [Client.State] has changed, and sees to a [Client.Tick] at
// [Client.Deadline].
type Client struct {
	core
	own       settings
	deadAfter time.Duration

	state   State
	offer   Offer
	token   [MaxToken]byte // the offer's
	cookie  [CookieLen]byte
	retried bool // this series was answered by RETRY
	helloed int  // HELLOs of the series that were sent, by helloAt
	helloNo bool // one more is to be sent at once, with the cookie
	// challenges counts the PATH_CHALLENGEs received.
	challenges uint64
	series     instant

	idle      time.Duration // of our silence, after which the gateway unbinds the lane
	silent    instant       // since this PING nothing came; 0: something did
	response  bool
	challenge uint64 // the newest
}

// NewClient returns a client without an offer. The error is of c.Validate.
func NewClient(c ClientConfig, session SessionID, now time.Time) (*Client, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	cl := &Client{
		own:       c.settings(or(c.PingEvery, 5*time.Second)),
		deadAfter: or(c.DeadAfter, 4*time.Second),
	}
	cl.core = core{settings: &cl.own, base: now, session: session, out: ToGateway}
	return cl, nil
}

// Offer takes a UDP_OFFER. To a lane that is bound it is a rotation: the next packet
// starts the new epoch. Otherwise, and where it is for another lane, it starts a series
// of HELLOs. o.Token is copied. The error says what is wrong with the offer, which then
// has no effect.
func (c *Client) Offer(o Offer, now time.Time) error {
	at := c.tick(now)
	if !o.AEAD.Known() {
		return fmt.Errorf("sealed: an offer with AEAD %d: want 1 or 2", uint8(o.AEAD))
	}
	if len(o.Token) == 0 || len(o.Token) > MaxToken {
		return fmt.Errorf("sealed: an offer with a token of %d bytes: want 1 to %d", len(o.Token), MaxToken)
	}
	e := &epoch{number: o.Epoch, secret: o.Secret, began: at}
	rotates := c.state == Bound && o.CID == c.cid && o.AEAD == c.aead && o.Epoch&1 != c.cur.number&1
	if !rotates {
		c.leave(CauseReplaced)
	}
	c.offer, c.cid, c.aead = o, o.CID, o.AEAD
	c.offer.Token = c.token[:copy(c.token[:], o.Token)]
	clear(c.offer.Secret[:])
	if rotates {
		c.prev, c.prevUntil = c.cur, 0
		c.cur = e
		c.pingNow = true // the gateway follows at the first packet
	} else {
		c.cur, c.prev, c.state = e, nil, Opening
		c.series, c.helloed, c.helloNo, c.retried = at, 0, false, false
		c.cookie = [CookieLen]byte{}
	}
	e.ready(&c.core)
	return nil
}

// State says what the lane is doing. It may change in every call that takes a time.
func (c *Client) State() State { return c.state }

// Bound reports whether the lane carries messages.
func (c *Client) Bound() bool { return c.state == Bound }

// Cause is why the lane is not bound.
func (c *Client) Cause() Cause { return c.cause }

// Path is what was measured.
func (c *Client) Path() Path { return c.path() }

// Challenges is how many PATH_CHALLENGEs came: one or more with each binding, and more
// when the gateway saw the lane at another address.
func (c *Client) Challenges() uint64 { return c.challenges }

// Ping has a PING sent with the next packet.
func (c *Client) Ping() { c.pingNow = c.state == Bound }

// Rebind says that this end's address has changed, or may have: a PING goes out, by
// which the gateway learns the new one, and the patience with silence starts anew.
func (c *Client) Rebind(now time.Time) {
	c.tick(now)
	c.silent = 0
	c.Ping()
}

// Close unbinds the lane; Control gives the CLOSE if it was bound. A later Offer opens
// it again.
func (c *Client) Close(code uint16, now time.Time) {
	c.tick(now)
	c.finish(CauseLocal, code)
}

// finish unbinds the lane with a CLOSE.
func (c *Client) finish(cause Cause, code uint16) {
	say := c.state == Bound
	e := c.cur
	c.leave(cause)
	if say {
		c.cur, c.closing, c.code = e, true, code
	}
}

// leave unbinds the lane without a word.
func (c *Client) leave(cause Cause) {
	if c.state != Unbound {
		c.state = Unbound
		c.unbind(cause)
	}
	c.cur, c.prev, c.closing = nil, nil, false
	c.response, c.helloNo, c.silent, c.sentAt = false, false, 0, 0
}

// Tick lets time pass. It is to be called at Deadline; a call too early does nothing.
func (c *Client) Tick(now time.Time) { c.tick(now) }

func (c *Client) tick(now time.Time) instant {
	at := c.at(now)
	c.expire(at)
	switch c.state {
	case Opening:
		if at >= c.failsAt() {
			c.leave(CauseFailed)
		}
	case Bound:
		switch {
		case c.silent != 0 && at-c.silent >= c.deadAfter:
			c.finish(CauseDead, 5)
		case c.spent(at):
			c.finish(CauseExhausted, 0)
		case at >= c.pingAt():
			c.pingNow = true
		}
	}
	return at
}

// failsAt is when the series of HELLOs has failed.
func (c *Client) failsAt() instant { return c.series + helloAt[len(helloAt)-1] + helloLast }

// pingAt is when the next PING is due: sooner where the gateway is silent.
func (c *Client) pingAt() instant {
	again := c.deadAfter / 4
	if c.silent != 0 {
		return c.pinged + again
	}
	at := c.pinged + c.settings.pingEvery
	if c.idle > 0 {
		at = min(at, c.pinged+max(c.idle/3, leastPing))
	}
	if c.sentAt > c.heard {
		at = min(at, max(c.heard, c.pinged)+again)
	}
	return at
}

// Deadline is when the next Tick is due; the zero time is never. It moves later with
// each packet received: a timer that fires too early costs a Tick that does nothing.
func (c *Client) Deadline() time.Time {
	var e earliest
	c.deadlines(&e)
	switch c.state {
	case Opening:
		e.add(c.failsAt())
		if c.helloed < len(helloAt) {
			e.add(c.series + helloAt[c.helloed])
		}
	case Bound:
		e.add(c.pingAt())
		if c.silent != 0 {
			e.add(c.silent + c.deadAfter)
		}
	}
	return c.when(instant(e))
}

// genuine compares a RESET's value with the offer's in constant time.
func (c *Client) genuine(value *[16]byte) bool {
	return subtle.ConstantTimeCompare(value[:], c.offer.ResetValue[:]) == 1
}
