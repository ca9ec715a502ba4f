package udp

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
)

// sharedControl is the room for the control messages of one datagram: what quic-go
// has, and a third more than an IPv4 datagram on an IPv6 socket needs, which tells its
// address twice.
const sharedControl = 128

// isLane says that a datagram is sealed UDP's on a port that QUIC shares (WIRE.md
// section 6): the two high bits of its first byte are 0, which QUIC never sends.
func isLane(b []byte) bool { return len(b) > 0 && b[0] < 0x40 }

// Shared is QUIC's half of a socket that both protocols use (Config.Share). It is a
// [net.PacketConn] with all that quic-go looks for on a *net.UDPConn: whole batches
// with one system call, ECN, the address that a packet came to, GSO.
//
// Whoever reads it is the lanes' reader, too: a read takes all datagrams that are
// there, serves those of sealed UDP as one turn, and returns when it has one of QUIC.
// Nobody's lanes work while nobody reads. One goroutine reads at a time; all else is
// for any. It is the Service that closes the socket.
type Shared struct {
	socket *socket
	opened opened

	// owned by the reader
	waiting []packet // of QUIC that were read together
	next    int      // of waiting

	serving sync.Mutex // held while lanes are served, and to end that
}

// packet is a datagram of QUIC; b and control are borrowed until the next read.
type packet struct {
	b, control []byte
	from       *net.UDPAddr
}

// wait reads until there is a packet of QUIC.
func (c *Shared) wait() error {
	for c.next == len(c.waiting) {
		n, err := c.socket.receive()
		if err != nil {
			return err
		}
		c.sort(n)
	}
	return nil
}

// sort serves the lanes' of the first n that the socket read and keeps QUIC's.
func (c *Shared) sort(n int) {
	s := c.socket
	clear(c.waiting)
	c.waiting, c.next = c.waiting[:0], 0
	lanes := 0
	for i := range n {
		d := &s.in[i]
		if isLane(d.b) {
			if lanes != i {
				s.in[lanes] = *d
			}
			lanes++
			continue
		}
		p := packet{b: d.b}
		p.from, p.control = s.port.other(i)
		c.waiting = append(c.waiting, p)
	}
	if lanes == 0 {
		return
	}
	c.serving.Lock()
	defer c.serving.Unlock()
	if !isDone(s.service.deaf) {
		s.process(s.in[:lanes])
	}
}

// take copies the next packet into b, and its control messages into oob unless they
// would be cut there. What b has no room for is lost, as from a socket.
func (c *Shared) take(b, oob []byte) (n, oobn int, from *net.UDPAddr) {
	p := &c.waiting[c.next]
	c.next++
	if len(p.control) <= len(oob) {
		oobn = copy(oob, p.control)
	}
	return copy(b, p.b), oobn, p.from
}

// deafen returns when no lane is served any more; the reader goes on with QUIC alone.
// The service is deaf already.
func (c *Shared) deafen() {
	c.serving.Lock()
	defer c.serving.Unlock()
}

// ReadBatch waits for packets of QUIC and copies as many as are there and find room,
// each into the first of a message's Buffers; it never returns none without an error.
// Flags are not looked at. Only what does not pass is an error: the deadline, which
// matches os.ErrDeadlineExceeded, or net.ErrClosed.
func (c *Shared) ReadBatch(ms []ipv4.Message, _ int) (n int, err error) {
	if err := c.wait(); err != nil {
		return 0, err
	}
	for ; n < len(ms) && c.next < len(c.waiting); n++ {
		m := &ms[n]
		size, told, from := c.take(m.Buffers[0], m.OOB)
		m.N, m.NN, m.Addr, m.Flags = size, told, from, 0
	}
	return n, nil
}

// ReadFrom is ReadBatch for one packet.
func (c *Shared) ReadFrom(b []byte) (n int, from net.Addr, err error) {
	if err = c.wait(); err != nil {
		return 0, nil, err
	}
	n, _, from = c.take(b, nil)
	return n, from, nil
}

// ReadMsgUDP is ReadBatch for one packet; flags are 0.
func (c *Shared) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, from *net.UDPAddr, err error) {
	if err = c.wait(); err != nil {
		return 0, 0, 0, nil, err
	}
	n, oobn, from = c.take(b, oob)
	return n, oobn, 0, from, nil
}

// WriteTo sends one packet of QUIC.
func (c *Shared) WriteTo(b []byte, to net.Addr) (int, error) { return c.opened.conn.WriteTo(b, to) }

// WriteMsgUDP sends one packet of QUIC, or with GSO many.
func (c *Shared) WriteMsgUDP(b, oob []byte, to *net.UDPAddr) (n, oobn int, err error) {
	return c.opened.conn.WriteMsgUDP(b, oob, to)
}

// LocalAddr is the address that the socket is bound to.
func (c *Shared) LocalAddr() net.Addr { return c.opened.conn.LocalAddr() }

// SyscallConn is the socket's, for its options: what is read by it is lost to both.
func (c *Shared) SyscallConn() (syscall.RawConn, error) { return c.opened.raw, nil }

// SetReadBuffer asks for a receive buffer of at least so many bytes: what the lanes
// asked for stays.
func (c *Shared) SetReadBuffer(bytes int) error {
	if read, _ := granted(c.opened.raw); read >= bytes {
		return nil
	}
	return enlarge(c.opened, bytes, 0)
}

// SetWriteBuffer asks for a send buffer of at least so many bytes, likewise.
func (c *Shared) SetWriteBuffer(bytes int) error {
	if _, write := granted(c.opened.raw); write >= bytes {
		return nil
	}
	return enlarge(c.opened, 0, bytes)
}

// SetReadDeadline makes a read that waits at t return, and with it the lanes' reader.
func (c *Shared) SetReadDeadline(t time.Time) error { return c.opened.conn.SetReadDeadline(t) }

// errNotAlone refuses what would reach into the lanes.
var errNotAlone = fmt.Errorf("udp: a deadline for writes of a socket that is shared: %w", errors.ErrUnsupported)

// SetWriteDeadline is refused: lanes write to the socket, too.
func (c *Shared) SetWriteDeadline(time.Time) error { return errNotAlone }

// SetDeadline is refused, as SetWriteDeadline is.
func (c *Shared) SetDeadline(time.Time) error { return errNotAlone }

// Close ends reading; the socket is the Service's to close.
func (c *Shared) Close() error { return c.SetReadDeadline(time.Unix(1, 0)) }
