package remote

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"strait/proto/batch"
	"strait/transport"
	"strait/upstream"
)

// stream is one connection to a backend, from the moment it is there until it is
// lost. The pool's waiting stream is one without a connection: its items stay with
// their seats.
type stream struct {
	// Static.
	pool    *Pool
	backend *backend // nil: the waiting stream
	index   int      // which of the backend's streams, from 0
	conn    Stream
	address string
	lost    chan struct{} // closed when it ends, for whatever reason
	vacated chan struct{} // closed when nothing is left on it
	wake    chan struct{} // one token for a writer that sleeps
	gate    upstream.Gate

	// Owned by the reader.
	in      batch.LogicReader
	touched []upstream.Session

	// Owned by the writer, which is its goroutine, or while that sleeps who claimed
	// its part (inline.go); by whoever empties the stream once the writer ended.
	out   []byte
	taken []item // what it took from the queue
	at    int    // how much of taken was written
	rest  rest   // of a batch that was begun
	// inline is held while somebody has claimed the writer's part.
	inline sync.Mutex

	// Atomic.
	hello atomic.Pointer[hello]
	heard atomic.Int64 // when something was received, in nanoseconds of pool.now

	end   sync.Once
	cause error // why it ended; set before lost is closed

	mu         sync.Mutex
	seats      map[*seat]struct{}
	queue      []item // what the writer has not taken yet
	holes      int    // how many of queue gave way
	scan       int    // no unreliable item of queue is in front of it
	bytes      int    // of queue and of what the writer took and has not written
	queueSince int64  // when queue began to fill; pool.now
	takenSince int64  // likewise of taken; 0 when all of it is written
	takenLeft  int    // how many of taken are not written
	idle       bool   // the writer sleeps
	ended      bool   // the writer is gone
	sealed     bool   // nothing may be queued any more
	shed       []shed // to be released once mu is unlocked
	full       bool
	fullSince  int64
	keep       bool   // written messages are retained until acknowledged
	retained   items  // written, not acknowledged
	sent       uint64 // batches handed to the connection
	acked      uint64 // batches that the backend acknowledged
	cut        cut
	confirmed  bool // the backend answered everything that was written
	finishing  bool // the writer ends once the queue is empty
	ping       pings
}

// cut is how far a stream that is being retired got.
type cut uint8

const (
	uncut cut = iota
	cutting
	cutOff // the writer took its last items
)

// hello is what is known of the backend at the other end of a stream.
type hello struct {
	proven   bool // the backend was heard on this stream
	name     string
	routes   []string
	draining bool
}

// shed is an item that was discarded while a mutex was held.
type shed struct {
	item
	why upstream.Drop
}

// errRetired ends a stream that was replaced by one to another address.
var errRetired = errors.New("replaced by a stream to another address")

// fail ends the stream; the first cause counts.
func (st *stream) fail(cause error) {
	st.end.Do(func() {
		st.cause = cause
		close(st.lost)
	})
}

func (st *stream) parked() bool { return st.backend == nil }

// sit puts a seat on the stream. Its mutex is held.
func (st *stream) sit(t *seat) {
	slot := t.session.Slot()
	if st.sealed { // the pool was closed: take discards what comes
		slot.SetGate(nil)
		t.stream.Store(st)
		return
	}
	st.seats[t] = struct{}{}
	if st.parked() {
		t.since = time.Now()
		t.gate = new(upstream.Gate)
		t.gate.Shut()
		slot.SetGate(t.gate)
	} else {
		slot.SetGate(&st.gate)
	}
	t.stream.Store(st)
}

// take queues an event for a seat of the stream. The mutex is held.
func (st *stream) take(t *seat, e *upstream.Event) {
	it := item{seat: t, kind: e.Kind, reason: e.Reason}
	if e.Kind == upstream.Message {
		it.buf, it.owed = e.Message.Buf, true
		it.delivery, it.channel, it.seq = e.Message.Delivery, e.Message.Channel, e.Message.Seq
		e.Message.Buf = nil
	}
	switch {
	case st.sealed:
		st.discard(it, upstream.DropShutdown)
	case t.closed:
		st.discard(it, upstream.DropAfterClose)
	case e.Kind == upstream.Closed:
		t.closed = true
		if st.parked() {
			st.closeParked(t, it)
			return
		}
		delete(st.seats, t)
		st.put(it)
	default:
		st.put(it)
	}
}

