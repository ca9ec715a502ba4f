package queue

// The states of the consumer. parking.pml is the same machine for spin; a
// change here is a change there.
const (
	// awake: the consumer's goroutine holds the token and will look at the
	// ring before it parks.
	awake uint32 = iota
	// parked: nobody holds the token, the consumer waits at the semaphore or
	// is about to. Whoever moves the state on to awake or nudged owes it one
	// wake-up; whoever moves it on to borrowed owes a Release.
	parked
	// nudged: Wake was called and no Wait has answered it yet. The token is
	// where it was before, with the consumer or with a borrower.
	nudged
	// borrowed: the consumer is still parked, another goroutine holds the
	// token.
	borrowed
)

// Wait parks the consumer until there is something to do. It returns true
// when an element is published, so that Drain will return more than 0, and
// once for the calls of Wake since the last such answer. It returns false
// when the ring is closed and everything that was ever pushed was drained,
// and then always (a Wake still owed its true comes first). Only the holder
// of the consumer token may call it, and not one who borrowed the token.
func (r *Ring[T]) Wait() bool {
	for {
		// Swap, not Store: it reads the latest Wake, so that what the caller
		// of that Wake did before is visible to the caller of Wait.
		if r.state.Load() == nudged {
			r.state.Swap(awake)
			return true
		}
		head := r.head.Load()
		if r.rest > 0 || r.published(head) > 0 {
			return true
		}
		if r.finished(head) {
			return false
		}
		if !r.state.CompareAndSwap(awake, parked) {
			continue
		}
		// The token is up for borrowing: rest is out of bounds from here, and
		// head is the local copy. Look again, because what was pushed before
		// the announcement woke nobody.
		if (r.published(head) > 0 || r.finished(head)) && r.state.CompareAndSwap(parked, awake) {
			continue
		}
		<-r.sema
	}
}

// unpark wakes the consumer if it is parked. Of several callers one wins and
// sends; the semaphore has room, because the consumer parks again only after
// it has received.
func (r *Ring[T]) unpark() {
	if r.state.CompareAndSwap(parked, awake) {
		r.sema <- struct{}{}
	}
}

// Wake makes a parked Wait, or else the next one, return true even if nothing
// is in the ring: for side work that the consumer does between drains. What
// the caller did before Wake is visible after that Wait. Several calls before
// the answer are answered once. It never blocks.
func (r *Ring[T]) Wake() {
	if r.state.Swap(nudged) == parked {
		r.sema <- struct{}{}
	}
}

// Close refuses every later Push and makes Wait return false as soon as the
// ring is empty. A Push that overlaps Close either has its place before Close
// takes effect, returns true and is drained before Wait returns false; or it
// returns false. Nothing whose Push returned true is lost as long as the
// consumer goes on until Wait returns false. Close is idempotent and never
// blocks.
func (r *Ring[T]) Close() {
	r.tail.Or(closedBit)
	if r.state.Load() == parked {
		r.unpark()
	}
}

// TryAcquire borrows the token of a parked consumer, so that the caller may
// call Drain; it returns false, after one load, when the consumer is not
// parked. Until Release the consumer stays parked and pushes wake nobody: a
// producer that acquires first, then pushes, then drains, delivers without a
// goroutine switch. It never blocks.
func (r *Ring[T]) TryAcquire() bool {
	return r.state.Load() == parked && r.state.CompareAndSwap(parked, borrowed)
}

// Release gives a token borrowed with TryAcquire back to the parked consumer,
// and wakes it if something was left in the ring or came meanwhile: an
// element, a Wake, or Close. Without a token Release panics where it can
// tell. It never blocks.
func (r *Ring[T]) Release() {
	head, rest := r.head.Load(), r.rest
	if !r.state.CompareAndSwap(borrowed, parked) {
		if r.state.Load() != nudged {
			panic("queue: Release without TryAcquire")
		}
		// Wake came while the token was out and left its wake-up to us.
		r.sema <- struct{}{}
		return
	}
	// As in Wait: the token is gone, look again at what woke nobody.
	if rest > 0 || r.published(head) > 0 || r.finished(head) {
		r.unpark()
	}
}
