// Package direct reads and writes sockets without telling Go's scheduler of each
// system call, on Linux; elsewhere it is the ordinary way. It owns no connection and
// changes nothing about it: deadlines, Close and waiting are those of package net.
//
//  1. On a socket that does not block a system call is over in microseconds.
//  2. Told of it, the scheduler wakes its monitor thread if the process slept, which
//     in one that sleeps and wakes thousands of times a second costs a sixth of its
//     CPU, and may hand the processor to another thread meanwhile.
//  3. So the call is made raw; only waiting for readiness goes through Go's poller.
//
// The link's two ends use it, the gateway's (upstream/link) and game logic's
// (backend), and the event loop of package tcp.
package direct
