package gateway

import (
	"math"
	"time"

	"strait/transport"
	"strait/upstream"
)

// sampleEvery is one in how many messages has its dispatch latency measured.
const sampleEvery = 64

// pushBatch is how many events one reservation on the ring takes at most.
const pushBatch = 8

// deliver puts messages on the ring in order and returns how many were taken,
// with their buffers. Unreliable messages that find no room are dropped; the
// first reliable one that finds none stops the reading until there is.
func (s *session) deliver(ms []transport.Message) (taken int) {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	defer func() { s.noteUnread(ms, taken) }()
	for taken < len(ms) {
		if s.in.over {
			for _, m := range ms[taken:] {
				m.Buf.Release()
			}
			s.shard.drop(upstream.DropAfterClose, len(ms)-taken)
			return len(ms)
		}
		n, ok := s.push(ms[taken:])
		taken += n
		if !ok {
			break
		}
	}
	return taken
}

// stillUnread is session.unread while the client is not read.
const stillUnread = math.MaxInt64

// noteUnread keeps session.unread after a delivery. What was refused is offered again
// first, so a reliable message that is taken ends it; one from a datagram does not.
func (s *session) noteUnread(ms []transport.Message, taken int) {
	switch {
	case taken < len(ms):
		s.unread.Store(stillUnread)
	case s.unread.Load() == stillUnread && taken > 0 && ms[0].Delivery == transport.Reliable:
		s.unread.Store(time.Now().UnixNano())
	}
}

// unreadUntil is until when the client was not read, now at the latest; the zero time
// if it always was.
func (s *session) unreadUntil(now time.Time) time.Time {
	switch ns := s.unread.Load(); ns {
	case 0:
		return time.Time{}
	case stillUnread:
		return now
	default:
		return time.Unix(0, ns)
	}
}

// push takes a prefix of ms; ok is false when the next one has to wait and a
// resume is arranged. in.mu is held.
func (s *session) push(ms []transport.Message) (taken int, ok bool) {
	var events [pushBatch]upstream.Event
	cfg := &s.gw.cfg
	var count, bytes [2]int64 // by delivery class, of what will be on the ring
	room := s.hasRoom()
	k := 0
	for k < len(ms) && k < pushBatch && room {
		m := ms[k]
		size := int64(len(m.Buf.B))
		if held := s.inFlight.Load(); s.items.Load() >= s.gw.share || held > 0 && held+size > int64(cfg.InFlightBytes) {
			break
		}
		s.inFlight.Add(size)
		s.items.Add(1)
		count[m.Delivery]++
		bytes[m.Delivery] += size
		events[k] = upstream.Event{Session: s, Kind: upstream.Message, Message: m}
		if s.in.samples++; s.in.samples%sampleEvery == 0 {
			events[k].Stamp = s.gw.nanotime()
		}
		k++
	}
	pushed := 0
	if k > 0 {
		pushed = s.shard.ring.PushBatch(events[:k]) // and what it took is not ours any more
		for _, m := range ms[pushed:k] {
			size := int64(len(m.Buf.B))
			s.inFlight.Add(-size)
			s.items.Add(-1)
			count[m.Delivery]--
			bytes[m.Delivery] -= size
		}
		s.shard.in.add(count, bytes)
	}
	if pushed == len(ms) || pushed == pushBatch {
		return pushed, true
	}
	if m := ms[pushed]; m.Delivery == transport.Unreliable {
		m.Buf.Release()
		s.shard.drop(upstream.DropInboundFull, 1)
		return pushed + 1, true
	}
	return pushed, s.stall(room, pushed < k)
}

// awaitDeliver returns when no deliver is under way that began before it.
func (s *session) awaitDeliver() {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
}

// hasRoom reports whether events may go on the ring at all: none before Opened,
// and none towards game logic that is behind.
func (s *session) hasRoom() bool {
	if len(s.in.held) > 0 || s.gw.stopReading.Load() {
		return false
	}
	g := s.slot.Gate()
	return g == nil || !g.IsShut()
}

