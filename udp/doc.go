// Package udp gives sessions that live on TLS over TCP an unreliable lane of their
// own: the gateway's side of sealed UDP (WIRE.md section 6). [Service] is the
// gateway's [transport.Offerer].
//
// It owns the sockets, the table of connection ids, the limits of what strangers may
// cost, and the timers. The protocol itself, its keys, replay windows and roaming, is
// package sealed's, which does no I/O; messages and their queues are the session's
// ([transport.OfferPeer]). It never blocks a caller and has no goroutine and no timer
// for a lane.
//
//  1. [Service.Offer] takes a slot of the table and makes a lane; the offer goes to
//     the client inside its TLS connection.
//  2. A reader for each socket takes all datagrams that are there with one system
//     call, and serves them as one turn ([transport.Turns]): an index and a compare
//     find the lane, the core opens the packet, and its messages go to the peer with
//     one call for each datagram.
//  3. What is woken, by the turn or by anybody, is on the socket's list. Whoever
//     finds nobody writing pulls from the sessions, packs each one's messages into
//     datagrams of up to 1200 bytes, seals them and hands up to 64 to the kernel with
//     one system call. Between Cork and Uncork, and within a turn, it is put off, so
//     that many share the call.
//  4. A full socket keeps what is sealed, one batch at most; what is not pulled
//     meanwhile is the session's to keep or to drop. A goroutine for each socket
//     stands by to wait for room.
//  5. A wheel calls each lane when its core has something to do by the clock, and
//     sleeps when none has.
//
// With Config.Share one port is for sealed UDP and QUIC, told apart by the first byte of
// each datagram: QUIC's stack reads [Shared] and so does step 2, too, with its own
// goroutine; what it is given are whole batches of its own packets.
//
// On Linux datagrams go by recvmmsg and sendmmsg, made raw (package direct says why);
// elsewhere, with Config.NoBatch, or where the system refuses them, by package net.
package udp
