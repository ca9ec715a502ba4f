package gateway

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// table finds sessions by handle. A handle is the number of a place in the table
// and, above it, how often the place was used: finding is an index and a compare,
// without a lock, and a handle is never used again.
type table struct {
	shift  uint
	places []place

	mu   sync.Mutex
	free []uint32
	live int
}

type place struct {
	session atomic.Pointer[session]
	uses    uint64 // guarded by table.mu
}

func newTable(size int) *table {
	t := &table{
		shift:  uint(bits.Len(uint(size - 1))),
		places: make([]place, size),
		free:   make([]uint32, size),
	}
	for i := range t.free {
		t.free[i] = uint32(size - 1 - i)
	}
	return t
}

// add gives s a handle; false when the table is full.
func (t *table) add(s *session) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.free) == 0 {
		return false
	}
	i := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	p := &t.places[i]
	p.uses++
	s.handle = p.uses<<t.shift | uint64(i)
	p.session.Store(s)
	t.live++
	return true
}

// remove frees the place of s. Idempotent.
func (t *table) remove(s *session) {
	i := s.handle & (1<<t.shift - 1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.places[i].session.CompareAndSwap(s, nil) {
		t.free = append(t.free, uint32(i))
		t.live--
	}
}

// find returns the live session with a handle, or nil.
func (t *table) find(handle uint64) *session {
	i := handle & (1<<t.shift - 1)
	if i >= uint64(len(t.places)) {
		return nil
	}
	if s := t.places[i].session.Load(); s != nil && s.handle == handle {
		return s
	}
	return nil
}

// each calls f for every session there is; sessions added meanwhile may be missed.
func (t *table) each(f func(*session)) {
	for i := range t.places {
		if s := t.places[i].session.Load(); s != nil {
			f(s)
		}
	}
}

func (t *table) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.live
}

func (t *table) full() bool { return t.len() == len(t.places) }
