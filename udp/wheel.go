package udp

import (
	"sync"
	"sync/atomic"
	"time"

	"strait/transport"
)

const (
	// wheelTick is how late a lane's timer may be.
	wheelTick = 25 * time.Millisecond
	// wheelSlots times wheelTick is how far the wheel sees; a later deadline is
	// looked at again by then.
	wheelSlots = 256
)

// wheel calls lanes at their deadlines: one goroutine for all of them, which sleeps
// until the next one and for good without any.
type wheel struct {
	cork  transport.Corker // around the lanes of a tick
	clock func() time.Time
	start time.Time
	rouse chan struct{} // of capacity 1

	mu    sync.Mutex
	done  int64 // the tick up to which slots are empty
	wakes int64 // the tick for which the goroutine sleeps; 0: it does not
	count int
	slots [wheelSlots]*Lane // lists
}

// timer is a lane's place in the wheel.
type timer struct {
	at         atomic.Int64 // its tick, 0: none; written under the wheel's mu
	prev, next *Lane        // guarded by the wheel's mu
}

func newWheel(cork transport.Corker, clock func() time.Time) *wheel {
	return &wheel{cork: cork, clock: clock, start: clock().Add(-wheelTick), rouse: make(chan struct{}, 1)}
}

// tick is the first tick that is not before t.
func (w *wheel) tick(t time.Time) int64 {
	return int64((t.Sub(w.start) + wheelTick - 1) / wheelTick)
}

// by makes l's expire be called at t, a tick later at most, unless it will be
// earlier: then expire says itself what comes next. A zero t is never.
func (w *wheel) by(l *Lane, t time.Time) {
	if t.IsZero() {
		return
	}
	tick := w.tick(t)
	if at := l.timer.at.Load(); at != 0 && at <= tick {
		return
	}
	w.mu.Lock()
	at := l.timer.at.Load()
	if at != 0 && at <= tick {
		w.mu.Unlock()
		return
	}
	if at != 0 {
		w.unlink(l)
	}
	if w.count == 0 {
		w.done = max(w.done, int64(w.clock().Sub(w.start)/wheelTick)) // nobody counted meanwhile
	}
	tick = min(max(tick, w.done+1), w.done+wheelSlots)
	w.link(l, tick)
	rouse := w.wakes != 0 && tick < w.wakes || w.count == 1
	w.mu.Unlock()
	if rouse {
		select {
		case w.rouse <- struct{}{}:
		default:
		}
	}
}

// remove takes l out.
func (w *wheel) remove(l *Lane) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.timer.at.Load() != 0 {
		w.unlink(l)
	}
}

func (w *wheel) link(l *Lane, tick int64) {
	head := &w.slots[tick%wheelSlots]
	l.timer.at.Store(tick)
	l.timer.prev, l.timer.next = nil, *head
	if *head != nil {
		(*head).timer.prev = l
	}
	*head = l
	w.count++
}

func (w *wheel) unlink(l *Lane) {
	t := &l.timer
	if t.prev != nil {
		t.prev.timer.next = t.next
	} else {
		w.slots[t.at.Load()%wheelSlots] = t.next
	}
	if t.next != nil {
		t.next.timer.prev = t.prev
	}
	t.prev, t.next = nil, nil
	t.at.Store(0)
	w.count--
}

// due appends the lanes of all ticks up to now to dst, and returns for how long
// there is none after them; negative: there is none at all.
func (w *wheel) due(dst []*Lane, now time.Time) (lanes []*Lane, pause time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	current := int64(now.Sub(w.start) / wheelTick)
	if w.count == 0 {
		w.done, w.wakes = max(w.done, current), 0
		return dst, -1
	}
	// After a long sleep a turn of the wheel is all there can be.
	for w.done = max(w.done, current-wheelSlots); w.done < current; w.done++ {
		for head := &w.slots[(w.done+1)%wheelSlots]; *head != nil; {
			dst = append(dst, *head)
			w.unlink(*head)
		}
	}
	next := w.done + 1
	for ; next < w.done+wheelSlots && w.slots[next%wheelSlots] == nil; next++ {
	}
	if w.count == 0 {
		w.wakes = 0
		return dst, -1
	}
	w.wakes = next
	return dst, w.start.Add(time.Duration(next) * wheelTick).Sub(now)
}

// run is the goroutine; it returns when stop is closed.
func (w *wheel) run(stop <-chan struct{}) {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	var lanes []*Lane
	for {
		now := w.clock()
		var pause time.Duration
		lanes, pause = w.due(lanes[:0], now)
		if len(lanes) > 0 {
			w.cork.Cork()
			for _, l := range lanes {
				l.expire(now)
			}
			w.cork.Uncork()
			clear(lanes)
			continue // they have said when to be called again
		}
		var fire <-chan time.Time
		if pause >= 0 {
			t.Reset(pause)
			fire = t.C
		}
		select {
		case <-stop:
			return
		case <-w.rouse:
		case <-fire:
		}
	}
}
