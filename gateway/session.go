package gateway

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"strait/transport"
	"strait/transport/outbox"
	"strait/upstream"
)

// session is one player, whatever carries him. It is made by an opening, ends
// with Close or with its last connection, and is known by its handle until that
// connection is gone.
type session struct {
	// static
	gw     *Gateway
	shard  *shard
	handle uint64
	ann    upstream.Announcement
	opened time.Time
	conn   transport.Conn

	// offered is the lane beside the connection; nil without one. Set once: before the
	// session is known to anybody, or later if there was no room for one then.
	offered atomic.Pointer[offered]

	slot upstream.Slot
	out  outbox.Queue
	end  atomic.Pointer[transport.Reason] // why it ended; nil while it lives

	// on the way to game logic
	inFlight atomic.Int64 // payload bytes
	items    atomic.Int64 // messages
	stalled  atomic.Bool  // reading stopped until inFlight and items are low
	// unread is until when the gateway did not read what the client sent, because game
	// logic took no more; Unix nanoseconds, stillUnread while it goes on, 0 for never.
	unread atomic.Int64
	in     inbound

	link atomic.Pointer[linkNews] // what the wheel has to know of Link events; nil: nothing

	// owned by the timer wheel
	wheel wheelEntry

	// guarded by groups.mu
	groups []*group
}

// inbound is the session's end of its shard's ring.
type inbound struct {
	mu sync.Mutex
	// held are Opened and Closed that the ring had no room for; while there are any,
	// messages are not taken, so that order holds.
	held      []upstream.Event
	waiting   bool // in the shard's list
	resume    bool // the connection must be resumed when the ring has room
	announced bool // Opened was pushed or is held
	over      bool // nothing more is taken; Closed was pushed or is held, if announced
	samples   uint32
}

func (s *session) ID() transport.ID                     { return s.ann.ID }
func (s *session) Handle() uint64                       { return s.handle }
func (s *session) Announcement() *upstream.Announcement { return &s.ann }
func (s *session) Slot() *upstream.Slot                 { return &s.slot }
func (s *session) Shard() int                           { return s.shard.index }
func (s *session) ResumeReading()                       { s.conn.Resume() }

// Info is a snapshot for game logic and admin.
func (s *session) Info() transport.Info {
	i := transport.Info{
		Kind: s.kind(), Remote: s.ann.Remote, Opened: s.opened, Path: s.conn.Path(),
		Queued: s.out.Bytes(), InFlight: int(s.inFlight.Load()),
	}
	if i.Path.Remote != (netip.AddrPort{}) {
		i.Remote = i.Path.Remote
	}
	var beside transport.Path
	if d := s.conn.Datagrams(); d != nil {
		i.Bound, beside = s.opened, d.Path()
	} else if o := s.offered.Load(); o != nil {
		i.Bound, beside = o.since(), o.lane.Path()
	}
	if beside.Heard.After(i.Path.Heard) {
		i.Path.Heard = beside.Heard
	}
	if !i.Bound.IsZero() {
		i.Datagrams = beside
		if beside.RTT > 0 {
			i.Path.RTT, i.Path.Jitter, i.Path.LossPPM = beside.RTT, beside.Jitter, beside.LossPPM
		}
	}
	return i
}

// boundLane is the lane beside the connection while it is bound, else nil.
func (s *session) boundLane() *offered {
	if o := s.offered.Load(); o != nil && o.bound() {
		return o
	}
	return nil
}

// kind is what carries the session now.
func (s *session) kind() transport.Kind {
	if s.boundLane() != nil {
		return transport.KindTCPUDP
	}
	return s.conn.Kind()
}

// MaxUnreliable is the limit of the lane that carries unreliable messages now, or
// of the reliable one that stands in for it.
func (s *session) MaxUnreliable() int {
	if o := s.boundLane(); o != nil {
		return o.lane.Max()
	}
	if d := s.conn.Datagrams(); d != nil {
		return d.Max()
	}
	return s.conn.Max()
}

