package main

import (
	"context"
	"runtime/debug"
	"time"

	"strait/transport"
)

const (
	// trimLook is how often the use of buffers is looked at.
	trimLook = time.Second
	// trimEvery is the least time between two trims: each is a garbage collection.
	trimEvery = 10 * time.Second
	// trimFrom is the peak of bytes in buffers from which on a trim is worth it.
	trimFrom = 8 << 20
)

// trimmer gives memory back to the system after a burst. A gateway that has become
// quiet allocates next to nothing, so that Go would not collect for minutes what a
// burst left in pools, nor return it.
type trimmer struct {
	used func() int64 // bytes in buffers now
	top  func() int64 // the most since the last call
	trim func()
	peak int64
	last time.Time
}

func newTrimmer(p *transport.Pool) *trimmer {
	return &trimmer{used: p.Used, top: p.TakePeak, trim: debug.FreeOSMemory}
}

// run looks until ctx ends.
func (t *trimmer) run(ctx context.Context) {
	tick := time.NewTicker(trimLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			t.look(now)
		}
	}
}

// look trims when the use of buffers has fallen below a quarter of its peak.
func (t *trimmer) look(now time.Time) {
	used := t.used()
	t.peak = max(t.peak, t.top())
	if t.peak < trimFrom || used > t.peak/4 || now.Sub(t.last) < trimEvery {
		return
	}
	t.trim()
	t.peak, t.last = used, now
}
