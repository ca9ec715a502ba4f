package gateway

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"strait/transport"
)

const (
	// wheelSlots is how many parts the sessions are spread over; one part is visited
	// a tick, every session once a turn.
	wheelSlots = 16
	// linkEvery is how often game logic hears of a changed path at most.
	linkEvery = 3 * time.Second
	// measureEvery is how often the round trip of a busy session is measured.
	measureEvery = 15 * time.Second
	// askEvery is how often a lane is asked for anew for a session that there was no
	// room for (WIRE.md section 6.1).
	askEvery = 60 * time.Second
)

// wheel looks after silence: one goroutine and one ticker for all sessions
// (WIRE.md section 3). A session is visited every turn; the turn is a second, or
// an eighth of a shorter idle timeout. Without a session it stands still.
type wheel struct {
	gw    *Gateway
	tick  time.Duration
	rouse chan struct{} // of capacity 1
	slots [wheelSlots]wheelSlot

	sessions atomic.Int64
	// still is set by the goroutine before it looks whether there are sessions, and
	// looked at by add after it has counted one: one of them sees the other.
	still atomic.Bool
}

type wheelSlot struct {
	mu       sync.Mutex
	sessions []*session
}

// wheelEntry is the wheel's place in a session.
type wheelEntry struct {
	index int // in its slot, guarded by the slot's mu; -1: not in it

	// owned by the wheel's goroutine
	measured time.Time // of the last PING
	linked   time.Time // of the last Link event
	last     linkState
	wish     *wish // nil: the session has the lane that it asked for, or will have none
}

// wish is a lane that a session's client asked for and that there was no room for.
type wish struct {
	aeads []uint32
	asked time.Time
}

// linkState is what a Link event said last.
type linkState struct {
	kind   transport.Kind
	remote netip.AddrPort
	path   transport.Path
	queued int
}

func stateOf(i transport.Info) linkState {
	return linkState{kind: i.Kind, remote: i.Remote, path: i.Path, queued: i.Queued}
}

func newWheel(g *Gateway) *wheel {
	turn := min(time.Second, max(g.cfg.IdleTimeout/8, wheelSlots*time.Millisecond))
	return &wheel{gw: g, tick: turn / wheelSlots, rouse: make(chan struct{}, 1)}
}

func (w *wheel) slot(s *session) *wheelSlot { return &w.slots[s.handle%wheelSlots] }

func (w *wheel) add(s *session) {
	sl := w.slot(s)
	sl.mu.Lock()
	s.wheel.index = len(sl.sessions)
	sl.sessions = append(sl.sessions, s)
	w.sessions.Add(1)
	sl.mu.Unlock()
	if w.still.Load() {
		select {
		case w.rouse <- struct{}{}:
		default:
		}
	}
}

// remove takes s out; idempotent.
func (w *wheel) remove(s *session) {
	sl := w.slot(s)
	sl.mu.Lock()
	defer sl.mu.Unlock()
	i := s.wheel.index
	if i >= len(sl.sessions) || sl.sessions[i] != s {
		return
	}
	last := len(sl.sessions) - 1
	sl.sessions[i] = sl.sessions[last]
	sl.sessions[i].wheel.index = i
	sl.sessions[last] = nil
	sl.sessions = sl.sessions[:last]
	w.sessions.Add(-1)
}

func (w *wheel) run(stop <-chan struct{}) {
	t := time.NewTicker(w.tick)
	defer t.Stop()
	var visit []*session
	for i := 0; ; i = (i + 1) % wheelSlots {
		if w.still.Store(true); w.sessions.Load() == 0 {
			t.Stop()
			select {
			case <-stop:
				return
			case <-w.rouse:
			}
			t.Reset(w.tick)
		}
		w.still.Store(false)
		select {
		case <-stop:
			return
		case now := <-t.C:
			sl := &w.slots[i]
			sl.mu.Lock()
			visit = append(visit[:0], sl.sessions...)
			sl.mu.Unlock()
			for _, s := range visit {
				w.visit(s, now)
			}
			clear(visit)
		}
	}
}

// visit closes a silent session, asks a quiet one for a sign of life, and tells
// game logic what has become of its path.
func (w *wheel) visit(s *session, now time.Time) {
	idle := w.gw.cfg.IdleTimeout
	info := s.Info()
	p := info.Path
	heard := latest(p.Heard, s.opened)
	unread := s.unreadUntil(now) // who is not read is not silent, but may need a PING to stay connected
	switch {
	case now.Sub(latest(heard, unread)) > idle:
		s.Close(transport.Because(transport.Idle, "nothing received for %v", idle))
		return
	case !p.PartialSince.IsZero() && now.Sub(latest(p.PartialSince, unread)) > idle:
		s.Close(transport.Because(transport.Idle, "a frame was not completed within %v", idle))
		return
	case now.Sub(heard) > idle/3, now.Sub(s.wheel.measured) > measureEvery:
		s.wheel.measured = now
		s.conn.Ping()
		s.conn.Wake()
		if o := s.boundLane(); o != nil {
			o.lane.Ping()
			o.lane.Wake()
		}
	}
	if wish := s.wheel.wish; wish != nil && now.Sub(wish.asked) >= askEvery {
		w.gw.offerLate(s, now)
	}
	is := stateOf(info)
	if !s.wheel.last.remote.IsValid() {
		s.wheel.last.kind, s.wheel.last.remote = s.ann.Transport, s.ann.Remote // as Opened told
	}
	news := s.link.Swap(nil)
	due := news != nil && news.due
	if news != nil && !due {
		s.wheel.linked, s.wheel.last = now, news.was
	}
	changed := now.Sub(s.wheel.linked) >= linkEvery && s.wheel.last.differs(is, w.gw.cfg.SendBufferBytes)
	if changed || due {
		s.wheel.linked, s.wheel.last = now, is
		if !s.pushLink() {
			s.link.CompareAndSwap(nil, &linkNews{due: true})
		}
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// differs reports whether game logic should hear of b after a: another transport
// or address, the first round trip measured or one a quarter and 2 ms away, a jitter
// half and 5 ms away, more or less loss by half a per cent, or a queue that crossed a
// quarter of its limit.
func (a linkState) differs(b linkState, limit int) bool {
	rtt := (a.path.RTT - b.path.RTT).Abs()
	jitter := (a.path.Jitter - b.path.Jitter).Abs()
	loss := int64(a.path.LossPPM) - int64(b.path.LossPPM)
	return a.kind != b.kind && a.kind != transport.KindUnspecified ||
		a.remote != b.remote && a.remote.IsValid() ||
		b.path.RTT > 0 && (a.path.RTT == 0 || rtt > 2*time.Millisecond && rtt > a.path.RTT/4) ||
		jitter > 5*time.Millisecond && jitter > a.path.Jitter/2 ||
		loss > 5000 || loss < -5000 ||
		(a.queued > limit/4) != (b.queued > limit/4)
}
