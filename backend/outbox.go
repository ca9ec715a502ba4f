package backend

import (
	"sync"
	"syscall"

	"strait/internal/direct"
	"strait/proto/batch"
)

const (
	// batchFill is the size at which another batch is begun: small enough for the
	// gateway to carry it out in one go.
	batchFill = 256 << 10
	// keepBuffer is up to what size buffers are kept between writes.
	keepBuffer = 1 << 20
	// commandOverhead is an upper bound of what a command adds to its payload and
	// texts.
	commandOverhead = 64
	// handleSize is the most bytes that a session's handle takes.
	handleSize = 10
	// maxCommand is the longest command.
	maxCommand = batch.MaxBatch - commandOverhead
)

// outbox is what is queued for one stream: encoded batches with their lengths, the
// last one still open.
type outbox struct {
	limit int
	wake  chan struct{} // one token for a writer that sleeps

	mu     sync.Mutex
	buf    []byte
	open   int // where the length of the open batch is; -1 without one
	acked  uint64
	pong   uint64
	idle   bool   // the writer sleeps
	held   bool   // the reader will see to what is queued
	rest   []byte // of what was begun to be written
	spare  []byte // a buffer for release
	ending bool   // the writer ends when all is written
	closed bool   // nothing is taken any more
}

func newOutbox(limit int) *outbox {
	return &outbox{limit: limit, wake: make(chan struct{}, 1), open: -1}
}

// begin locks the outbox for one command of up to size bytes and returns where to
// append it; end has to follow. On error it is not locked.
func (o *outbox) begin(size int) ([]byte, error) {
	size += commandOverhead
	if size > maxCommand {
		return nil, &TooLargeError{Size: size, Max: maxCommand}
	}
	o.mu.Lock()
	if o.closed || o.ending {
		o.mu.Unlock()
		return nil, ErrDetached
	}
	if len(o.buf)+size > o.limit {
		queued := len(o.buf)
		o.mu.Unlock()
		return nil, &FullError{Queued: queued, Limit: o.limit}
	}
	if o.open >= 0 && len(o.buf)-o.open+size > batchFill {
		o.seal()
	}
	o.reopen()
	return o.buf, nil
}

// end takes what begin returned, with the command appended, and unlocks.
func (o *outbox) end(b []byte) {
	o.buf = b
	o.unlock()
}

func (o *outbox) reopen() {
	if o.open < 0 {
		o.open = len(o.buf)
		o.buf = batch.AppendLength(o.buf, 0)
	}
}

func (o *outbox) seal() {
	if o.open >= 0 {
		batch.PutLength(o.buf[o.open:], len(o.buf)-o.open-batch.LengthLen)
		o.open = -1
	}
}

func (o *outbox) unlock() {
	wake := o.idle && (!o.held || len(o.buf) > batchFill)
	if wake {
		o.idle = false
	}
	o.mu.Unlock()
	if wake {
		o.wake <- struct{}{} // never blocks: one token for each time it sleeps
	}
}

// hold keeps the writer asleep while the handler is called for a batch: what it
// sends is written by release, in one go and without waking anybody.
func (o *outbox) hold() {
	o.mu.Lock()
	o.held = true
	o.mu.Unlock()
}

// release writes what was queued since hold, if the writer still sleeps and the
// socket takes it without waiting; the writer does the rest.
func (o *outbox) release(socket syscall.RawConn) {
	o.mu.Lock()
	o.held = false
	if !o.idle || !o.work() {
		o.mu.Unlock()
		return
	}
	o.idle = false // the writer's part is ours until it is woken or sleeps again
	if socket == nil || o.ending || o.closed || len(o.buf) > batchFill {
		o.mu.Unlock()
		o.wake <- struct{}{}
		return
	}
	b := o.take(o.spare)
	o.spare = nil // it is the queue's now
	o.mu.Unlock()
	n := direct.TryWrite(socket, b)
	o.mu.Lock()
	if n < len(b) {
		o.rest = b[n:]
	} else if cap(b) <= keepBuffer {
		o.spare = b
	}
	if n < len(b) || o.work() || o.ending || o.closed {
		o.mu.Unlock()
		o.wake <- struct{}{}
		return
	}
	o.idle = true
	o.mu.Unlock()
}

// work reports whether there is something to write. mu is held.
func (o *outbox) work() bool { return len(o.buf) > 0 || o.acked != 0 || o.pong != 0 || o.rest != nil }

// answer acknowledges so many batches and answers a ping, behind all commands so
// far; 0 is nothing.
func (o *outbox) answer(acked, pong uint64) {
	if acked == 0 && pong == 0 {
		return
	}
	o.mu.Lock()
	o.acked = max(o.acked, acked)
	o.pong = max(o.pong, pong)
	o.unlock()
}

// finish lets the writer end when all is written, and takes nothing more.
func (o *outbox) finish() {
	o.mu.Lock()
	o.ending = true
	o.unlock()
}

// close makes the outbox refuse everything.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.buf, o.open = nil, -1
	o.mu.Unlock()
}

// next returns all that is to be written, and takes the buffer of last time back.
// It sleeps until there is something; nil is the end.
func (o *outbox) next(spare []byte, gone <-chan struct{}) []byte {
	if cap(spare) > keepBuffer {
		spare = nil
	}
	o.mu.Lock()
	for !o.work() {
		if o.ending || o.closed {
			o.mu.Unlock()
			return nil
		}
		o.idle = true
		o.mu.Unlock()
		select {
		case <-o.wake:
		case <-gone:
			return nil
		}
		o.mu.Lock()
	}
	defer o.mu.Unlock()
	if b := o.rest; b != nil {
		o.rest = nil
		return b
	}
	return o.take(spare)
}

// take returns all that is queued and goes on with spare. mu is held.
func (o *outbox) take(spare []byte) []byte {
	if o.acked != 0 || o.pong != 0 {
		o.reopen()
		o.buf = batch.AppendPong(batch.AppendAcked(o.buf, o.acked), o.pong)
		o.acked, o.pong = 0, 0
	}
	o.seal()
	b := o.buf
	o.buf = spare[:0]
	return b
}
