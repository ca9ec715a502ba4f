package udp

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"strait/transport"
	"strait/udp/sealed"
)

// Lane is one session's sealed UDP lane. It implements [transport.Lane]; what
// belongs to the protocol is in [sealed.Lane].
type Lane struct {
	// static
	service *Service
	socket  *socket // that it writes to
	id      cid
	client  netip.AddrPort // of the session's connection
	peer    transport.OfferPeer
	core    *sealed.Lane // guarded by mu; nil: the lane has ended, its id is still known

	timer  timer
	listed atomic.Bool // it is on the socket's list
	woken  atomic.Bool // there may be something to pull
	// carries is what the peer was told: messages go this way.
	carries atomic.Bool
	closing atomic.Pointer[transport.Reason]

	// held was pulled and waits for the client's new address to prove itself; owned by
	// the socket's writer. Nothing is pulled meanwhile.
	held []transport.Message

	// reading is held by a reader from a datagram to its delivery: with several
	// sockets there may be two for one lane.
	reading sync.Mutex

	// guarded by mu, which is not held while the peer is called
	mu      sync.Mutex
	bound   bool
	told    bool // of bound, by the peer's last call
	telling bool
	ended   bool // closed and said so
	heard   time.Time
	remote  netip.AddrPort
	locals  [2]origin // of the client's last two addresses, the newer one first
}

// origin is an address of the client and ours that it writes to.
type origin struct {
	remote netip.AddrPort
	local  local
}

// news is what others must hear after the core was told something.
type news struct {
	deadline time.Time
	changed  bool // bound or not
	pending  bool // the core has a packet of its own to send
	offer    *transport.Offer
}

// look finds out what has changed. mu is held.
func (l *Lane) look(now time.Time) (n news) {
	if b := l.core.Bound(); b != l.bound {
		l.bound, n.changed = b, true
		if b {
			l.service.bound.Add(1)
			l.service.bindings.add(1)
		} else {
			l.service.bound.Add(-1)
			l.service.unbound[l.core.Cause()].add(1)
		}
	}
	if r := l.core.Remote(); r != l.remote {
		if l.remote.IsValid() && l.bound {
			l.service.moves.add(1)
		}
		l.remote = r
	}
	if l.core.OfferDue() && !l.core.Ended() {
		if o, err := l.core.Offer(l.client, now); err == nil {
			n.offer = l.service.offer(o)
		}
	}
	n.deadline, n.pending = l.core.Deadline(), l.core.Pending()
	return n
}

// tell passes news on. mu is not held; who calls it flushes the socket later.
func (l *Lane) tell(n news) {
	l.service.wheel.by(l, n.deadline)
	if n.changed {
		l.announce()
	}
	if n.offer != nil && l.closing.Load() == nil {
		l.service.offers.add(1)
		l.peer.Offer(*n.offer)
	}
}

// announce tells the peer whether the lane is bound, in order and each change once.
func (l *Lane) announce() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.telling && l.told != l.bound {
		b := l.bound
		l.telling = true
		l.mu.Unlock()
		if !b {
			l.carries.Store(false)
		}
		l.peer.Bound(b)
		if b {
			l.carries.Store(true)
			l.woken.Store(true) // who woke it before was not heard
			l.list()
		}
		l.mu.Lock()
		l.told, l.telling = b, false
	}
}

// receive takes a DATA packet that came on socket s.
func (l *Lane) receive(s *socket, d *datagram, now time.Time) sealed.Drop {
	if l.core == nil || l.closing.Load() != nil {
		l.service.late.add(1)
		return sealed.DropUnbound
	}
	l.reading.Lock()
	defer l.reading.Unlock()
	s.taken.messages = s.taken.messages[:0]
	l.mu.Lock()
	drop := l.core.Receive(d.b, d.remote, now, &s.taken)
	if drop == sealed.DropNone {
		l.hear(d, now)
	}
	n := l.look(now)
	l.mu.Unlock()
	l.tell(n)
	if len(s.taken.messages) > 0 {
		l.service.messagesIn.add(len(s.taken.messages))
		l.peer.Deliver(s.taken.messages)
		clear(s.taken.messages)
	}
	l.follow(n)
	return drop
}

// hello takes a HELLO whose token opened.
func (l *Lane) hello(d *datagram, h sealed.Hello, c sealed.Claims, now time.Time) sealed.Drop {
	if l.core == nil || l.closing.Load() != nil {
		l.service.late.add(1)
		return sealed.DropUnbound
	}
	l.mu.Lock()
	drop := l.core.Hello(h, c, d.remote, now)
	if drop == sealed.DropNone {
		l.hear(d, now)
	}
	n := l.look(now)
	l.mu.Unlock()
	l.tell(n)
	l.follow(n)
	return drop
}

// hear notes when and where an authenticated packet came. mu is held.
func (l *Lane) hear(d *datagram, now time.Time) {
	l.heard = now
	if !d.local.ip.IsValid() {
		return
	}
	if l.locals[0].remote != d.remote {
		l.locals[1] = l.locals[0]
	}
	l.locals[0] = origin{remote: d.remote, local: d.local}
}

// from is our address that the client at that address writes to. mu is held.
func (l *Lane) from(to netip.AddrPort) local {
	for i := range l.locals {
		if l.locals[i].remote == to {
			return l.locals[i].local
		}
	}
	return local{}
}

// expire is called by the wheel.
func (l *Lane) expire(now time.Time) {
	if l.core == nil {
		if end := l.heard.Add(linger); now.Before(end) {
			l.service.wheel.by(l, end) // it sees no further
		} else {
			l.service.table.release(l.id)
		}
		return
	}
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return
	}
	l.core.Tick(now)
	n := l.look(now)
	l.mu.Unlock()
	l.tell(n)
	l.follow(n)
}

// follow lists the lane where the writer has something to do after n: also when what
// was dropped came too late for the lane, or proved the address for what is held back.
func (l *Lane) follow(n news) {
	if n.pending || n.changed || l.woken.Load() {
		l.list()
	}
}

// list makes the socket look at the lane when it is flushed next.
func (l *Lane) list() {
	if !l.listed.Swap(true) {
		l.socket.add(l)
	}
}

// Wake says that there may be something to Pull.
func (l *Lane) Wake() {
	if !l.carries.Load() {
		return // told so; becoming bound looks again
	}
	l.woken.Store(true)
	l.stir()
}

// stir lists the lane and, unless somebody will soon, writes.
func (l *Lane) stir() {
	l.list()
	if l.service.corked.Load() == 0 {
		l.socket.flush()
	}
}

// Max is the longest unreliable message in bytes that the lane carries.
func (l *Lane) Max() int { return l.service.maxMessage }

// Path is what is known of the way to the client.
func (l *Lane) Path() transport.Path {
	if l.core == nil {
		return transport.Path{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.core.Path()
	return transport.Path{
		Remote: l.core.Remote(), RTT: p.RTT, Jitter: p.Jitter, LossPPM: uint32(p.Loss * 1e6), Heard: l.heard,
	}
}

// Ping sends a PING to a bound client.
func (l *Lane) Ping() {
	if !l.carries.Load() {
		return
	}
	l.mu.Lock()
	l.core.Ping()
	l.mu.Unlock()
	l.stir()
}

// Close sends what is queued, then the reason's code, then ends the lane. The first
// reason counts.
func (l *Lane) Close(r transport.Reason) {
	if l.closing.CompareAndSwap(nil, &r) {
		l.woken.Store(true)
		l.stir()
	}
}
