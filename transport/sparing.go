package transport

import (
	"sync"
	"time"
)

const (
	sparingBurst = 20
	sparingEvery = time.Second
)

// Sparing bounds the log lines that strangers can cause: twenty at once, and after
// that one a second. What is kept back is counted and told with the next line. The zero
// value is ready; any goroutine.
type Sparing struct {
	mu   sync.Mutex
	full time.Time // when all of the burst is there again
	kept int
}

// Allow reports whether a line may be written now, and how many were kept back since
// the last one.
func (s *Sparing) Allow(now time.Time) (kept int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	full := now
	if s.full.After(now) {
		full = s.full
	}
	if full = full.Add(sparingEvery); full.Sub(now) > sparingBurst*sparingEvery {
		s.kept++
		return 0, false
	}
	s.full = full
	kept, s.kept = s.kept, 0
	return kept, true
}