// Send queues m; see transport.Session.
func (s *session) Send(m transport.Message) error {
	limit := s.gw.cfg.MaxMessageBytes
	if m.Delivery == transport.Unreliable {
		limit = s.MaxUnreliable()
	}
	if n := len(m.Buf.B); n > limit {
		m.Buf.Release()
		s.shard.drop(upstream.DropTooLarge, 1)
		return &transport.TooLargeError{Size: n, Max: limit, Delivery: m.Delivery}
	}
	dropped, err := s.out.Push(m)
	if dropped > 0 {
		s.shard.drop(upstream.DropStale, dropped)
	}
	switch {
	case err == nil:
		// A long batch of game logic may hold more for one player than may wait. What
		// the lane takes now does not count against a player who reads.
		if s.out.Bytes() > s.gw.cfg.SendBufferBytes/4 {
			s.Flush()
		}
		return nil
	case errors.Is(err, outbox.ErrFull):
		s.shard.drop(upstream.DropSlowClient, 1)
		r := transport.Because(transport.TooSlow, "%d bytes wait to be read, and one more message would be above the limit of %d", s.out.Bytes(), s.gw.cfg.SendBufferBytes)
		s.Close(r)
		return r
	}
	s.shard.drop(upstream.DropSessionClosed, 1)
	if r := s.end.Load(); r != nil {
		return *r
	}
	return transport.Reason{Code: transport.Normal}
}

// Flush wakes the lanes that have work.
func (s *session) Flush() {
	if o := s.boundLane(); o != nil {
		o.flush()
		if s.out.Pending(transport.Reliable) {
			s.conn.Wake()
		}
		return
	}
	if !s.out.Empty() {
		s.conn.Wake()
	}
}

// pull is Pull of the queue for any of the session's lanes, counted. Messages above
// limit bytes, which were queued for a lane that carries more, are dropped.
func (s *session) pull(dst []transport.Message, d transport.Delivery, channel, budget, limit int) []transport.Message {
	had := len(dst)
	for {
		dst = s.out.Pull(dst, d, channel, budget)
		var n, bytes [2]int64
		kept := had
		for _, m := range dst[had:] {
			size := len(m.Buf.B)
			if size > limit {
				m.Buf.Release()
				continue
			}
			dst[kept] = m
			kept++
			bytes[d] += int64(size)
		}
		dropped := len(dst) - kept
		clear(dst[kept:])
		dst = dst[:kept]
		if dropped > 0 {
			s.shard.drop(upstream.DropTooLarge, dropped)
		}
		if kept > had {
			n[d] = int64(kept - had)
			s.shard.out.add(n, bytes)
		} else if dropped > 0 {
			continue // or there would seem to be nothing left
		}
		return dst
	}
}

// Close ends the session: game logic hears Closed, the client what is queued and
// then why.
func (s *session) Close(r transport.Reason) {
	if !s.finish(r) {
		return
	}
	if r.Code == transport.TooSlow {
		reliable, unreliable := s.out.Drop()
		s.shard.drop(upstream.DropSlowClient, reliable+unreliable)
	}
	if o := s.offered.Load(); o != nil {
		o.flush() // what the connection sends before its end is not all there is
	}
	s.conn.Close(r)
}

// forgo ends the lane beside the connection, with the connection or because there
// will be no session. Idempotent.
func (s *session) forgo(r transport.Reason) {
	if o := s.offered.Load(); o != nil {
		o.end(r)
	}
}

// finish ends the session's traffic for reason r; false when it had ended before.
func (s *session) finish(r transport.Reason) bool {
	if !s.end.CompareAndSwap(nil, &r) {
		return false
	}
	s.out.Seal()
	s.gw.groups.leaveAll(s)
	s.gw.wheel.remove(s)
	s.pushClosed(&r)
	s.gw.ended(s, r)
	return true
}
