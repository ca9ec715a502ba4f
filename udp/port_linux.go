package udp

import (
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batched moves many datagrams with one system call, made raw on a socket that does
// not block: package direct says why. Only waiting goes through Go's poller.
type batched struct {
	conn    *net.UDPConn
	raw     syscall.RawConn
	count   *portCounters
	wild    bool
	v6      bool
	control bool // control messages are read

	in struct {
		calls
		buf     []byte // batchSize times receiveSize
		n       int
		err     error
		receive func(fd uintptr) bool
	}
	out struct {
		calls
		left  []datagram
		done  int
		armed int // headers that describe left
		wait  bool
		send  func(fd uintptr) bool
		try   func(fd uintptr) // send for who does not wait
	}
}

// calls is the memory of one system call's arguments.
type calls struct {
	headers  [batchSize]mmsghdr
	iovecs   [batchSize]unix.Iovec
	names    [batchSize]unix.RawSockaddrInet6 // the longest of both families
	controls [batchSize][controlSize]byte
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	n uint32
}

// newFastPort returns nil when the kernel, or what stands in front of it, refuses
// the calls.
func newFastPort(o opened, count *portCounters) port {
	p := &batched{conn: o.conn, raw: o.raw, count: count, wild: o.wild, v6: o.v6, control: o.wild || o.share}
	p.in.buf = make([]byte, batchSize*receiveSize)
	for i := range p.in.headers {
		b := p.in.buf[i*receiveSize:]
		p.in.iovecs[i].Base = &b[0]
		p.in.iovecs[i].SetLen(receiveSize)
		p.in.headers[i].Iov = &p.in.iovecs[i]
		p.in.headers[i].SetIovlen(1)
		p.in.headers[i].Name = (*byte)(unsafe.Pointer(&p.in.names[i]))
		p.in.headers[i].Namelen = unix.SizeofSockaddrInet6
		if p.control {
			p.in.headers[i].Control = &p.in.controls[i][0]
			p.in.headers[i].SetControllen(controlSize)
		}
		p.out.headers[i].Iov = &p.out.iovecs[i]
		p.out.headers[i].SetIovlen(1)
		p.out.headers[i].Name = (*byte)(unsafe.Pointer(&p.out.names[i]))
	}
	p.in.receive, p.out.send = p.receive, p.send
	p.out.try = func(fd uintptr) { p.send(fd) }
	works := false
	err := p.raw.Control(func(fd uintptr) {
		// No message at all: only whether there are such calls.
		_, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&p.out.headers[0])), 0, unix.MSG_DONTWAIT, 0, 0)
		works = errno == 0
		_, _, errno = syscall.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&p.in.headers[0])), 0, unix.MSG_DONTWAIT, 0, 0)
		works = works && (errno == 0 || errno == unix.EAGAIN)
	})
	if err != nil || !works {
		return nil
	}
	return p
}

func (p *batched) read(in []datagram) (n int, err error) {
	if err := p.raw.Read(p.in.receive); err != nil {
		return 0, err
	}
	if p.in.err != nil {
		return 0, os.NewSyscallError("recvmmsg", p.in.err)
	}
	n = min(p.in.n, len(in))
	for i := range n {
		h := &p.in.headers[i]
		in[i] = datagram{b: p.in.buf[i*receiveSize:][:h.n:receiveSize], remote: parseName(&p.in.names[i])}
		if p.wild {
			in[i].local = parseLocal(p.in.controls[i][:h.Controllen])
		}
	}
	return n, nil
}

func (p *batched) other(i int) (from *net.UDPAddr, control []byte) {
	if p.control {
		control = p.in.controls[i][:p.in.headers[i].Controllen]
	}
	return udpAddr(&p.in.names[i]), control
}

// receive takes what is there; false: nothing is.
func (p *batched) receive(fd uintptr) bool {
	for i := range p.in.n { // the last call wrote to these
		h := &p.in.headers[i]
		h.Namelen = unix.SizeofSockaddrInet6
		if p.control {
			h.SetControllen(controlSize)
		}
	}
	p.in.n, p.in.err = 0, nil
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&p.in.headers[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
		p.count.reads.add(1)
		switch errno {
		case 0:
			p.in.n = int(n)
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		default:
			p.in.err = errno
		}
		return true
	}
}

