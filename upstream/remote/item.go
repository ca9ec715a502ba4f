package remote

import (
	"strait/transport"
	"strait/upstream"
)

// itemOverhead is what each item counts in bytes beside its payload, so that a
// limit in bytes also bounds the number of empty messages.
const itemOverhead = 64

// item is one event on its way to a backend. It owns one reference to its buffer.
type item struct {
	seat   *seat
	buf    *transport.Buf    // of a message
	reason *transport.Reason // of Closed
	batch  uint64            // the batch that it was written in, while it is retained

	kind     upstream.EventKind // 0: it gave way to others
	delivery transport.Delivery
	channel  uint8
	owed     bool // the session is still to be credited
	seq      uint16
}

func (it *item) size() int {
	if it.buf == nil {
		return itemOverhead
	}
	return itemOverhead + len(it.buf.B)
}

func (it *item) reliable() bool {
	return it.kind == upstream.Message && it.delivery == transport.Reliable
}

func (it *item) unreliable() bool {
	return it.kind == upstream.Message && it.delivery == transport.Unreliable
}

// credit tells the session that its message was taken. No lock may be held.
func (it *item) credit() {
	if it.owed {
		it.owed = false
		it.seat.session.Consumed(len(it.buf.B))
	}
}

// release gives the buffer back and credits the session. No lock may be held.
func (it *item) release() {
	if it.buf != nil {
		it.credit()
		it.buf.Release()
		it.buf = nil
	}
}

// items is a queue of items in a circular buffer.
type items struct {
	ring  []item // length is 0 or a power of two
	head  int
	n     int
	bytes int
}

func (q *items) push(it item) {
	if q.n == len(q.ring) {
		grown := make([]item, max(64, 2*len(q.ring)))
		for i := range q.n {
			grown[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
		}
		q.ring, q.head = grown, 0
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = it
	q.n++
	q.bytes += it.size()
}

func (q *items) front() *item { return &q.ring[q.head] }

func (q *items) pop() item {
	it := q.ring[q.head]
	q.ring[q.head] = item{}
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	q.bytes -= it.size()
	return it
}
