package sealed

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

// Seal finishes p and says where to send it; pkt is a part of p's buffer. Control
// frames ride along. With an error there is nothing to send and p may be started anew:
// ErrUnbound, ErrEmpty, or ErrBudget, with which the same may be sent later.
func (l *Lane) Seal(p *Packet, now time.Time) (pkt []byte, to netip.AddrPort, err error) {
	at := l.tick(now)
	if !l.bound {
		return nil, netip.AddrPort{}, ErrUnbound
	}
	if p.Empty() || p.d != ToClient {
		return nil, netip.AddrPort{}, ErrEmpty
	}
	need := p.size()
	if l.route.due(at) { // the challenge, which ends the limit, comes first
		if need += opaqueLen; p.left() < opaqueLen {
			need += clientHeader + tagLen
		}
	}
	if l.route.spare() < uint64(need) {
		return nil, netip.AddrPort{}, ErrBudget
	}
	l.fill(p, &l.route, at, l.route.room()-p.size())
	l.sentAt = at
	return l.finishPacket(p, &l.route), l.route.addr, nil
}

// fill appends what waits for the client at r, the lane's route, as far as it fits
// into room bytes.
func (l *Lane) fill(p *Packet, r *route, at instant, room int) {
	limit := p.n + room
	if r.due(at) && p.opaque(frameChallenge, binary.BigEndian.Uint64(r.challenge[:]), limit-p.n) {
		r.again = at + challengeEvery
	}
	if l.response && l.responseTo == r.addr && p.opaque(frameResponse, l.responseBody, limit-p.n) {
		l.response = false
	}
	if l.bound {
		l.ride(p, at, limit-p.n)
	}
}

// finishPacket seals p for r, which is nil for an address without account.
func (l *Lane) finishPacket(p *Packet, r *route) []byte {
	b := l.seal(p)
	if r != nil {
		r.sent += uint64(len(b))
	}
	return b
}

// Control appends the next packet of the lane's own, if there is one, and says where to
// send it: answers to HELLO, challenges, PONG, PING, REPORT, CLOSE. dst needs MaxPacket
// bytes of room, else it is allocated. To be called until ok is false.
func (l *Lane) Control(dst []byte, now time.Time) (out []byte, to netip.AddrPort, ok bool) {
	at := l.tick(now)
	if l.cur == nil || !l.pending(at) {
		return dst, netip.AddrPort{}, false
	}
	dst = slices.Grow(dst, MaxPacket)
	var p Packet
	for l.pending(at) {
		p.Start(dst[len(dst):cap(dst)], ToClient)
		to, r := l.compose(&p, now, at)
		ending := l.closing
		if p.Empty() {
			if ending {
				l.closing, l.cur = false, nil
			}
			continue
		}
		b := l.finishPacket(&p, r)
		if ending {
			l.closing, l.cur = false, nil
		}
		return dst[:len(dst)+len(b)], to, true
	}
	return dst, netip.AddrPort{}, false
}

// Pending reports whether Control has something, as of the last call that took a time.
func (l *Lane) Pending() bool { return l.pending(l.latest) }

// pending reports whether there is something to compose.
func (l *Lane) pending(at instant) bool {
	return l.cur != nil && (l.closing || l.accept || l.response || l.probe != nil && l.probe.due(at) ||
		l.route.due(at) || l.bound && l.waiting(at))
}

// compose fills p with what is the most urgent and what goes the same way. It leaves
// p empty where the address may not get as much; then too that is pending no longer.
func (l *Lane) compose(p *Packet, now time.Time, at instant) (to netip.AddrPort, r *route) {
	overhead := p.size()
	if l.closing {
		p.ending(l.code, l.route.room()-overhead)
		return l.route.addr, &l.route
	}
	switch {
	case l.accept:
		to = l.acceptTo
	case l.response:
		to = l.responseTo
	case l.probe != nil && l.probe.due(at):
		to = l.probe.addr
	default:
		to = l.route.addr
	}
	r = l.routeOf(to)
	// To an address without account goes one answer to one packet, which was longer.
	room := MaxPacket - overhead
	if r != nil {
		room = r.room() - overhead
	}
	limit := p.n + room
	again := r == &l.route && !l.bound && r.due(at) && room >= acceptLen+opaqueLen
	if again || l.accept && to == l.acceptTo {
		idle := uint32(l.gateway.config.IdleTimeout.Milliseconds())
		if !p.timed(frameAccept, uint64(now.UnixMicro()), idle, limit-p.n) {
			l.drop(DropBudget)
		}
		if l.accept && to == l.acceptTo {
			l.accept = false
			switch {
			case r == nil: // the lane is elsewhere
			case r.proven:
				// Nothing is left to prove, but who says HELLO waits for both.
				var body [8]byte
				l.settings.rand(body[:])
				p.opaque(frameChallenge, binary.BigEndian.Uint64(body[:]), limit-p.n)
			default:
				r.again = at
			}
		}
	}
	if r == &l.route {
		l.fill(p, r, at, limit-p.n)
	} else if r != nil && r.due(at) {
		p.opaque(frameChallenge, binary.BigEndian.Uint64(r.challenge[:]), limit-p.n)
		r.again = at + challengeEvery
	}
	if l.response && l.responseTo == to {
		l.response = false
		if !p.opaque(frameResponse, l.responseBody, limit-p.n) {
			l.drop(DropBudget)
		}
	}
	if p.Empty() && r == &l.route {
		l.starve(at)
	}
	return to, r
}

// starve gives up what waits for the lane's route, which may not get as much now.
func (l *Lane) starve(at instant) {
	if l.route.due(at) {
		l.route.again = at + challengeEvery
	}
	for range l.pongs {
		l.drop(DropBudget)
	}
	l.pongs, l.pingNow = l.pongs[:0], false
	if l.reportAt != 0 && at >= l.reportAt {
		l.reportAt = at + reportEvery
	}
}
