package upstream

import (
	"sync"
	"sync/atomic"
)

// Gate holds back the reliable messages of the sessions behind it while its
// owner, a stream to game logic, is full. Safe for concurrent use.
type Gate struct {
	shut    atomic.Bool
	mu      sync.Mutex
	waiting []Session
}

// Shut closes the gate.
func (g *Gate) Shut() { g.shut.Store(true) }

// IsShut reports whether the gate is closed.
func (g *Gate) IsShut() bool { return g.shut.Load() }

// Open lets everyone through and resumes those who waited. No lock is held while
// they resume.
func (g *Gate) Open() {
	if !g.shut.Load() {
		return
	}
	g.mu.Lock()
	g.shut.Store(false)
	w := g.waiting
	g.waiting = nil
	g.mu.Unlock()
	for _, s := range w {
		s.ResumeReading()
	}
}

// Pass reports whether s may hand over reliable messages now; if not, s will be
// resumed when the gate opens.
func (g *Gate) Pass(s Session) bool {
	if !g.shut.Load() {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.shut.Load() {
		return true
	}
	g.waiting = append(g.waiting, s)
	return false
}

// Slot is a driver's place in a session: the session embeds one, the driver alone
// writes it.
type Slot struct {
	gate    atomic.Pointer[Gate]
	touched atomic.Uint64
	Driver  atomic.Value // what the driver keeps with the session; one concrete type
}

// Touch marks the session for the batch of that number, which no other batch of
// the driver has, and reports whether it was not marked for it before. It is how
// a driver flushes every session once, whatever the number of its messages.
func (s *Slot) Touch(batch uint64) (first bool) { return s.touched.Swap(batch) != batch }

// SetGate puts the session behind g; nil is no gate.
func (s *Slot) SetGate(g *Gate) { s.gate.Store(g) }

// Gate returns the gate that the session is behind; nil without one.
func (s *Slot) Gate() *Gate { return s.gate.Load() }
