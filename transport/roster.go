package transport

import (
	"sync"
	"time"
)

// Roster is the open connections of a listener, which ends them when it is closed. The
// zero Roster is empty. Safe for concurrent use.
type Roster[C comparable] struct {
	mu     sync.Mutex
	closed bool
	conns  map[C]struct{}
	open   sync.WaitGroup // one for each of conns
}

// Add takes c; false: the roster is closed, and c is not in it.
func (r *Roster[C]) Add(c C) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	if r.conns == nil {
		r.conns = make(map[C]struct{})
	}
	r.conns[c] = struct{}{}
	r.open.Add(1)
	return true
}

// Remove is for a connection that has ended: once for each that Add has taken, and the
// last thing that is done for it.
func (r *Roster[C]) Remove(c C) {
	r.mu.Lock()
	delete(r.conns, c)
	r.mu.Unlock()
	r.open.Done()
}

// Len is how many connections there are.
func (r *Roster[C]) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

// Close takes nobody more, calls drain for each connection, and cut for each that is
// left after linger, and returns when none is left. Neither may block. Called once.
func (r *Roster[C]) Close(linger time.Duration, drain, cut func(C)) {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.Each(drain)
	late := make(chan struct{})
	timer := time.AfterFunc(linger, func() {
		defer close(late)
		r.Each(cut)
	})
	r.open.Wait()
	if !timer.Stop() {
		<-late
	}
}

// Each calls f for each connection that there is now, which f may end.
func (r *Roster[C]) Each(f func(C)) {
	r.mu.Lock()
	conns := make([]C, 0, len(r.conns))
	for c := range r.conns {
		conns = append(conns, c)
	}
	r.mu.Unlock()
	for _, c := range conns {
		f(c)
	}
}
