// Package transport is the vocabulary that every part of the gateway shares:
// what a session, a connection and a listener are, how a message is delivered,
// why something was closed, and who owns a buffer.
//
// It owns no socket, no goroutine and no protocol, and imports the standard
// library alone. Transports implement [Listener] and [Conn]; the gateway
// implements [Session] and [Peer]; neither knows the other.
//
// Sessions own queues, connections pull:
//
//  1. A [Listener] hands a [Conn] to the gateway once its handshake is done and
//     receives the [Peer] that the connection belongs to.
//  2. The connection gives the client's opening to [Peer.Hello] and everything
//     after it to [Peer.Deliver]; what Deliver does not take stays with the
//     connection, which stops reading until [Conn.Resume].
//  3. Game logic queues on a session with [Session.Send]; [Session.Flush] wakes
//     the lanes that have work, and each lane takes what it can write with
//     [Peer.Pull].
//  4. An end has two halves: [Peer.Closing] when nothing more will be delivered,
//     [Peer.Gone] when the connection no longer exists. A session may outlive
//     both.
package transport
