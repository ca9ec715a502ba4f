// Package link decides the fate of packets on an impaired link: which are lost, and
// when the others arrive.
//
// It is a deterministic core: packets and the time come in, fates go out. It does no
// I/O, reads no clock, starts no goroutine and holds no packet's bytes.
//
//  1. A [Config] says what each of the two directions does; Validate refuses what no
//     link can do.
//  2. [New] makes a [Link] with two independent [Direction]s.
//  3. [Direction.Offer] takes one packet and the time, and returns its [Fate]: it is
//     refused by a filter, finds the queue full, leaves the bottleneck in a blackout,
//     is lost behind it, or arrives at a time, once or twice.
//  4. [Flight] keeps what is under way in the order of arrival.
//
// What is random hangs on the seed, the direction, the purpose and a number (the
// packet's, or for jitter the stretch of time's) and on nothing else: the same seed
// loses the packets with the same numbers whatever the other settings are, and
// however many packets another transport sends.
//
// The order in a direction is that of a last mile: a filter, then the queue and the
// bottleneck, then loss, delay and jitter. So a packet that is lost has used its share
// of the rate, as it has on radio.
package link
