package udp

import (
	"net"
	"net/netip"
	"time"
)

const (
	// batchSize is how many datagrams one system call moves at most.
	batchSize = 64
	// receiveSize is the room for one datagram: more than any that is allowed, so
	// that a longer one is seen as such.
	receiveSize = 1536
)

// datagram is one that was received or is to be sent.
type datagram struct {
	b      []byte
	remote netip.AddrPort // IPv4 as IPv4, no zone
	local  local
}

// port moves datagrams, and is all that knows a socket, but Shared.
type port interface {
	// read waits for datagrams and puts them into in, borrowed until the next read:
	// one at least, and as many as are there and find room. One goroutine.
	read(in []datagram) (n int, err error)
	// other is what QUIC wants to know of datagram i of the last read: the sender as
	// package net has it, which the caller keeps, and control messages, borrowed until
	// the next read.
	other(i int) (from *net.UDPAddr, control []byte)
	// write sends out in order and returns how many it is done with. What is refused
	// for its address or its size is counted and done with. Fewer than all are done
	// when the socket is full, if it does not wait, or closed. One goroutine at a time.
	write(out []datagram, wait bool) (n int)
	// waits says that write may wait although it should not.
	waits() bool
	// deafen makes reads return at once with an error.
	deafen()
	// hurry makes writes return by then.
	hurry(by time.Time)
	// close makes read and write return.
	close() error
}

// portCounters is what a port counts; see Stats.
type portCounters struct {
	reads, writes counter // system calls
	refused       counter // datagrams that the kernel did not take, whatever the reason
	full          counter // times that the socket was full
}

// newPort returns the fastest port for a socket, or the portable one.
func newPort(o opened, count *portCounters, portably bool) port {
	if !portably {
		if p := newFastPort(o, count); p != nil {
			return p
		}
	}
	return newPortable(o, count)
}