// stall arranges for the connection to be resumed when what stood in the way is
// gone; true when it is gone already. in.mu is held.
func (s *session) stall(room, ringFull bool) (again bool) {
	switch {
	case len(s.in.held) > 0 || ringFull:
		s.in.resume = true
		s.awaitRing()
		return false
	case s.gw.stopReading.Load():
		return false // for good: the gateway is ending
	case !room:
		g := s.slot.Gate()
		return g == nil || g.Pass(s)
	}
	s.stalled.Store(true)
	if s.low() && s.stalled.CompareAndSwap(true, false) {
		return true
	}
	return false
}

// awaitRing puts the session on its shard's list. in.mu is held.
func (s *session) awaitRing() {
	if !s.in.waiting {
		s.in.waiting = true
		s.shard.wait(s)
	}
}

// low reports whether a stalled session may be read from again.
func (s *session) low() bool {
	return s.items.Load() <= s.gw.share/2 && s.inFlight.Load() <= int64(s.gw.cfg.InFlightBytes)/2
}

// Consumed credits a message that game logic has taken.
func (s *session) Consumed(n int) {
	s.inFlight.Add(-int64(n))
	s.items.Add(-1)
	if s.stalled.Load() && s.low() && s.stalled.CompareAndSwap(true, false) {
		s.conn.Resume()
	}
}

// retry is the shard's consumer saying that the ring has room.
func (s *session) retry() {
	s.in.mu.Lock()
	s.in.waiting = false
	s.flushHeld()
	resume := false
	if len(s.in.held) == 0 {
		resume, s.in.resume = s.in.resume, false
	}
	s.in.mu.Unlock()
	if resume {
		s.conn.Resume()
	}
}

// pushOpened announces the session: once, and first also when the session was
// closed before it.
func (s *session) pushOpened() {
	s.in.mu.Lock()
	s.in.announced = true
	s.hold(upstream.Event{Session: s, Kind: upstream.Opened})
	if s.in.over {
		s.hold(upstream.Event{Session: s, Kind: upstream.Closed, Reason: s.end.Load()})
	}
	s.in.mu.Unlock()
}

// pushClosed queues Closed behind everything taken before; nothing follows it.
func (s *session) pushClosed(r *transport.Reason) {
	s.in.mu.Lock()
	s.in.over = true
	if s.in.announced {
		s.hold(upstream.Event{Session: s, Kind: upstream.Closed, Reason: r})
	}
	s.in.mu.Unlock()
	s.conn.Resume()
}

// linkNews is what the wheel has to know of a Link event that others push.
type linkNews struct {
	due bool      // it is to be pushed when the ring has room; else it was
	was linkState // before it was pushed: what differs from that game logic may not know
}

// tellLink tells game logic at once that the session's path changed, or leaves it
// to the wheel.
func (s *session) tellLink() {
	news := &linkNews{was: stateOf(s.Info())}
	news.due = !s.pushLink()
	s.link.Store(news)
}

// pushLink tells game logic that the session's path changed; false: the ring is
// full.
func (s *session) pushLink() bool {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	if s.in.over {
		return true
	}
	return len(s.in.held) == 0 && s.shard.ring.Push(upstream.Event{Session: s, Kind: upstream.Link})
}

// hold pushes an event that must not be lost, now or when there is room. in.mu
// is held.
func (s *session) hold(e upstream.Event) {
	s.in.held = append(s.in.held, e)
	s.flushHeld()
}

func (s *session) flushHeld() {
	n := 0
	for n < len(s.in.held) && s.shard.ring.Push(s.in.held[n]) {
		n++
	}
	if n == len(s.in.held) {
		s.in.held = nil
		return
	}
	s.in.held = s.in.held[n:]
	s.awaitRing()
}
