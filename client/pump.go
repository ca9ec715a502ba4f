package client

import "sync"

// pump runs a writer while there is something to write, so that an idle
// connection has no goroutine for each of its lanes.
type pump struct {
	// static
	run func()

	// guarded by mu
	mu      sync.Mutex
	running bool
	again   bool // the writer shall look again before it ends
	stopped bool // no writer starts any more
	work    sync.WaitGroup
}

// init sets the writer, which returns once rest says so, or stops the pump.
func (p *pump) init(write func()) {
	// Made once: a go statement with arguments allocates each time.
	p.run = func() {
		defer p.work.Done()
		write()
	}
}

// wake makes sure that a writer looks at what there is to write.
func (p *pump) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.stopped:
	case p.running:
		p.again = true
	default:
		p.running = true
		p.work.Add(1)
		go p.run()
	}
}

// look is called by the writer before it looks.
func (p *pump) look() {
	p.mu.Lock()
	p.again = false
	p.mu.Unlock()
}

// rest is called by the writer when it has found nothing; it ends unless it was
// woken since look.
func (p *pump) rest() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.again {
		return false
	}
	p.running = false
	return true
}

// stop lets no writer start any more; one that runs goes on until it has nothing
// left to write.
func (p *pump) stop() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
}

// wait returns when the writer has ended. After stop.
func (p *pump) wait() { p.work.Wait() }
