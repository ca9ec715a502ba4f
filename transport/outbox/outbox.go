// Package outbox is the queue of what a session has still to send: the session
// owns it, lanes pull from it. Gateway and client use the same one.
//
// It owns the limits of WIRE.md's delivery classes and the sequence numbers of
// unreliable messages; it does no I/O, keeps no clock and wakes nobody.
//
//  1. Push takes a message: reliable ones up to a limit in bytes, unreliable
//     ones by dropping the oldest, or, while they have no lane of their own, all
//     but the newest of each channel ("latest wins", WIRE.md section 1).
//  2. Pull gives messages to a lane, which releases their buffers.
//  3. Seal ends pushing, Drop releases everything.
package outbox

import (
	"errors"
	"sync"
	"sync/atomic"

	"strait/transport"
)

// Overhead is what each queued message counts in bytes beside its payload, so
// that a limit in bytes also bounds the number of empty messages.
const Overhead = 64

// framing is what each message uses of Pull's budget beside its payload: the
// longest frame header, so that what is pulled fits into budget bytes of a stream.
const framing = 8

// keep is the capacity up to which an empty queue keeps its memory.
const keep = 16

var (
	// ErrFull refuses a reliable message: the peer does not read.
	ErrFull = errors.New("outbox: the limit of queued reliable bytes is reached")
	// ErrSealed refuses a message after Seal.
	ErrSealed = errors.New("outbox: sealed")
)

// Config bounds a Queue. Zero values are the documented defaults.
type Config struct {
	// ReliableBytes bounds queued reliable messages, payload and Overhead; 0 is 256 KiB.
	ReliableBytes int
	// UnreliableBytes bounds queued unreliable messages likewise; 0 is 64 KiB. A
	// message above it is queued alone.
	UnreliableBytes int
}

// Queue is one session's outbound queue; Init comes first. Safe for concurrent use.
type Queue struct {
	maxReliable, maxUnreliable int

	// bytes is what is queued, by delivery class: payload and Overhead.
	bytes [2]atomic.Int64

	mu         sync.Mutex
	sealed     bool
	fifo       bool // unreliable messages have a lane of their own
	reliable   channels
	unreliable fifo
	seqs       []channelSeq
}

type channelSeq struct {
	channel uint8
	next    uint16
}

// Init prepares a Queue, which is embedded by value.
func (q *Queue) Init(c Config) {
	q.maxReliable, q.maxUnreliable = c.ReliableBytes, c.UnreliableBytes
	if q.maxReliable == 0 {
		q.maxReliable = 256 << 10
	}
	if q.maxUnreliable == 0 {
		q.maxUnreliable = 64 << 10
	}
}

// SetDatagrams says whether unreliable messages have a lane of their own now.
// Without one the newest of each channel wins, also among those that are queued
// already; dropped is how many gave way.
func (q *Queue) SetDatagrams(on bool) (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fifo = on
	if on {
		return 0
	}
	var newer [256 / 64]uint64 // channels of which a newer message is queued
	for i := q.unreliable.n - 1; i >= 0; i-- {
		word, bit := &newer[q.unreliable.at(i).Channel/64], uint64(1)<<(q.unreliable.at(i).Channel%64)
		if *word&bit == 0 {
			*word |= bit
			continue
		}
		q.dropUnreliable(i)
		dropped++
	}
	return dropped
}

// Push queues m and takes its buffer in every case. dropped is how many
// unreliable messages gave way to it. The error is ErrFull or ErrSealed.
func (q *Queue) Push(m transport.Message) (dropped int, err error) {
	size := len(m.Buf.B) + Overhead
	q.mu.Lock()
	switch {
	case q.sealed:
		err = ErrSealed
	case m.Delivery == transport.Reliable:
		if q.reliable.bytes+size > q.maxReliable {
			err = ErrFull
			break
		}
		q.reliable.push(m.Channel, m.Buf)
		q.bytes[transport.Reliable].Add(int64(size))
		m.Buf = nil
	default:
		dropped = q.pushUnreliable(m, size)
		m.Buf = nil
	}
	q.mu.Unlock()
	if m.Buf != nil {
		m.Buf.Release()
	}
	return dropped, err
}

