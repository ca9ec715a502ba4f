//go:build linux

// Package load plays many clients against a TLS listener that echoes frames
// (WIRE.md section 2), and measures. It is the same code for every proxy: to the
// gateway it says CLIENT_HELLO first, to one that knows no frames the frames are
// opaque bytes that come back.
//
// It owns the clients' connections, when they send, and the latencies. It never
// starts a proxy and knows none by name.
//
//  1. Dial opens the sessions, a few at a time, in goroutines. Then each leaves the
//     Go poller for a descriptor of its own, under which crypto/tls reads from and
//     writes to memory, because a goroutine a client would cost more CPU than the
//     proxy that is measured.
//  2. One loop on one thread waits on epoll, reads each ready socket once, checks
//     that what came back is what was sent and in order, and answers or not, as the
//     kind of load says.
//  3. Saturate keeps a fixed number of messages on the way for each client.
//     Offer sends at times fixed beforehand, whatever comes back; the latency counts
//     from the time at which a message should have left, so that a proxy that stalls
//     its clients does not hide the messages that waited (coordinated omission).
//     Rest sends nothing and answers PINGs. Each sends one message on every session.
//  4. Sessions opens, uses and resets sessions for as long as asked: handshakes.
package load
