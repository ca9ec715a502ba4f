package queue

import (
	"fmt"
	"math/bits"
	"sync/atomic"
)

// maxCapacity bounds New: beyond it a ring is a memory leak with an index.
const maxCapacity = 1 << 30

// closedBit in tail refuses every later reservation. Positions use the 63
// bits below it and therefore never wrap.
const closedBit = 1 << 63

// line separates fields written by different sides. Two cache lines of 64
// bytes, because the adjacent-line prefetcher fetches them in pairs.
const line = 128

// stride spreads the sequence numbers of neighbouring positions over different
// cache lines: being odd it permutes the slots, and 17 of them are 136 bytes
// apart. Side by side, producers that take turns fight over every line of
// them: spreading took two producers' pushes of 64 bytes from 29 to 20 ns.
// Values stay in order, so that a batch is one copy.
const stride = 17

// Ring is a bounded queue from many producers to one consumer. Make it with
// New; it must not be copied. Push, PushBatch, Wake, Close, Len, Cap and
// TryAcquire may be called by any goroutine at any time; Drain, Wait and
// Release only by the holder of the consumer token (see the package comment).
type Ring[T any] struct {
	// Fixed by New.
	mask   uint64          // slots-1
	stamps []atomic.Uint64 // one sequence number a slot, see stamp and slot
	values []T             // one element a slot
	sema   chan struct{}   // capacity 1: the wake-up on its way to a parked consumer

	_ [line]byte

	// Written by producers and Close: the position of the next reservation,
	// and closedBit.
	tail atomic.Uint64

	_ [line - 8]byte

	// Written by the consumer, once a Drain: everything before it was moved
	// out, its slots are zero and free. Read by producers for free space.
	head atomic.Uint64

	_ [line - 8]byte

	// Written when the consumer parks or is woken: one of awake, parked,
	// nudged, borrowed. Read by each producer after it has published.
	state atomic.Uint32

	_ [line - 4]byte

	// Owned by the holder of the consumer token: how many elements from head
	// on belong to a batch that an earlier Drain has taken in part.
	rest uint64

	_ [line - 8]byte
}

// New returns an empty ring for at least capacity elements: the next power of
// two, and at least 2. A capacity below 1 or above 1<<30 is a mistake in the
// program, and New panics. Everything the ring will ever need is allocated
// here.
func New[T any](capacity int) *Ring[T] {
	if capacity < 1 || capacity > maxCapacity {
		panic(fmt.Sprintf("queue: New(%d): the capacity must be from 1 to %d", capacity, maxCapacity))
	}
	slots := max(2, uint64(1)<<bits.Len64(uint64(capacity-1)))
	return &Ring[T]{
		mask:   slots - 1,
		stamps: make([]atomic.Uint64, slots),
		values: make([]T, slots),
		sema:   make(chan struct{}, 1),
	}
}

// slot is where the reservation that starts at pos is published.
func (r *Ring[T]) slot(pos uint64) *atomic.Uint64 {
	return &r.stamps[pos*stride&r.mask]
}

// stamp is the sequence number that publishes n elements from pos on: the lap
// of pos around the ring above, n below. As n is from 1 to the number of
// slots, no two laps share a value and none is the initial zero.
func (r *Ring[T]) stamp(pos, n uint64) uint64 {
	return (pos&^r.mask)<<1 | n
}

// published returns how many elements the reservation that starts at pos has
// published: all of them, or 0. A slot that still carries an older lap's
// stamp (or, for a caller that lost the consumer token meanwhile, already a
// newer one) differs by more than the number of slots, and reads as 0.
func (r *Ring[T]) published(pos uint64) uint64 {
	n := r.slot(pos).Load() - r.stamp(pos, 0)
	if n > r.mask+1 {
		return 0
	}
	return n
}

// finished reports that the ring is closed and that pos, up to which
// everything was drained, is the end of what was ever reserved.
func (r *Ring[T]) finished(pos uint64) bool {
	return r.tail.Load() == pos|closedBit
}

// Push appends v and wakes a parked consumer. It returns false, without
// having kept anything of v, when the ring is full or closed. It never
// blocks.
func (r *Ring[T]) Push(v T) bool {
	for {
		// The order of the two loads makes full exact: tail never exceeds
		// head by more than the number of slots, so a tail read earlier that
		// is that far away from a head read later still was so at the later.
		pos := r.tail.Load()
		head := r.head.Load()
		if pos-head > r.mask {
			// Full; or closed, where the bit makes the distance huge; or pos
			// is so old that head has overtaken it.
			if pos < head {
				continue
			}
			return false
		}
		if !r.tail.CompareAndSwap(pos, pos+1) {
			continue
		}
		r.values[pos&r.mask] = v
		r.slot(pos).Store(r.stamp(pos, 1))
		if r.state.Load() == parked {
			r.unpark()
		}
		return true
	}
}

// PushBatch appends as long a prefix of vs as there is room for, with one
// reservation and one publication, and wakes a parked consumer. It returns
// the length of the prefix; less than len(vs) means full (or closed, then 0).
// The elements stay together: no other producer's come between them, and the
// consumer sees all of them or none. vs is borrowed until PushBatch returns.
// It never blocks.
func (r *Ring[T]) PushBatch(vs []T) int {
	if len(vs) == 0 {
		return 0
	}
	for {
		pos := r.tail.Load()
		head := r.head.Load()
		if pos-head > r.mask {
			if pos < head {
				continue
			}
			return 0
		}
		n := min(uint64(len(vs)), r.mask+1-(pos-head))
		if !r.tail.CompareAndSwap(pos, pos+n) {
			continue
		}
		first := copy(r.values[pos&r.mask:], vs[:n])
		copy(r.values, vs[first:n])
		r.slot(pos).Store(r.stamp(pos, n))
		if r.state.Load() == parked {
			r.unpark()
		}
		return int(n)
	}
}

// Drain moves up to len(dst) elements into dst, oldest first, and returns how
// many. It zeroes the slots that it empties, so that the ring keeps nothing
// alive, and only then gives them back to the producers, all at once. 0 means
// that nothing is published now (or that dst is empty). It never blocks.
// Only the holder of the consumer token may call it.
func (r *Ring[T]) Drain(dst []T) int {
	head := r.head.Load()
	room := uint64(len(dst))
	n := r.rest
	for n < room {
		more := r.published(head + n)
		if more == 0 {
			break
		}
		n += more
	}
	if n == 0 || room == 0 {
		return 0
	}
	r.rest = 0
	if n > room {
		r.rest = n - room
		n = room
	}
	from := r.values[head&r.mask:]
	if uint64(len(from)) > n {
		from = from[:n]
	}
	first := copy(dst, from)
	clear(from)
	if uint64(first) < n {
		wrapped := r.values[:n-uint64(first)]
		copy(dst[first:], wrapped)
		clear(wrapped)
	}
	r.head.Store(head + n)
	return int(n)
}

// Len returns the number of elements reserved and not yet drained: those
// being pushed count. By the time the caller reads it, it is history; it is
// meant for metrics.
func (r *Ring[T]) Len() int {
	head := r.head.Load()
	n := r.tail.Load()&^closedBit - head
	// Producers may have gone on after head was read.
	return int(min(n, r.mask+1))
}

// Cap returns the number of slots: the capacity given to New, rounded up.
func (r *Ring[T]) Cap() int {
	return len(r.values)
}
