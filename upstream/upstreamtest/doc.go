// Package upstreamtest holds what tests of upstream drivers share: a gateway and
// sessions that record what a driver does to them, and the contract that every
// driver has to keep.
//
// It never uses a network and checks, when a test ends, that every buffer was
// released, every batch of commands ended and every message credited.
//
//  1. NewGateway makes a gateway, Attach gives it a driver and starts it.
//  2. Open opens sessions; Say, Link and Leave are what players do. Each shard has
//     a goroutine that delivers events to the driver, in order and in batches, the
//     way the real dispatcher does.
//  3. Next, Unread and Ended are what players see; only what was flushed counts.
//  4. Run runs the contract against a driver, with game logic that the suite
//     brings.
package upstreamtest
