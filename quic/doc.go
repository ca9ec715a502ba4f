// Package quic is the transport of WIRE.md section 5: sessions over QUIC connections,
// with their control stream, a stream for each channel, and datagrams.
//
// It owns the UDP socket, who may begin a handshake and how long that may take, the keys
// of tokens and resets, and the listener's counters. It never moves a message: package
// session does, the same for both ends; and it never knows whose session it is.
//
//  1. quic-go's read goroutine takes packets from the socket. A first packet meets
//     [Retry] (prove your address first) and the caps on unfinished handshakes, of all
//     and of one address, before anything is kept for it.
//  2. [Listener.Serve] takes each connection in the middle of its handshake, gives it a
//     goroutine, and waits for none: a handshake can be evicted for a newer one.
//  3. When the handshake is complete that goroutine makes a [session.Session], asks
//     [transport.Accept] for the peer, and runs the session to its end.
//  4. [Listener.StopAccepting] refuses new handshakes at once, so that clients go
//     elsewhere; [Listener.Close] says DRAINING to the rest, then closes the socket.
package quic
