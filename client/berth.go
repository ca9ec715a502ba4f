package client

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"golang.org/x/net/ipv4"
)

// berth is where the sockets of a quicgo.Transport lie, one after the other. A Transport
// that is closed, or cannot read, takes its connections with it, also those that have
// moved on, and a connection never leaves one for good. So the socket of a path that was
// left is taken from under the Transport, which waits for the next one to read from.
//
// It implements quicgo.OOBCapablePacketConn.
type berth struct {
	socket atomic.Pointer[udpSocket] // the last one, also when it was taken
	heard  atomic.Uint32             // reads that have brought something; it may wrap

	// guarded by mu
	mu      sync.Mutex
	changed sync.Cond
	empty   bool // socket was taken
	over    bool // there will be no other
}

func newBerth(s *udpSocket) *berth {
	b := new(berth)
	b.changed.L = &b.mu
	b.socket.Store(s)
	return b
}

// vacate closes the socket; reading waits for another one.
func (b *berth) vacate() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.empty = true
	_ = b.socket.Load().UDPConn.Close()
}

// moor puts s into an empty berth.
func (b *berth) moor(s *udpSocket) {
	// A Transport sets the options of its first socket alone (no fragments, ECN,
	// buffers). One that begins and ends does it for this one.
	_ = (&quicgo.Transport{Conn: s}).Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.socket.Store(s)
	b.empty = false
	b.changed.Broadcast()
}

// goesOn says whether to read again, as s was taken and another one is there; it waits
// for that one. Else err is what reading from s has come to.
func (b *berth) goesOn(s *udpSocket, err error) bool {
	if err == nil {
		b.heard.Add(1)
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.empty && !b.over && b.socket.Load() == s {
		b.changed.Wait()
	}
	return !b.over && b.socket.Load() != s
}

// stop ends the reading.
func (b *berth) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	b.changed.Broadcast()
}

// Close closes the socket and ends the reading.
func (b *berth) Close() error {
	b.stop()
	return b.socket.Load().UDPConn.Close()
}

// SetReadDeadline is how a Transport that is closed gets its reader back.
func (b *berth) SetReadDeadline(t time.Time) error {
	if !t.IsZero() {
		b.stop()
	}
	return b.socket.Load().SetReadDeadline(t)
}

// ReadBatch is that of the socket.
func (b *berth) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	for {
		s := b.socket.Load()
		n, err := s.ReadBatch(ms, flags)
		if !b.goesOn(s, err) {
			return n, err
		}
	}
}

// ReadMsgUDP is that of the socket.
func (b *berth) ReadMsgUDP(p, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	for {
		s := b.socket.Load()
		n, oobn, flags, addr, err = s.ReadMsgUDP(p, oob)
		if !b.goesOn(s, err) {
			return n, oobn, flags, addr, err
		}
	}
}

// ReadFrom is that of the socket. quic-go reads with it on Windows.
func (b *berth) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		s := b.socket.Load()
		n, addr, err := s.ReadFrom(p)
		if !b.goesOn(s, err) {
			return n, addr, err
		}
	}
}

// The rest is that of the socket as it is now.

func (b *berth) WriteTo(p []byte, addr net.Addr) (int, error) {
	return b.socket.Load().WriteTo(p, addr)
}

func (b *berth) WriteMsgUDP(p, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	return b.socket.Load().WriteMsgUDP(p, oob, addr)
}

func (b *berth) LocalAddr() net.Addr                   { return b.socket.Load().LocalAddr() }
func (b *berth) SetDeadline(t time.Time) error         { return b.socket.Load().SetDeadline(t) }
func (b *berth) SetWriteDeadline(t time.Time) error    { return b.socket.Load().SetWriteDeadline(t) }
func (b *berth) SetReadBuffer(n int) error             { return b.socket.Load().SetReadBuffer(n) }
func (b *berth) SetWriteBuffer(n int) error            { return b.socket.Load().SetWriteBuffer(n) }
func (b *berth) SyscallConn() (syscall.RawConn, error) { return b.socket.Load().SyscallConn() }
