package client

import (
	"sync"

	"strait/transport"
	"strait/transport/outbox"
)

// inbox holds what has arrived until Receive takes it, in order of arrival. Full
// of reliable messages it refuses more; of unreliable ones the oldest goes.
type inbox struct {
	counters *counters
	limit    int // bytes of reliable messages, outbox.Overhead for each included
	// ready holds a token while there may be something to take.
	ready chan struct{}

	// guarded by mu
	mu         sync.Mutex
	reliable   arrivals
	unreliable arrivals
	count      uint64 // of all that ever arrived; numbers the arrivals
	held       bool   // something was refused since the last resume
	closed     bool
}

// arrivals is a queue of messages; the memory is given back when it is empty.
type arrivals struct {
	list  []arrival
	bytes int
}

type arrival struct {
	transport.Message
	number uint64
}

func newInbox(limit int, c *counters) *inbox {
	return &inbox{counters: c, limit: limit, ready: make(chan struct{}, 1)}
}

// put takes m and its buffer, unless taken is false. dropped is how many
// messages were dropped for it, itself included.
func (b *inbox) put(m transport.Message) (taken bool, dropped int) {
	size := len(m.Buf.B) + outbox.Overhead
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		m.Buf.Release()
		return true, 1
	}
	q := &b.reliable
	if m.Delivery == transport.Unreliable {
		q = &b.unreliable
		for q.bytes > 0 && q.bytes+size > b.limit/4 {
			q.pop().Buf.Release()
			dropped++
		}
	} else if q.bytes > 0 && q.bytes+size > b.limit {
		b.held = true
		return false, 0
	}
	b.counters.received(m.Delivery, len(m.Buf.B)) // before it can be taken
	q.list = append(q.list, arrival{m, b.count})
	q.bytes += size
	b.count++
	b.signal()
	return true, dropped
}

// take returns the oldest message; the caller owns its buffer. resume says that
// what was refused may be offered again.
func (b *inbox) take() (m transport.Message, ok, resume bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := &b.reliable
	if u := &b.unreliable; len(u.list) > 0 && (len(q.list) == 0 || u.list[0].number < q.list[0].number) {
		q = u
	}
	if len(q.list) == 0 {
		return m, false, false
	}
	m = q.pop()
	if len(b.reliable.list)+len(b.unreliable.list) > 0 {
		b.signal()
	}
	// Half empty before reading again, so that a full inbox does not wake the
	// reader for each message.
	if b.held && b.reliable.bytes <= b.limit/2 {
		b.held = false
		resume = true
	}
	return m, true, resume
}

// close drops everything, also what comes later; it returns how many messages
// were dropped.
func (b *inbox) close() (dropped int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, q := range []*arrivals{&b.reliable, &b.unreliable} {
		for len(q.list) > 0 {
			q.pop().Buf.Release()
			dropped++
		}
	}
	return dropped
}

func (b *inbox) signal() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

func (q *arrivals) pop() transport.Message {
	m := q.list[0].Message
	q.list[0] = arrival{}
	q.list = q.list[1:]
	if len(q.list) == 0 {
		q.list = nil
	}
	q.bytes -= len(m.Buf.B) + outbox.Overhead
	return m
}
