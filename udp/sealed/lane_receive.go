package sealed

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Hello takes a HELLO whose cookie, under load, and token the caller has checked: c is
// what Tokens.Open gave. It decrypts in place: the packet that h is a part of is
// garbage after. What it drops is counted, and the reason returned.
func (l *Lane) Hello(h Hello, c Claims, from netip.AddrPort, now time.Time) Drop {
	at := l.tick(now)
	return l.drop(l.hello(h, c, from, now, at))
}

func (l *Lane) hello(h Hello, c Claims, from netip.AddrPort, now time.Time, at instant) Drop {
	if l.isEnded || l.closing {
		return DropUnbound
	}
	if h.CID != l.cid || c.CID != l.cid || c.Session != l.session {
		return DropToken
	}
	e := l.epochOf(h.key)
	if e == nil || !e.used {
		if !now.Before(c.Expires) {
			return DropExpired
		}
	}
	if e == nil || e == l.prev || e.number != c.Epoch {
		return DropEpoch
	}
	sealed := helloFixed + len(h.Token)
	plain, highest, drop := l.open(e, h.pkt, sealed, h.number, h.pkt[:sealed])
	if drop != DropNone {
		return drop
	}
	if !allZero(plain[helloTime:]) {
		return DropHello
	}
	e.used = true
	highest = l.authentic(e, highest, at)
	l.follow(from, len(h.pkt), highest && e == l.cur, true, at)
	l.accept, l.acceptTo = true, from
	return DropNone
}

// Receive takes a DATA packet and decrypts it in place: pkt is garbage after. Messages
// go to h before it returns. What it drops is counted, and the reason returned; a
// packet that is dropped has no effect.
func (l *Lane) Receive(pkt []byte, from netip.AddrPort, now time.Time, h Handler) Drop {
	at := l.tick(now)
	return l.drop(l.receive(pkt, from, at, h))
}

func (l *Lane) receive(pkt []byte, from netip.AddrPort, at instant, h Handler) Drop {
	if t, ok := TypeOf(pkt); !ok || t != TypeData {
		return DropType
	}
	if len(pkt) < MinData || len(pkt) > MaxPacket {
		return DropSize
	}
	if CID(pkt[1:9]) != l.cid {
		return DropUnknown
	}
	if l.isEnded || l.closing {
		return DropUnbound
	}
	e := l.epochOf(keyOf(pkt))
	if e == nil {
		return DropEpoch
	}
	if e == l.offered && !l.route.addr.IsValid() {
		return DropUnbound // DATA cannot be the first packet of a lane
	}
	plain, highest, drop := l.open(e, pkt, gatewayHeader, binary.BigEndian.Uint32(pkt[9:]), pkt[:gatewayHeader])
	if drop != DropNone {
		return drop
	}
	if drop := check(plain, ToGateway); drop != DropNone {
		return drop
	}
	newest := l.authentic(e, highest, at) && e == l.cur
	l.follow(from, len(pkt), newest, false, at)
	if l.bound && at-l.pinged >= l.settings.pingEvery {
		l.pingNow = true
	}
	for rest := plain; len(rest) > 0; {
		var f []byte
		f, rest = cut(rest, ToGateway)
		switch f[0] {
		case frameClose:
			l.cur, l.prev, l.probe = nil, nil, nil
			l.accept, l.response = false, false
			l.unbind(CauseRemote)
			l.anOffer = l.anOffer || l.wantsOffer(at)
			return DropNone
		case frameChallenge:
			l.response, l.responseTo, l.responseBody = true, from, binary.BigEndian.Uint64(f[1:])
		case frameResponse:
			l.respond([8]byte(f[1:]), from, newest, at)
		default:
			l.common(e, f, at, h)
		}
	}
	return DropNone
}

// epochOf chooses the keys by K; nil where there are none. No two that are kept at one
// time have the same.
func (l *Lane) epochOf(key uint8) *epoch {
	for _, e := range [...]*epoch{l.offered, l.cur, l.prev} {
		if e != nil && e.number&1 == key {
			return e
		}
	}
	return nil
}

// authentic takes note of a packet that proved itself. The first one of an offer makes
// its epoch the one to send under (WIRE.md section 6.6). It reports whether the packet
// is the highest of its epoch.
func (l *Lane) authentic(e *epoch, highest bool, at instant) bool {
	l.heard = at
	if e == l.offered {
		l.prev, l.prevUntil = l.cur, at+oldEpoch
		l.cur, l.offered = e, nil
		e.began = at
		return true
	}
	return highest
}