func (p *batched) write(out []datagram, wait bool) (n int) {
	p.out.left, p.out.done, p.out.armed, p.out.wait = out, 0, 0, wait
	// An error is that it is closed: fewer than all are done.
	if wait {
		_ = p.raw.Write(p.out.send)
	} else {
		// Write would stand behind QUIC's writer where that waits for room.
		_ = p.raw.Control(p.out.try)
	}
	p.out.left = nil
	return p.out.done
}

// send sends what is left; false: the socket is full and the caller waits.
func (p *batched) send(fd uintptr) bool {
	for len(p.out.left) > 0 {
		if p.out.armed == 0 {
			p.arm()
		}
		n, errno := p.call(fd)
		p.count.writes.add(1)
		switch errno {
		case 0:
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			p.count.full.add(1)
			return !p.out.wait
		default:
			// It is the first one's: the others are tried without it.
			p.count.refused.add(1)
			n = 1
		}
		p.out.done += n
		p.out.left = p.out.left[n:]
		p.out.armed = 0
	}
	return true
}

// arm describes what is left.
func (p *batched) arm() {
	p.out.armed = min(len(p.out.left), batchSize)
	for i := range p.out.armed {
		d, h := &p.out.left[i], &p.out.headers[i]
		p.out.iovecs[i].Base = &d.b[0]
		p.out.iovecs[i].SetLen(len(d.b))
		h.Namelen = putName(&p.out.names[i], d.remote, p.v6)
		control := putLocal(p.out.controls[i][:], d.local, p.v6)
		h.SetControllen(len(control))
		h.Control = nil
		if len(control) > 0 {
			h.Control = &control[0]
		}
	}
}

// call sends what is armed. One alone goes by sendto(2), which has less to copy
// from user memory.
func (p *batched) call(fd uintptr) (n int, errno syscall.Errno) {
	h := &p.out.headers[0]
	if p.out.armed == 1 && h.Control == nil {
		_, _, errno = syscall.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(h.Iov.Base)), uintptr(h.Iov.Len), unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(h.Name)), uintptr(h.Namelen))
		return 1, errno
	}
	r, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&p.out.headers[0])), uintptr(p.out.armed), unix.MSG_DONTWAIT, 0, 0)
	return int(r), errno
}

func (p *batched) waits() bool  { return false }
func (p *batched) close() error { return p.conn.Close() }

func (p *batched) deafen()            { _ = p.conn.SetReadDeadline(time.Unix(1, 0)) }
func (p *batched) hurry(by time.Time) { _ = p.conn.SetWriteDeadline(by) }

func parseName(sa *unix.RawSockaddrInet6) netip.AddrPort {
	if sa.Family == unix.AF_INET {
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), swap(sa4.Port))
	}
	return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), swap(sa.Port))
}

// udpAddr is parseName for package net, with the zone, in one allocation.
func udpAddr(sa *unix.RawSockaddrInet6) *net.UDPAddr {
	a := new(struct {
		net.UDPAddr
		ip [net.IPv6len]byte
	})
	if sa.Family == unix.AF_INET {
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		a.Port, a.IP = int(swap(sa4.Port)), a.ip[:copy(a.ip[:], sa4.Addr[:])]
		return &a.UDPAddr
	}
	a.Port, a.IP = int(swap(sa.Port)), a.ip[:copy(a.ip[:], sa.Addr[:])]
	if sa.Scope_id != 0 {
		a.Zone = strconv.FormatUint(uint64(sa.Scope_id), 10)
	}
	return &a.UDPAddr
}

// putName returns the length of the address.
func putName(sa *unix.RawSockaddrInet6, a netip.AddrPort, v6 bool) uint32 {
	if !v6 {
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		*sa4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: swap(a.Port()), Addr: a.Addr().As4()}
		return unix.SizeofSockaddrInet4
	}
	*sa = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: swap(a.Port()), Addr: a.Addr().As16()}
	return unix.SizeofSockaddrInet6
}

// swap turns a port from the network's byte order to the machine's and back.
func swap(v uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&v))
	return uint16(b[0])<<8 | uint16(b[1])
}
