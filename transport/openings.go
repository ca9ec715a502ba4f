package transport

import (
	"container/list"
	"sync"
)

// Openings caps the connections that have not opened a session yet, over all
// listeners that share it. When the cap is reached the oldest one goes: a client
// in good faith opens within a few round trips, so the oldest is the likeliest
// to be idle or hostile. Safe for concurrent use.
type Openings struct {
	max     int
	mu      sync.Mutex
	order   list.List // of *Opening, oldest first
	evicted uint64
}

// Opening is one unfinished opening.
type Opening struct {
	owner *Openings
	elem  *list.Element
	evict func()
}

// NewOpenings returns a cap of max unfinished openings; 0 is no cap.
func NewOpenings(max int) *Openings { return &Openings{max: max} }

// Begin counts a new opening. evict is called, without any lock held, if it must
// make room for a newer one before Done; it must not block.
func (o *Openings) Begin(evict func()) *Opening {
	n := &Opening{owner: o, evict: evict}
	o.mu.Lock()
	var victim *Opening
	if o.max > 0 && o.order.Len() >= o.max {
		victim = o.order.Remove(o.order.Front()).(*Opening)
		victim.elem = nil
		o.evicted++
	}
	n.elem = o.order.PushBack(n)
	o.mu.Unlock()
	if victim != nil {
		victim.evict()
	}
	return n
}

// Done ends the opening, opened or failed. Idempotent.
func (n *Opening) Done() {
	o := n.owner
	o.mu.Lock()
	if n.elem != nil {
		o.order.Remove(n.elem)
		n.elem = nil
	}
	o.mu.Unlock()
}

// Len returns how many openings are unfinished now, and how many were evicted so far.
func (o *Openings) Len() (unfinished int, evicted uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.order.Len(), o.evicted
}
