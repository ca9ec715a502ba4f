package session

import (
	"sync"
	"sync/atomic"
)

// crew counts whoever works for a session: its goroutines, and callers of Wake while
// they are inside. After end nobody comes in any more.
type crew struct {
	mu    sync.Mutex
	n     int
	over  bool
	empty chan struct{} // made and closed by end, or the last who leaves
}

// enter counts one more; false: the session is over.
func (c *crew) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false
	}
	c.n++
	return true
}

func (c *crew) leave() {
	c.mu.Lock()
	c.n--
	if c.n == 0 && c.over {
		close(c.empty)
	}
	c.mu.Unlock()
}

// end lets nobody in any more and returns when all have left. Called once.
func (c *crew) end() {
	c.mu.Lock()
	c.over = true
	c.empty = make(chan struct{})
	if c.n == 0 {
		close(c.empty)
	}
	c.mu.Unlock()
	<-c.empty
}

// The states of a worker. wake and the worker itself move between them by
// compare-and-swap alone, so that no wake is lost: one that comes while the worker runs
// makes it look again before it may rest.
const (
	idle    uint32 = iota // no goroutine; wake starts one
	busy                  // it runs, or is held back
	again                 // it runs, or is held back, and was woken meanwhile
	stopped               // it will not run any more
)

// worker is a goroutine that lives only while there is something to do.
type worker struct {
	state atomic.Uint32
	crew  *crew
	// body runs until rest says true or it calls stop; it leaves the crew at its end.
	body func()
	// direct does what body would until rest says true, or does nothing that cannot be
	// done without blocking and leaves the rest for body: false. nil: it cannot.
	direct func() bool
}

// wake makes the worker look for something to do.
func (w *worker) wake() {
	for {
		switch w.state.Load() {
		case idle:
			if w.state.CompareAndSwap(idle, busy) {
				w.run()
				return
			}
		case busy:
			if w.state.CompareAndSwap(busy, again) {
				return
			}
		default:
			return
		}
	}
}

// do is wake by one who does the work himself as far as that does not block.
func (w *worker) do() {
	if !w.state.CompareAndSwap(idle, busy) {
		w.wake()
		return
	}
	if !w.direct() {
		w.run()
	}
}

// run starts the goroutine; by the one who made the worker busy.
func (w *worker) run() {
	if !w.crew.enter() {
		w.stop()
		return
	}
	go w.body()
}

// release lets a worker go that was made busy in order to hold it back.
func (w *worker) release() {
	if !w.state.CompareAndSwap(busy, idle) {
		w.state.Store(busy)
		w.run()
	}
}

// rest is called by a worker that found nothing to do; true: it is over, or a new one
// runs already. false: it was woken meanwhile and must look again.
func (w *worker) rest() bool {
	if w.state.CompareAndSwap(busy, idle) {
		return true
	}
	w.state.Store(busy) // from again, which nobody else leaves
	return false
}

func (w *worker) stop() { w.state.Store(stopped) }

// working reports whether the worker runs.
func (w *worker) working() bool {
	s := w.state.Load()
	return s == busy || s == again
}
