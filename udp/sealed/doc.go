// Package sealed is the protocol of sealed UDP (WIRE.md sections 6 and 7) without its
// sockets: packets, keys, replay windows and the state of both ends of a lane. The
// gateway's transport and the client share it.
//
// It does no I/O, starts no goroutine, keeps no clock and no timer: calls take the time
// and return what to send and where. It imports the standard library and one cipher. A
// [Lane], a [Client] and a [Packet] are not safe for concurrent use; their owners lock.
// Sealing and opening a packet allocate nothing, and a packet is decrypted in place.
//
// The way in, at the gateway:
//
//  1. [TypeOf] and [ParseHello] read the plain part, before any lane is known. Under
//     load [Cookies] hold a HELLO until its address has answered RETRY; [Tokens] open
//     its token.
//  2. [Lane.Hello] or [Lane.Receive] chooses the keys by K, checks the replay window,
//     authenticates, marks the window, judges all frames of the packet, and only then
//     lets them take effect: the packet may move the lane, and its messages go to a
//     [Handler].
//  3. [Lane.Control] gives what there is to answer.
//
// The way out:
//
//  1. [Packet] collects messages in the caller's buffer, without lane or lock.
//  2. [Lane.Seal] or [Client.Seal] adds the frames that wait for the peer, seals the
//     packet in place and says where to send it.
//
// Time passes by [Lane.Tick] and [Client.Tick], due at their Deadline.
package sealed
