package sealed

import (
	"math"
	"net/netip"
	"time"
)

const (
	challengeEvery = 250 * time.Millisecond
	// challengeFor is how long after its last packet a client counts as active: the
	// series of HELLOs lasts as long.
	challengeFor = 3 * time.Second
	moveEvery    = time.Second // WIRE.md section 6.5
	returnAfter  = time.Second // likewise
)

// route is an address that a client's packets come from.
type route struct {
	addr      netip.AddrPort
	challenge [8]byte
	began     instant // when it was taken up
	again     instant // when to send the next challenge
	heard     instant
	received  uint64 // bytes, and the same for what was sent there
	sent      uint64
	proven    bool // it answered a challenge
}

// spare is how many bytes may be sent there.
func (r *route) spare() uint64 {
	if r.proven {
		return math.MaxUint64
	}
	return r.received - r.sent
}

// room is spare for one packet.
func (r *route) room() int { return int(min(r.spare(), MaxPacket)) }

// active reports whether the client is worth another challenge.
func (r *route) active(at instant) bool { return at-r.heard < challengeFor }

// rest puts challenges off until the client is heard again.
func (r *route) rest(at instant) {
	if !r.active(at) {
		r.again = max(r.again, r.heard+challengeFor)
	}
}

// due reports whether a challenge is to be sent.
func (r *route) due(at instant) bool { return !r.proven && r.again <= at && r.active(at) }

// deadline is when a challenge will be due; 0 is never, unless it comes to life.
func (r *route) deadline() instant {
	if r.proven || !r.active(r.again) {
		return 0
	}
	return r.again
}

func (l *Lane) newRoute(addr netip.AddrPort, size int, at instant) route {
	r := route{addr: addr, began: at, again: at, heard: at, received: uint64(size)}
	l.settings.rand(r.challenge[:])
	return r
}

// routeOf is the route of an address that the lane keeps account of, or nil.
func (l *Lane) routeOf(addr netip.AddrPort) *route {
	switch {
	case l.route.addr == addr:
		return &l.route
	case l.probe != nil && l.probe.addr == addr:
		return l.probe
	}
	return nil
}

// follow lets an authenticated packet move the lane as WIRE.md section 6.5 allows.
// newest says that it is the highest of the newest epoch, hello that it is a HELLO.
func (l *Lane) follow(from netip.AddrPort, size int, newest, hello bool, at instant) {
	if !l.bound && l.route.proven {
		// It was bound before: what was proven then is to be proven anew.
		l.route = l.newRoute(l.route.addr, 0, at)
	}
	if r := l.routeOf(from); r != nil {
		r.again = min(r.again, at+challengeEvery)
		r.received += uint64(size)
		r.heard = at
		if r == &l.route {
			return
		}
	}
	switch {
	case !newest:
	case !l.bound && hello:
		l.route, l.probe = l.newRoute(from, size, at), nil
	case !l.bound:
		// A lane that was bound before and went idle comes back without HELLO: the
		// client may not have noticed.
		if l.proven.IsValid() && l.mayMove(at) {
			l.route, l.probe, l.moved = l.newRoute(from, size, at), nil, at
		}
	case from == l.proven:
		l.back(at)
	case !l.mayMove(at):
	case from.Addr() == l.proven.Addr():
		r := l.newRoute(from, size, at)
		if l.probe != nil && l.probe.addr == from {
			// Used before, without an answer in time: one that is late still counts.
			r = *l.probe
			r.began, r.again = at, at
		}
		l.route, l.probe, l.moved = r, nil, at
	case l.probe == nil || l.probe.addr != from && at-l.probe.began >= moveEvery:
		r := l.newRoute(from, size, at)
		l.probe = &r
	}
}

// back returns to the last proven address.
func (l *Lane) back(at instant) {
	l.route = route{addr: l.proven, began: at, heard: at, proven: true}
}

func (l *Lane) mayMove(at instant) bool { return l.moved == 0 || at-l.moved >= moveEvery }

// respond takes a PATH_RESPONSE. It proves the address that was challenged, and counts
// only from there. To a new IP it moves the lane, if newest, which is as follow's; else
// the challenge comes again.
func (l *Lane) respond(body [8]byte, from netip.AddrPort, newest bool, at instant) {
	switch {
	case !l.route.proven && l.route.addr == from && l.route.challenge == body:
		l.route.proven = true
	case l.probe != nil && l.probe.addr == from && l.probe.challenge == body && newest:
		l.route, l.probe = *l.probe, nil
		l.route.proven = true
		l.moved = at
	default:
		return
	}
	l.proven = from
	if !l.bound {
		l.bound, l.cause = true, CauseNone
		l.moved, l.pingNow = 0, true
	}
}

// age gives up what was not proven in time.
func (l *Lane) age(at instant) {
	if l.bound && !l.route.proven && at-l.route.began >= returnAfter {
		late := l.route
		l.probe = &late
		l.back(at)
	}
	if l.probe != nil && !l.probe.active(at) {
		l.probe = nil
	}
}
