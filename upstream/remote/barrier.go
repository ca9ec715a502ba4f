package remote

import (
	"context"
	"maps"
	"slices"
)

// Barrier implements [upstream.Driver]: it pings every stream behind what is queued
// there and waits for the answers. Sessions that wait for a backend, or change
// streams meanwhile, make it start over.
func (p *Pool) Barrier(ctx context.Context) error {
	for {
		p.mu.Lock()
		change := p.change
		p.mu.Unlock()
		p.failover.Lock()
		moves := p.moves
		streams := slices.Collect(maps.Keys(p.streams))
		p.failover.Unlock()
		parked := p.backlog()
		for _, st := range streams {
			if err := st.answered(ctx); err != nil {
				return err
			}
		}
		if p.closing.Load() {
			return errClosed
		}
		p.failover.Lock()
		settled := moves == p.moves
		p.failover.Unlock()
		if settled && !parked {
			return nil
		}
		if settled {
			select {
			case <-change:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

// answered returns when the backend answered a ping behind what is queued now, or
// when the stream was emptied.
func (st *stream) answered(ctx context.Context) error {
	st.mu.Lock()
	w := waiter{id: st.ping.request(st.pool.now()), done: make(chan struct{})}
	st.ping.waiters = append(st.ping.waiters, w)
	st.unlock()
	select {
	case <-w.done:
		return nil
	case <-st.vacated:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// backlog reports whether sessions without a backend have something to deliver.
func (p *Pool) backlog() bool {
	w := p.waiting
	w.mu.Lock()
	defer w.mu.Unlock()
	for t := range w.seats {
		if len(t.backlog) > 0 {
			return true
		}
	}
	return false
}