// put queues an item. The mutex is held.
func (st *stream) put(it item) {
	if st.parked() {
		st.park(it)
		return
	}
	size := it.size()
	if it.unreliable() && !st.makeRoom(size) {
		st.discard(it, upstream.DropStreamFull)
		return
	}
	if len(st.queue) == 0 {
		st.queueSince = st.pool.now()
	}
	st.queue = append(st.queue, it)
	st.bytes += size
	if st.bytes > st.pool.cfg.StreamBufferBytes {
		if !st.full {
			st.full, st.fullSince = true, st.pool.now()
		}
		if !st.gate.IsShut() {
			st.gate.Shut()
		}
	}
}

// makeRoom lets unreliable items give way, the oldest first, until size bytes
// fit; false when they do not. The mutex is held.
func (st *stream) makeRoom(size int) bool {
	limit := st.pool.cfg.StreamBufferBytes
	for ; st.bytes+size > limit && st.scan < len(st.queue); st.scan++ {
		it := &st.queue[st.scan]
		if it.unreliable() {
			st.bytes -= it.size()
			st.discard(*it, upstream.DropStreamFull)
			*it = item{}
			st.holes++
		}
	}
	if st.holes > 64 && st.holes > len(st.queue)/2 {
		st.compact()
	}
	return st.bytes+size <= limit
}

// compact closes the holes, which are all in front of scan.
func (st *stream) compact() {
	kept := st.queue[:0]
	for i := range st.queue {
		if st.queue[i].kind != 0 {
			kept = append(kept, st.queue[i])
		}
	}
	clear(st.queue[len(kept):])
	st.queue = kept
	st.scan -= st.holes
	st.holes = 0
}

// discard leaves an item to unlock, which releases and counts it.
func (st *stream) discard(it item, why upstream.Drop) {
	if it.buf != nil {
		st.shed = append(st.shed, shed{it, why})
	}
}

// unlock unlocks the mutex, wakes the writer if there is work, and releases what
// was discarded.
func (st *stream) unlock() { st.pool.drop(st.letGo()) }

// letGo is unlock for a caller that holds other locks, who has to drop what it
// returns when he holds none.
func (st *stream) letGo() (dropped []shed) {
	return st.letGoAnd(true)
}

// letGoAnd is letGo; without rouse the caller sees to the writer, with kick.
func (st *stream) letGoAnd(rouse bool) (dropped []shed) {
	dropped, st.shed = st.shed, nil
	wake := rouse && st.idle && st.work()
	if wake {
		st.idle = false
	}
	st.mu.Unlock()
	if wake {
		st.wake <- struct{}{} // never blocks: one token for each time it sleeps
	}
	return dropped
}

// drop releases and counts what was discarded. No lock may be held.
func (p *Pool) drop(dropped []shed) {
	for i := range dropped {
		dropped[i].release()
		p.gateway.Drop(dropped[i].why, 1)
	}
}

// work reports whether the writer has something to do. The mutex is held.
func (st *stream) work() bool {
	return len(st.queue) > 0 && st.cut != cutOff || st.ping.due() || st.finishing
}

// retire makes the writer send what is queued and a ping, and then nothing more;
// the pong ends the stream. What comes meanwhile stays queued and moves on.
func (st *stream) retire() {
	st.mu.Lock()
	if st.cut == uncut {
		st.cut = cutting
		st.ping.request(st.pool.now())
		st.ping.last = st.ping.wanted
	}
	st.unlock()
}

// finish makes the writer send what is queued and end the stream's write side.
func (st *stream) finish() {
	st.mu.Lock()
	st.finishing = true
	st.unlock()
}

// state is the name for Status.
func (st *stream) state() string {
	st.mu.Lock()
	retiring := st.cut != uncut
	st.mu.Unlock()
	if h := st.hello.Load(); retiring || h.draining {
		return "draining"
	}
	return "live"
}

func (st *stream) String() string {
	return fmt.Sprintf("%s stream %d (%s)", st.backend.url, st.index, st.address)
}

// because is a reason for a session.
func because(code transport.Code, text string) transport.Reason {
	return transport.Because(code, "%s", text)
}
