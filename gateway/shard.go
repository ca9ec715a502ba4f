package gateway

import (
	"sync"
	"sync/atomic"

	"strait/queue"
	"strait/upstream"
)

// drainBatch is how many events a consumer hands to the driver at once.
const drainBatch = 256

// shard is one dispatcher: a ring that any goroutine pushes on and the one
// consumer that empties it into the driver. A session stays on its shard.
type shard struct {
	index  int
	gw     *Gateway
	ring   *queue.Ring[upstream.Event]
	batch  []upstream.Event // of whoever drains
	fanout fanout
	counters

	anyone atomic.Bool // waiting or barriers is not empty
	mu     sync.Mutex
	// waiting are the sessions that the ring had no room for.
	waiting []*session
	// barriers are closed once the ring was seen empty and nobody waits.
	barriers []chan struct{}
}

func newShard(gw *Gateway, index int) *shard {
	sh := &shard{
		index: index, gw: gw, ring: queue.New[upstream.Event](gw.cfg.QueueSize),
		batch: make([]upstream.Event, drainBatch),
	}
	sh.fanout.init(gw)
	return sh
}

// run is the consumer; it returns after Close once everything was delivered.
func (sh *shard) run() {
	for {
		n := sh.deliver()
		if sh.anyone.Load() {
			sh.attend(n == 0)
			if n == 0 {
				continue
			}
		}
		if n == 0 && !sh.ring.Wait() {
			return
		}
	}
}

// deliver hands what is on the ring, up to a batch, to the driver and returns how
// many events that were. By the consumer, or who borrows its token.
func (sh *shard) deliver() int {
	n := sh.ring.Drain(sh.batch)
	if n > 0 {
		sh.observe(sh.batch[:n])
		sh.gw.driver.Deliver(sh.index, sh.batch[:n])
		clear(sh.batch[:n])
	}
	return n
}

// BeginTurn lets who reads for many connections do the work of a consumer that
// sleeps, so that a turn wakes nobody: what it pushes is delivered by EndTurn. That
// is allowed only because delivering to a driver never blocks.
func (g *Gateway) BeginTurn(shard int) bool {
	return shard < len(g.shards) && g.shards[shard].ring.TryAcquire()
}

// EndTurn delivers what the turn pushed.
func (g *Gateway) EndTurn(shard int) {
	sh := g.shards[shard]
	// No more than a ring's worth: others may push as fast as this delivers.
	for range sh.ring.Cap()/drainBatch + 1 {
		if sh.deliver() < drainBatch {
			break
		}
	}
	sh.ring.Release() // wakes the consumer for what is left
}

func (sh *shard) observe(batch []upstream.Event) {
	for i := range batch {
		if at := batch[i].Stamp; at != 0 {
			sh.latency.observe(sh.gw.nanotime() - at)
		}
	}
}

// wait makes the consumer call s.retry when the ring has room again.
func (sh *shard) wait(s *session) {
	sh.mu.Lock()
	sh.waiting = append(sh.waiting, s)
	sh.anyone.Store(true)
	sh.mu.Unlock()
	sh.ring.Wake()
}

// barrier returns a channel that is closed once everything pushed or waiting
// before has been delivered.
func (sh *shard) barrier() <-chan struct{} {
	ch := make(chan struct{})
	sh.mu.Lock()
	sh.barriers = append(sh.barriers, ch)
	sh.anyone.Store(true)
	sh.mu.Unlock()
	sh.ring.Wake()
	return ch
}

// attend lets those who wait push again and, when the ring was empty and nobody
// waited, opens the barriers.
func (sh *shard) attend(empty bool) {
	sh.mu.Lock()
	waiting := sh.waiting
	sh.waiting = nil
	var open []chan struct{}
	// Len counts what is being pushed, and nobody else drains now.
	if empty && len(waiting) == 0 && sh.ring.Len() == 0 {
		open, sh.barriers = sh.barriers, nil
	}
	sh.anyone.Store(len(sh.barriers) > 0)
	sh.mu.Unlock()
	for _, ch := range open {
		close(ch)
	}
	for _, s := range waiting {
		s.retry()
	}
}
