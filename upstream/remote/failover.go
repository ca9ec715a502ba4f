package remote

import (
	"slices"
	"time"

	"strait/upstream"
)

// Everything in this file holds the failover mutex, so that a session has one way
// to go at a time, and the mutex of the source, so that Deliver waits until the
// session sits elsewhere with all its older events queued.

// passage is the emptying of one stream.
type passage struct {
	from    *stream
	left    []item            // what the backend may not have seen, in order
	next    map[*seat]*stream // where the seats go
	targets []*stream         // the streams in next, each once and locked
}

// vacate empties a stream that has ended, after its reader and writer: every
// session of it is announced again on another stream, or waits.
func (p *Pool) vacate(st *stream) {
	p.failover.Lock()
	delete(p.streams, st)
	delete(st.backend.live, st)
	st.backend.suspect = st.backend.suspect || hung(st.cause)
	p.rebuild()
	st.mu.Lock()
	st.sealed = true
	w := passage{from: st, left: st.leftovers(), next: make(map[*seat]*stream, len(st.seats))}
	if p.closing.Load() {
		clear(st.seats)
	} else {
		p.rehouse(&w)
		p.bury(&w)
	}
	for i := range w.left {
		p.forward(&w, &w.left[i])
	}
	dropped := st.letGo()
	for _, to := range w.targets {
		dropped = append(dropped, to.letGo()...)
	}
	p.moves++
	p.failover.Unlock()

	p.drop(dropped)
	st.gate.Open()
	p.changed()
	close(st.vacated)
}

// leftovers returns all that a stream which has ended still holds and that the
// backend may not have seen, in order. The stream's mutex is held.
func (st *stream) leftovers() []item {
	left := make([]item, 0, st.retained.n+len(st.taken)-st.at+len(st.queue))
	again := st.backend.acks.Load() && !st.confirmed
	for st.retained.n > 0 {
		it := st.retained.pop()
		switch {
		case again && !st.pool.closing.Load():
			left = append(left, it)
		case st.confirmed || st.pool.closing.Load():
			if it.buf != nil {
				it.buf.Release()
			}
		default:
			st.discard(it, upstream.DropStreamLost)
		}
	}
	for _, part := range [][]item{st.taken[st.at:], st.queue} {
		for _, it := range part {
			if it.kind != 0 {
				left = append(left, it)
			}
		}
	}
	st.retained, st.taken, st.queue, st.at, st.bytes = items{}, nil, nil, 0, 0
	return left
}

// rehouse finds every seat a new place and announces it there if it was announced
// before.
func (p *Pool) rehouse(w *passage) {
	for t := range w.from.seats {
		to := p.place(w, t)
		delete(w.from.seats, t)
		to.sit(t)
		if t.announced {
			to.put(item{seat: t, kind: upstream.Opened})
		}
	}
}

// bury finds a place for sessions that were closed and have reliable messages to
// be delivered again, between an Opened and their Closed.
func (p *Pool) bury(w *passage) {
	for i := range w.left {
		t := w.left[i].seat
		if !t.closed || t.moved || !t.announced || !w.left[i].reliable() || w.next[t] != nil {
			continue
		}
		to := p.place(w, t)
		if to.parked() {
			to.seats[t] = struct{}{}
			t.since = time.Now()
		}
		to.put(item{seat: t, kind: upstream.Opened})
	}
}

// place chooses where a seat goes and locks it: the waiting stream when nobody
// serves it.
func (p *Pool) place(w *passage, t *seat) *stream {
	to := p.table.Load().pick(t.route, t.key, t.shard, w.from.backend)
	if to == nil {
		to = p.waiting
	}
	w.next[t] = to
	if !slices.Contains(w.targets, to) {
		to.mu.Lock()
		w.targets = append(w.targets, to)
	}
	return to
}

// forward queues a leftover where its seat went.
func (p *Pool) forward(w *passage, it *item) {
	to := w.next[it.seat]
	switch {
	case to == nil && p.closing.Load():
		w.from.discard(*it, upstream.DropShutdown)
	case to == nil:
		w.from.discard(*it, upstream.DropStreamLost)
	case it.kind == upstream.Opened && it.seat.announced:
		// It was announced again already, in front of everything else.
	default:
		to.put(*it)
	}
}

// transfer takes a session from one live stream to another: what is queued stays,
// Closed follows it, and the session is opened at the other. The failover mutex is
// held; false when the session has been closed meanwhile.
func (p *Pool) transfer(from, to *stream, old *seat, route string) (ok bool, dropped []shed) {
	from.mu.Lock()
	if to != from {
		to.mu.Lock()
	}
	if ok = !old.closed; ok {
		delete(from.seats, old)
		old.closed, old.moved = true, true
		from.put(item{seat: old, kind: upstream.Closed, reason: moved})
		t := newSeat(old.session, route)
		to.sit(t)
		to.put(item{seat: t, kind: upstream.Opened})
		old.session.Slot().Driver.Store(t)
	}
	dropped = from.letGo()
	if to != from {
		dropped = append(dropped, to.letGo()...)
	}
	return ok, dropped
}

// move carries out the command of that name, which came from the stream that the
// seat is on.
func (p *Pool) move(from *stream, t *seat, route string) {
	if route == t.route {
		return
	}
	p.failover.Lock()
	to := p.table.Load().pick(route, t.key, t.shard, nil)
	if to == nil {
		p.failover.Unlock()
		p.gateway.Drop(upstream.DropNoRoute, 1)
		return
	}
	// Before the new backend can know of the session and add it to groups.
	p.gateway.Moved(t.session, route)
	p.routes.add(route)
	ok, dropped := p.transfer(from, to, t, route)
	p.failover.Unlock()
	if ok {
		p.routes.remove(t.route)
	} else {
		p.routes.remove(route)
	}
	p.drop(dropped)
	t.session.ResumeReading() // it may have been behind the gate of the other stream
}

// misplaced hands over the sessions that were given to a stream before it said
// which routes it serves, if another one serves theirs.
func (p *Pool) misplaced(st *stream) {
	served := option{routes: st.hello.Load().routes, proven: true}
	if len(served.routes) == 0 {
		return
	}
	p.failover.Lock()
	var wrong []*seat
	st.mu.Lock()
	for t := range st.seats {
		if !served.fits(heard, t.route, false) {
			wrong = append(wrong, t)
		}
	}
	st.mu.Unlock()
	var dropped []shed
	var went []*seat
	for _, t := range wrong {
		to := p.table.Load().pick(t.route, t.key, t.shard, nil)
		if to == nil || to == st {
			continue
		}
		ok, d := p.transfer(st, to, t, t.route)
		dropped = append(dropped, d...)
		if ok {
			went = append(went, t)
		}
	}
	p.failover.Unlock()
	p.drop(dropped)
	for _, t := range went {
		t.session.ResumeReading()
	}
}
