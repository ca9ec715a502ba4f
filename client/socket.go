package client

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"

	"golang.org/x/net/ipv4"
)

// listenPacket makes a UDP socket that is to reach remote. It is bound to no local
// address: so it follows the routes of the machine when they change, and the
// gateway sees the session move.
func (d *dialer) listenPacket(ctx context.Context, remote netip.AddrPort) (net.PacketConn, error) {
	network := "udp6"
	if remote.Addr().Unmap().Is4() {
		network = "udp4"
	}
	var socket net.PacketConn
	var err error
	if d.options.ListenPacket != nil {
		socket, err = d.options.ListenPacket(ctx, network)
	} else {
		socket, err = (&net.ListenConfig{}).ListenPacket(ctx, network, ":0")
	}
	if u, ok := socket.(*net.UDPConn); ok && err == nil {
		return newUDPSocket(u), nil
	}
	return socket, err
}

// udpSocket is a UDP socket that tells, until it has settled, that nobody listens
// at the other end, and takes the lack of a network for a loss of packets. quic-go
// would end the connection for either.
type udpSocket struct {
	*net.UDPConn
	batch   *ipv4.PacketConn
	settled atomic.Bool
	failed  atomic.Pointer[error]
}

func newUDPSocket(u *net.UDPConn) *udpSocket {
	s := &udpSocket{UDPConn: u, batch: ipv4.NewPacketConn(u)}
	hearRefusals(u, true)
	return s
}

// settle says that the other end has answered.
func (s *udpSocket) settle() {
	if !s.settled.Swap(true) {
		hearRefusals(s.UDPConn, false)
	}
}

// failure is why the socket could not reach anybody; nil when it does not know.
func (s *udpSocket) failure() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// passing reports whether err is no reason to give the socket up.
func (s *udpSocket) passing(err error) bool {
	for _, e := range [...]error{
		syscall.ECONNREFUSED, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN,
		syscall.EADDRNOTAVAIL, syscall.ENOBUFS,
	} {
		if errors.Is(err, e) {
			s.failed.CompareAndSwap(nil, &err)
			return s.settled.Load()
		}
	}
	return false
}

// ReadBatch is what quic-go reads with, where the system has it.
func (s *udpSocket) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	for {
		n, err := s.batch.ReadBatch(ms, flags)
		if err == nil || !s.passing(err) {
			return n, err
		}
	}
}

// ReadMsgUDP is what quic-go reads with elsewhere.
func (s *udpSocket) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	for {
		n, oobn, flags, addr, err = s.UDPConn.ReadMsgUDP(b, oob)
		if err == nil || !s.passing(err) {
			return n, oobn, flags, addr, err
		}
	}
}

// WriteMsgUDP is what quic-go writes with.
func (s *udpSocket) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	n, oobn, err = s.UDPConn.WriteMsgUDP(b, oob, addr)
	if err != nil && s.passing(err) {
		return len(b), len(oob), nil
	}
	return n, oobn, err
}
