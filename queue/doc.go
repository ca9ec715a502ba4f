// Package queue owns the way from many producers to one consumer inside a
// process: Ring, a bounded ring after Dmitry Vyukov's bounded queue, in which
// every slot carries a sequence number. It is the dispatcher shards' inbox.
//
// It never blocks a producer, never allocates after New, never grows, never
// drops an element it has accepted, and starts no goroutine. What to do with
// an element that Push refused is the caller's policy. It imports the
// standard library alone.
//
// # The way of an element
//
//  1. Push reads tail and head. A distance of all slots means full.
//  2. One compare-and-swap moves tail: the positions passed over are reserved
//     for this producer. A batch moves it once for all its elements, which is
//     why they stay together.
//  3. The producer copies its elements into the slots. From the reservation to
//     step 4 it calls nothing: no lock, no allocation, no function that could
//     grow the stack or yield, only the memory copy (with the collector's
//     write barrier while that is on). A producer stopped there by force holds
//     up everything behind it, so the window is kept to a few nanoseconds.
//  4. It stores the sequence number of the first slot reserved: the lap
//     around the ring and the number of elements. This publishes them, a batch
//     as a whole. The other slots' numbers are of older laps and mean nothing.
//  5. It loads state, and wakes the consumer if that is parked.
//  6. The consumer's Drain follows the sequence numbers from head on, copies
//     what is published, zeroes the slots, and stores head once: the slots are
//     free. Finding nothing, the consumer calls Wait and parks.
//
// # The consumer token
//
// Drain and Wait are for the one goroutine that holds the consumer token. It
// is a role, not an object: the consumer's goroutine has it from New on, and
// puts it down while it is parked in Wait. There TryAcquire may borrow it, to
// Drain and then Release, at most one borrower at a time. So a producer that
// finds the consumer asleep can deliver by itself:
//
//	if ring.TryAcquire() {
//		pushed = ring.Push(v)           // wakes nobody: the token is out
//		deliver(dst[:ring.Drain(dst)])
//		ring.Release()                  // wakes the consumer if anything is left
//	} else {
//		pushed = ring.Push(v)
//	}
//
// Order is kept, because everything still goes through the ring. Wait is not
// for borrowers. A borrower that calls Drain after Release, or a second
// goroutine that calls Drain or Wait, is a data race.
//
// # Why no wake-up is lost
//
// Go's memory model gives sync/atomic operations one order that all
// goroutines agree on and that respects each goroutine's program order
// (sequential consistency). Every argument below is about that order. The
// atomics are tail, head, state, and one sequence number a slot; sema is a
// channel of capacity 1.
//
// A producer stores a sequence number, then loads state. The consumer moves
// state from awake to parked, then loads the sequence number at head once
// more. In the one order either the producer's store comes before the
// consumer's load, and the consumer sees the element and takes its parking
// back; or the consumer's load came first, then its compare-and-swap came
// before the producer's load too, and the producer sees parked and wakes it.
// Both looking past each other would need a cycle in the order. (Weaker
// acquire and release ordering would allow just that, a store passing a later
// load; it is why the sequence number is stored with an atomic of full
// strength, which on amd64 is an exchange, and why the producer's load then
// costs nothing but a load.) Close is the same argument with tail in place of
// the sequence number, Release the same with the borrower in place of the
// consumer.
//
// Elements behind one that is reserved and not yet published cannot be taken.
// Their producers may wake the consumer in vain; the one that publishes the
// first wakes it for all.
//
// A wake-up travels as one value through sema. It is owed by whoever moves
// state away from parked to awake or nudged by an atomic read-modify-write,
// so by exactly one; the consumer takes exactly one for each, before it can
// park again. Hence the channel never holds two and sending never blocks. The
// consumer sleeps in the channel receive, which is the runtime's own parking:
// it does not spin.
//
// Wake swaps state to nudged, wherever it was. Found parked, it sends;
// found awake, the next Wait finds nudged before it can park, because parking
// is a compare-and-swap from awake; found borrowed, Release fails to put the
// token down as if nothing had happened, and sends. Wait answers with a swap,
// which reads the latest Wake, so that Wake's caller and Wait's are
// synchronized.
//
// Elements are handed over the same way: the slots' plain writes come before
// the store of the sequence number, which the consumer's load observes; the
// consumer's plain zeroing comes before the store of head, which the next
// lap's producer has loaded before it reserves. The fields of the consumer
// token are handed over by state: each holder puts the token down with a
// read-modify-write that the next one's observes, directly or through sema.
//
// parking.pml is this protocol in Promela: spin checks every interleaving of
// a small instance (see its head for the command).
//
// # What lock-free means here, and what it does not
//
// Push and PushBatch take no lock and wait for nobody: a lost compare-and-swap
// means that another producer's was won. Full is exact: at some moment during
// the call every slot was reserved by a push, finished or not, or emptied by a
// Drain that has not returned. But a push that is stopped between its
// reservation and its publication hides what was pushed behind it. So Drain
// may return 0, and Wait may park, although a Push has already returned true:
// only while an earlier push is in flight, whose publication wakes the
// consumer. In the same way a full ring may have nothing to drain. The
// textbook's queue, for which empty means that nothing was pushed, this is
// not; the linearizability test states what it is as a sequential machine with
// reserving and publishing, taking and freeing as steps of their own, and
// checks recorded histories against exactly that.
package queue
