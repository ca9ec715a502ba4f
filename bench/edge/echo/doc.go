//go:build linux

// Package echo is what stands behind a proxy under load: a process that sends
// everything back, over a Unix socket.
//
// It owns its listener and the connections to it. It never measures, and it never
// outlives the process that started it.
//
//  1. Main, in the child process, listens and says Ready on its output.
//  2. As game logic (Link) it is a backend of package backend that sends each
//     message back to its player.
//  3. As a stream (Stream) it is one epoll loop on one thread that writes back what
//     it reads: the least that can stand behind a proxy that knows only bytes.
//  4. For datagrams (Datagram) it reads and writes one at a time, at a UDP address.
//     Over QUIC (QUIC) it is as little on top of quic-go, and with QUICRetry each
//     client has to prove its address first.
//  5. It ends when its input ends.
package echo
