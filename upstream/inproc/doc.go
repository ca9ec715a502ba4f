// Package inproc is game logic inside the gateway's process: an echo, or a Go
// handler.
//
// It owns the calls of the handler and nothing else: no goroutine, no queue and
// no copy of a payload.
//
//  1. Deliver runs on the goroutine of the dispatcher shard and calls the handler
//     for each event of the batch, inline. Different shards call concurrently;
//     one session's calls always come in order and one at a time.
//  2. After each call the event's buffer is released, whatever the handler did.
//  3. At the end of the batch every session that had an event in it is flushed
//     once.
//
// Because the handler runs on the goroutine that dispatches (the shard's, or an event loop's for its turn) it must not block: while it
// does, every session of that shard waits.
package inproc
