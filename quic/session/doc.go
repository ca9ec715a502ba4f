// Package session is one QUIC connection of WIRE.md section 5, the same for the
// gateway's end and the client's: the control stream, a stream for each channel, and
// datagrams, between a quic-go connection and a [transport.Peer].
//
// It owns how messages are spread over streams and datagrams, the errors that only
// QUIC knows (a second bidirectional stream, a wrong preface, a reset), the order in
// which such a connection ends, and the goroutines for all of it. It never listens or
// dials, never parses a control frame ([lane.Core] does), and never knows whose
// session it carries.
//
// Reading, after the handshake, in [Session.Run]:
//
//  1. Run's own goroutine reads the control stream into [lane.Core.Space].
//  2. Once the session is open a goroutine waits for channel streams, and each of them
//     has its reader; another takes datagrams. quic-go has no other way to hear of the
//     three: an idle session has these three goroutines beside quic-go's two.
//  3. What they read goes to the peer under one mutex, as a turn of [Config.Turns]. What
//     the peer does not take stops that stream's reader until [Session.Resume]; QUIC's
//     flow control stops the sender. Datagrams are never kept back.
//
// Writing:
//
//  4. [Session.Wake] asks the peer which channels have something queued and writes to
//     each stream that is not being written as far as that cannot block (direct.go). For
//     the rest it starts a goroutine a stream, and one for datagrams, of which quic-go
//     does not tell whether sending blocks. Each pulls its own channel, blocks in quic-go
//     alone, and ends when nothing is left.
//  5. An end, whoever asked for it, writes what is queued, lets the peer hear of a stream
//     that was only just opened, then writes CLOSE, then FIN on all streams; it discards
//     what still arrives, then closes the connection with the close code of section 9.
package session
