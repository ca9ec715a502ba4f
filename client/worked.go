package client

import (
	"sync"
	"time"
)

const (
	// workedFor is how long a transport that won over a better one is tried first:
	// then whatever stood in the way may be gone.
	workedFor = 10 * time.Minute
	// maxWorked bounds the places that are remembered.
	maxWorked = 256
)

// worked remembers, for all clients of the process, where a transport had
// to stand in for a better one.
var worked memory

type memory struct {
	mu  sync.Mutex
	all map[string]remembered
}

type remembered struct {
	transport Transport
	until     time.Time
}

// best is what to begin with at a place; Auto when nothing is known.
func (m *memory) best(place string, now time.Time) Transport {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.all[place]
	if !ok || now.After(r.until) {
		return Auto
	}
	return r.transport
}

// note says that t has won there; first is the best transport, with which a dial
// begins when nothing is known. What is remembered already keeps its time, so that
// the better one gets its chance again.
func (m *memory) note(place string, t, first Transport, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.all[place]
	switch {
	case t == first:
		delete(m.all, place)
		return
	case ok && r.transport == t && !now.After(r.until):
		return
	case !ok && len(m.all) >= maxWorked:
		m.forget(now)
	}
	if m.all == nil {
		m.all = make(map[string]remembered)
	}
	m.all[place] = remembered{t, now.Add(workedFor)}
}

// forget makes room: what has expired goes, or else any one. mu is held.
func (m *memory) forget(now time.Time) {
	for place, r := range m.all {
		if now.After(r.until) {
			delete(m.all, place)
		}
	}
	for place := range m.all {
		if len(m.all) < maxWorked {
			return
		}
		delete(m.all, place)
	}
}
