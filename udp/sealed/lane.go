package sealed

import (
	"net/netip"
	"time"
)

// Gateway makes lanes that share one Config. Safe for concurrent use.
type Gateway struct {
	settings settings
	config   Config
}

// NewGateway returns an error where c does not validate.
func NewGateway(c Config) (*Gateway, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.IdleTimeout = or(c.IdleTimeout, 30*time.Second)
	c.TokenLifetime = or(c.TokenLifetime, 30*time.Second)
	c.OfferEvery = or(c.OfferEvery, leastOfferEvery)
	return &Gateway{settings: c.settings(or(c.PingEvery, 10*time.Second)), config: c}, nil
}

// Lane is the gateway's end of one lane: offers, keys, addresses and measures, but no
// socket, no timer and no goroutine. Not safe for concurrent use.
//
// After each call, or a batch of them, the caller sends what [Lane.Control] gives,
// looks whether [Lane.Bound] and [Lane.OfferDue] have changed, and sees to a
// [Lane.Tick] at [Lane.Deadline].
type Lane struct {
	core
	gateway *Gateway

	offered  *epoch // the last offer, until its first authenticated packet
	epochs   uint8  // the number of the next offer
	offerAt  instant
	anOffer  bool // one is due
	expires  time.Time
	isEnded  bool
	accept   bool // a HELLO is to be answered
	response bool // a PATH_CHALLENGE is to be answered

	route  route  // where the lane is
	probe  *route // a new IP that is challenged while route serves
	proven netip.AddrPort
	moved  instant // last move after the lane was bound; 0: none

	acceptTo, responseTo netip.AddrPort
	responseBody         uint64
}

// Lane makes a lane, which is not bound and has no offer yet. The cid is random, so
// that it is hard to guess, and never that of another lane.
func (g *Gateway) Lane(session SessionID, cid CID, a AEAD, now time.Time) *Lane {
	return &Lane{
		core:    core{settings: &g.settings, base: now, session: session, cid: cid, aead: a, out: ToClient},
		gateway: g,
		anOffer: true,
	}
}

// Offer makes the offer of the next epoch (WIRE.md section 6.1); it replaces one that
// was not taken up. remote is the client as its TLS connection shows it. The errors are
// ErrOfferPending and ErrEnded.
func (l *Lane) Offer(remote netip.AddrPort, now time.Time) (Offer, error) {
	at := l.tick(now)
	if l.isEnded {
		return Offer{}, ErrEnded
	}
	if l.bound && (l.offered != nil || l.prev != nil) {
		return Offer{}, ErrOfferPending
	}
	e := &epoch{number: l.epochs}
	l.epochs++
	if l.cur != nil && l.cur.number&1 == e.number&1 {
		l.cur, l.closing = nil, false // K could not tell them apart
	}
	l.prev = nil
	l.settings.rand(e.secret[:])
	l.offered, l.offerAt, l.anOffer = e, at, false
	c := &l.gateway.config
	l.expires = now.Add(c.TokenLifetime)
	return Offer{
		CID:        l.cid,
		Token:      c.Tokens.Seal(nil, Claims{Session: l.session, CID: l.cid, Epoch: e.number, Expires: l.expires, Remote: remote}),
		Secret:     e.secret,
		Epoch:      e.number,
		AEAD:       l.aead,
		Lifetime:   c.TokenLifetime,
		ResetValue: c.Resets.Value(l.cid),
	}, nil
}

// Bound reports whether the lane carries messages: the client's address is proven.
func (l *Lane) Bound() bool { return l.bound }

// OfferDue reports whether Offer is to be called: the lane is unbound for long enough,
// or its keys are used up soon. True from the start; not while a CLOSE waits for
// Control, whose keys Offer may give up.
func (l *Lane) OfferDue() bool { return l.anOffer && !l.isEnded && !l.closing }

// Ended reports whether Close was called.
func (l *Lane) Ended() bool { return l.isEnded }

// Cause is why the lane is not bound.
func (l *Lane) Cause() Cause { return l.cause }

// Remote is where the client is now; invalid before its first HELLO. It is proven where
// the lane is bound, but for the first second at a new port of the same IP.
func (l *Lane) Remote() netip.AddrPort { return l.route.addr }

// Path is what was measured.
func (l *Lane) Path() Path { return l.path() }

// Ping has a PING sent with the next packet.
func (l *Lane) Ping() { l.pingNow = l.bound }

// Close ends the lane for good. Control gives the CLOSE, if there is somebody to send
// it to; after that the cid is to be forgotten.
func (l *Lane) Close(code uint16, now time.Time) {
	l.tick(now)
	if l.isEnded {
		return
	}
	l.isEnded = true
	l.offered = nil
	l.finish(CauseLocal, code)
}

// finish unbinds the lane with a CLOSE and gives up its keys.
func (l *Lane) finish(cause Cause, code uint16) {
	l.closing, l.code = l.bound, code
	if !l.bound {
		l.cur = nil
	}
	l.prev, l.probe = nil, nil
	l.accept, l.response = false, false
	l.unbind(cause)
}

// Tick lets time pass. It is to be called at Deadline; a call too early does nothing.
func (l *Lane) Tick(now time.Time) { l.tick(now) }

func (l *Lane) tick(now time.Time) instant {
	at := l.at(now)
	l.expire(at)
	l.route.rest(at)
	if l.bound {
		if at-l.heard >= l.gateway.config.IdleTimeout {
			l.unbind(CauseIdle)
			l.probe = nil
		} else if l.spent(at) {
			l.finish(CauseExhausted, 0)
		} else {
			l.age(at)
		}
	} else if l.cur != nil && !l.closing && l.spent(at) {
		l.cur = nil
	}
	l.anOffer = l.anOffer || l.wantsOffer(at)
	return at
}

// wantsOffer reports whether it is time for one more offer.
func (l *Lane) wantsOffer(at instant) bool {
	switch {
	case l.isEnded:
		return false
	case !l.bound:
		return l.offerAt == 0 || at-l.offerAt >= l.gateway.config.OfferEvery
	case l.offered != nil || l.prev != nil:
		return false
	}
	few := l.settings.epochPackets / 4 * 3
	return l.cur.next >= few || l.cur.window.next >= few || at-l.cur.began >= l.settings.epochAge/4*3
}

// Deadline is when the next Tick is due; the zero time is never. It moves later with
// each packet received: a timer that fires too early costs a Tick that does nothing.
func (l *Lane) Deadline() time.Time {
	var e earliest
	if l.isEnded {
		return time.Time{}
	}
	l.deadlines(&e)
	if !l.bound {
		if !l.anOffer {
			e.add(l.offerAt + l.gateway.config.OfferEvery)
		}
		if l.cur != nil && !l.closing {
			e.add(l.route.deadline())
			e.add(l.cur.began + l.settings.epochAge)
		}
		return l.when(instant(e))
	}
	e.add(l.heard + l.gateway.config.IdleTimeout)
	if !l.anOffer && l.offered == nil {
		e.add(max(l.cur.began+l.settings.epochAge/4*3, l.prevUntil))
	}
	e.add(l.route.deadline())
	if !l.route.proven {
		e.add(l.route.began + returnAfter)
	}
	if l.probe != nil {
		e.add(l.probe.deadline())
		e.add(l.probe.heard + challengeFor)
	}
	return l.when(instant(e))
}
