package remote

import (
	"slices"
	"time"

	"strait/transport"
	"strait/upstream"
)

// park keeps an item with its seat until there is a backend. Unreliable messages
// are not worth keeping, and Opened is made anew. The waiting stream's mutex is
// held.
func (st *stream) park(it item) {
	t := it.seat
	switch {
	case it.kind == upstream.Opened:
	case t.expired || it.unreliable():
		st.discard(it, upstream.DropStreamLost)
	default:
		t.backlog = append(t.backlog, it)
	}
}

// closeParked is the end of a session that waits: it goes on waiting only if it
// was announced and has reliable messages to deliver. The waiting stream's mutex
// is held.
func (st *stream) closeParked(t *seat, it item) {
	for i := range t.backlog {
		if t.announced && t.backlog[i].reliable() {
			t.backlog = append(t.backlog, it)
			return
		}
	}
	st.forget(t, upstream.DropStreamLost)
	delete(st.seats, t)
}

// forget discards what a seat kept. The waiting stream's mutex is held.
func (st *stream) forget(t *seat, why upstream.Drop) {
	for _, it := range t.backlog {
		st.discard(it, why)
	}
	t.backlog = nil
}

// unpark gives the sessions that wait to backends that serve them.
func (p *Pool) unpark() {
	w := p.waiting
	var gates []*upstream.Gate
	var targets []*stream
	p.failover.Lock()
	w.mu.Lock()
	table := p.table.Load()
	for t := range w.seats {
		if t.expired {
			continue
		}
		to := table.pick(t.route, t.key, t.shard, nil)
		if to == nil {
			continue
		}
		if !slices.Contains(targets, to) {
			to.mu.Lock()
			targets = append(targets, to)
		}
		delete(w.seats, t)
		if !t.closed {
			gates = append(gates, t.gate)
			to.sit(t)
		}
		to.put(item{seat: t, kind: upstream.Opened})
		for _, it := range t.backlog {
			to.put(it)
		}
		t.backlog, t.gate = nil, nil
	}
	dropped := w.letGo()
	for _, to := range targets {
		dropped = append(dropped, to.letGo()...)
	}
	p.moves++
	p.failover.Unlock()
	p.drop(dropped)
	for _, g := range gates {
		g.Open()
	}
	p.changed()
}

// expire closes the sessions that have waited for the grace time.
func (p *Pool) expire(now time.Time) {
	w := p.waiting
	var over []upstream.Session
	w.mu.Lock()
	for t := range w.seats {
		if t.expired || now.Sub(t.since) < p.cfg.Grace {
			continue
		}
		w.forget(t, upstream.DropStreamLost)
		if t.closed {
			delete(w.seats, t)
			continue
		}
		t.expired = true
		over = append(over, t.session)
	}
	w.unlock()
	for _, s := range over {
		p.gateway.CloseSession(s, because(transport.UpstreamLost, "no game logic to talk to"))
	}
	if len(over) > 0 {
		p.changed()
	}
}

// watchWaiting runs expire as often as it takes to be punctual, until the pool
// closes.
func (p *Pool) watchWaiting() {
	tick := time.NewTicker(min(max(p.cfg.Grace/10, 10*time.Millisecond), 250*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			p.expire(now)
		case <-p.ctx.Done():
			return
		}
	}
}
