package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
	"time"

	"strait/transport"
)

const (
	// trimLook is how often the use of memory is looked at.
	trimLook = time.Second
	// trimEvery is the least time between two trims: each is two garbage collections.
	trimEvery = 5 * time.Second
	// trimFrom is how many bytes a trim must promise.
	trimFrom = 8 << 20
	// trimPart is, as a divisor, the least part of the live heap that a trim must
	// promise, because what a collection costs grows with what lives; and the most of
	// its promise that may be allocated again before the next one.
	trimPart = 8
	// trimCalm is the most CPU time that the process may use between two looks: a
	// collection holds up what is on the way meanwhile, so that it waits for a calm.
	trimCalm = trimLook / 10
)

// trimmer gives memory back to the system when the gateway has become quiet: then it
// allocates next to nothing, so that Go would not collect for minutes what handshakes
// and bursts left, nor return it. While it allocates, Go's own collector is at work and
// the trimmer is not.
type trimmer struct {
	used func() int64 // bytes in buffers now
	top  func() int64 // the most since the last call
	heap func() heap
	cpu  func() time.Duration // that the process has used
	trim func()

	peak      int64
	allocated uint64
	spent     time.Duration // cpu at the last look
	last      time.Time
}

// heap is what Go's heap consists of, in bytes.
type heap struct {
	live      uint64 // what the last collection found reachable
	slack     uint64 // what it has not looked at yet, and what is free and not returned
	allocated uint64 // since the start
}

func newTrimmer(p *transport.Pool) *trimmer {
	return &trimmer{used: p.Used, top: p.TakePeak, heap: newHeap(), cpu: cpuTime, trim: trim}
}

// trim collects twice, because a sync.Pool forgets only what two collections found in
// it, and returns what is free.
func trim() {
	runtime.GC()
	debug.FreeOSMemory()
}

// newHeap returns a function that reads the heap's sizes; it stops nothing.
func newHeap() func() heap {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/gc/heap/allocs:bytes"},
	}
	return func() heap {
		metrics.Read(samples)
		live, objects, free, allocated := samples[0].Value.Uint64(), samples[1].Value.Uint64(), samples[2].Value.Uint64(), samples[3].Value.Uint64()
		return heap{live: live, slack: max(objects, live) - live + free, allocated: allocated}
	}
}

// cpuTime is the CPU time that the process has used; 0 if the system does not say.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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

// look trims if the process is calm, that promises enough, and nothing was trimmed
// lately.
func (t *trimmer) look(now time.Time) {
	used, h := t.used(), t.heap()
	t.peak = max(t.peak, t.top())
	rate := h.allocated - t.allocated
	spent := t.cpu()
	calm := spent-t.spent <= trimCalm
	t.allocated, t.spent = h.allocated, spent
	if !calm || now.Sub(t.last) < trimEvery || !t.burst(used) && !quiet(h, rate) {
		return
	}
	t.trim()
	t.peak, t.last = used, now
	t.allocated, t.spent = t.heap().allocated, t.cpu()
}

// burst reports whether the use of buffers has fallen below a quarter of its peak:
// pools hold the rest, for which the heap's sizes say nothing.
func (t *trimmer) burst(used int64) bool { return t.peak >= trimFrom && used <= t.peak/4 }

// quiet reports whether there is slack worth a collection, of which little would be
// allocated again before the next trim. rate is what was allocated since the last look.
func quiet(h heap, rate uint64) bool {
	return h.slack >= max(trimFrom, h.live/trimPart) && rate*uint64(trimEvery/trimLook) < h.slack/trimPart
}
