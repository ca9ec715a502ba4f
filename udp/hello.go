package udp

import (
	"time"

	"strait/udp/sealed"
)

// hello judges a HELLO in the order of WIRE.md section 6.4, cheapest first, and
// returns what became of it; DropNone: it was answered.
func (s *socket) hello(d *datagram, now time.Time) sealed.Drop {
	sv := s.service
	h, drop := sealed.ParseHello(d.b)
	if drop != sealed.DropNone {
		sv.drops.Add(drop)
		return drop
	}
	nano := now.UnixNano()
	sv.load.hello(nano)
	if sv.demand(nano) && !sv.cookies.Valid(h.Cookie, d.remote, h.CID, now) {
		r := reply{remote: d.remote, local: d.local}
		r.n = len(sealed.AppendRetry(r.b[:0], h, sv.cookies.Make(d.remote, h.CID, now)))
		if s.answer(&r) {
			sv.retriesSent.add(1)
		}
		sv.drops.Add(sealed.DropCookie)
		return sealed.DropCookie
	}
	// What proves itself below gives its token back: players behind one address are
	// as many as they are.
	bucket, per := sv.prefixes.bucket(d.remote.Addr()), time.Second/time.Duration(sv.config.HelloRate)
	if !bucket.take(nano, per, 4*sv.config.HelloRate) {
		sv.drops.Add(sealed.DropRate)
		return sealed.DropRate
	}
	id := parseCID(h.CID[:])
	l := sv.table.find(id)
	if l == nil {
		sv.drops.Add(sealed.DropUnknown)
		sv.load.failure(nano)
		s.reset(d, id, now)
		return sealed.DropUnknown
	}
	claims, ok := sv.tokens.Open(h.Token)
	if !ok {
		sv.drops.Add(sealed.DropToken)
		sv.load.failure(nano)
		return sealed.DropToken
	}
	switch drop = l.hello(d, h, claims, now); drop {
	case sealed.DropNone:
		bucket.refund(per)
	case sealed.DropAuth, sealed.DropToken:
		sv.load.failure(nano)
	}
	return drop
}

// demand says whether a HELLO must bring a cookie now.
func (sv *Service) demand(nano int64) bool {
	switch sv.config.Retry {
	case RetryAlways:
		return true
	case RetryOff:
		return false
	}
	return sv.load.high(nano)
}
