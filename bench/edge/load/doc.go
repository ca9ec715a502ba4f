//go:build linux

// Package load plays many clients against a listener that echoes frames (WIRE.md
// section 2) over TLS, as datagrams or over QUIC, and measures. It is the same code for every proxy: to the
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
//     A measured time in which nothing came back goes on for a while, and is then an
//     error; so is whatever does not come back. Nothing is waited for without an end.
//  4. Over QUIC a goroutine a connection takes the loop's place (QUIC), because quic-go
//     is made so. A reader never waits to write: the echo would wait for it.
//  5. Sessions opens, uses and ends sessions for as long as asked: handshakes.
package load