func (q *Queue) pushUnreliable(m transport.Message, size int) (dropped int) {
	if !q.fifo {
		if i := q.unreliable.find(m.Channel); i >= 0 {
			old := q.unreliable.at(i)
			if grown := len(m.Buf.B) - len(old.Buf.B); q.unreliable.bytes+grown <= q.maxUnreliable {
				// In the place of the old one: a channel that is updated all the time
				// would never get to the front of a lane that is always behind.
				old.Buf.Release()
				*old = m
				q.unreliable.bytes += grown
				q.bytes[transport.Unreliable].Add(int64(grown))
				return 1
			}
			q.dropUnreliable(i)
			dropped++
		}
	}
	for q.unreliable.n > 0 && q.unreliable.bytes+size > q.maxUnreliable {
		q.dropUnreliable(0)
		dropped++
	}
	q.unreliable.push(m)
	q.bytes[transport.Unreliable].Add(int64(size))
	return dropped
}

// dropUnreliable takes the i-th unreliable message out and releases it.
func (q *Queue) dropUnreliable(i int) {
	old := q.unreliable.remove(i)
	q.bytes[transport.Unreliable].Add(-int64(len(old.Buf.B) + Overhead))
	old.Buf.Release()
}

// Pull appends messages to dst as [transport.Peer.Pull] describes and numbers
// the unreliable ones. The caller owns their buffers. Those of AnyChannel come in
// the order in which they were pushed.
func (q *Queue) Pull(dst []transport.Message, d transport.Delivery, channel, budget int) []transport.Message {
	q.mu.Lock()
	defer q.mu.Unlock()
	if d == transport.Unreliable {
		return q.pullUnreliable(dst, channel, budget)
	}
	f := &q.reliable
	before := f.bytes
	if channel == transport.AnyChannel {
		dst = f.pull(dst, budget)
	} else {
		dst = f.pullOf(dst, uint8(channel), budget)
	}
	if f.bytes != before {
		f.rest()
		q.bytes[transport.Reliable].Add(int64(f.bytes - before))
	}
	return dst
}

func (q *Queue) pullUnreliable(dst []transport.Message, channel, budget int) []transport.Message {
	f := &q.unreliable
	before, taken := f.bytes, 0
	for i := 0; i < f.n; {
		m := f.at(i)
		if channel != transport.AnyChannel && int(m.Channel) != channel {
			i++
			continue
		}
		size := len(m.Buf.B) + framing
		if taken > 0 && taken+size > budget {
			break
		}
		taken += size
		got := f.remove(i)
		got.Seq = q.nextSeq(got.Channel)
		dst = append(dst, got)
	}
	q.bytes[transport.Unreliable].Add(int64(f.bytes - before))
	return dst
}

func (q *Queue) nextSeq(channel uint8) uint16 {
	for i := range q.seqs {
		if s := &q.seqs[i]; s.channel == channel {
			s.next++
			return s.next - 1
		}
	}
	q.seqs = append(q.seqs, channelSeq{channel: channel, next: 1})
	return 0
}

// Channels appends to dst the channels of which reliable messages are queued, each
// once, in no order.
func (q *Queue) Channels(dst []uint8) []uint8 {
	if !q.Pending(transport.Reliable) {
		return dst
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reliable.chain(0) // from now on they are known
	return append(dst, q.reliable.ids...)
}

// Bytes is what is queued now, payload and Overhead, without taking the lock.
func (q *Queue) Bytes() int {
	return int(q.bytes[transport.Reliable].Load() + q.bytes[transport.Unreliable].Load())
}

// Pending reports whether messages of a class are queued, without taking the lock.
func (q *Queue) Pending(d transport.Delivery) bool { return q.bytes[d].Load() != 0 }

// Empty reports whether nothing is queued, without taking the lock.
func (q *Queue) Empty() bool {
	return !q.Pending(transport.Reliable) && !q.Pending(transport.Unreliable)
}

// Seal refuses every later Push; what is queued can still be pulled.
func (q *Queue) Seal() {
	q.mu.Lock()
	q.sealed = true
	q.mu.Unlock()
}

// Drop seals the queue and releases what it holds; it returns how many messages
// of each class that were.
func (q *Queue) Drop() (reliable, unreliable int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sealed = true
	reliable, unreliable = q.reliable.n, q.unreliable.n
	for q.reliable.n > 0 {
		q.reliable.pop().Release()
	}
	q.reliable.rest()
	for q.unreliable.n > 0 {
		q.unreliable.remove(0).Buf.Release()
	}
	q.bytes[transport.Reliable].Store(0)
	q.bytes[transport.Unreliable].Store(0)
	return reliable, unreliable
}
