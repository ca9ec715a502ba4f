package client

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"strait/transport"
	"strait/udp/sealed"
)

// laneSocket is what a lane needs of a UDP socket; *net.UDPConn has it.
type laneSocket interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	Close() error
}

// anySocket makes any socket of Options.ListenPacket a laneSocket.
type anySocket struct{ net.PacketConn }

func (a anySocket) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	n, from, err := a.ReadFrom(b)
	if u, ok := from.(*net.UDPAddr); ok {
		return n, u.AddrPort(), err
	}
	return n, netip.AddrPort{}, err
}

func (a anySocket) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return a.WriteTo(b, net.UDPAddrFromAddrPort(to))
}

// open returns a socket for the gateway at to.
func (s *sealedLane) open(to netip.AddrPort) (laneSocket, error) {
	p, err := s.listen(s.life, to)
	if err != nil {
		return nil, err
	}
	if u, ok := p.(*udpSocket); ok {
		u.settle()
		forbidFragments(u.UDPConn)
		return u, nil
	}
	return anySocket{p}, nil
}

// swap puts socket in the place of the one there is, which is closed; nil is none.
// mu is held.
func (s *sealedLane) swap(socket laneSocket, to netip.AddrPort) {
	if s.socket != nil {
		_ = s.socket.Close()
	}
	s.socket, s.to = socket, to
	if socket != nil {
		s.readers.Go(func() { s.read(socket, to) })
	}
}

// read takes what arrives at one socket until that is closed.
func (s *sealedLane) read(socket laneSocket, to netip.AddrPort) {
	var buf [sealed.MaxPacket + 1]byte // longer ones are seen to be
	for {
		n, from, err := socket.ReadFromUDPAddrPort(buf[:])
		now := time.Now()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil && !refused(err) && !tooLong(err):
			s.mu.Lock()
			if s.socket == socket && !s.failed(now) {
				s.core.Close(0, now) // deaf: the next offer begins anew
				s.after(now)
			}
			s.mu.Unlock()
			return
		case err != nil || netip.AddrPortFrom(from.Addr().Unmap(), from.Port()) != to:
			continue
		}
		s.mu.Lock()
		if s.socket != socket {
			s.mu.Unlock()
			return
		}
		if s.core.Receive(buf[:n], now, s) == sealed.DropNone {
			s.heard.Store(now.UnixNano())
			s.arrive()
		}
		s.after(now)
		got := s.got
		s.got = nil
		s.mu.Unlock()
		if len(got) > 0 {
			// Unreliable messages are always taken.
			s.link.session.Deliver(got)
			clear(got)
			s.mu.Lock()
			s.got = got[:0]
			s.mu.Unlock()
		}
	}
}

// Message collects what the core has opened; m is borrowed. mu is held.
func (s *sealedLane) Message(channel uint8, seq uint16, m []byte) {
	s.got = append(s.got, transport.Message{
		Delivery: transport.Unreliable, Channel: channel, Seq: seq, Buf: buffers.Copy(m),
	})
}

// send hands one packet to the socket. mu is held.
func (s *sealedLane) send(b []byte, now time.Time) {
	if s.socket == nil {
		return
	}
	if _, err := s.socket.WriteToUDPAddrPort(b, s.to); err != nil && !refused(err) && !tooLong(err) {
		s.failed(now)
	}
}

// refused reports whether err says that a packet was lost, and nothing of the socket.
func refused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOBUFS)
}

// write sends what is queued, as many messages in a datagram as there are.
func (s *sealedLane) write() {
	for {
		s.writer.look()
		if s.link.session.datagrams.Load() {
			s.packet.Start(s.out[:], sealed.ToGateway)
			s.pulled = s.link.session.pull(s.pulled[:0], transport.Unreliable, transport.AnyChannel, s.packet.Room())
		} else {
			s.pulled = s.pulled[:0]
		}
		if len(s.pulled) == 0 {
			if s.writer.rest() {
				return
			}
			continue
		}
		for _, m := range s.pulled {
			s.pack(m)
			m.Buf.Release()
		}
		s.seal()
		clear(s.pulled)
	}
}

// pack puts m into the packet; what does not fit goes in packets of its own.
func (s *sealedLane) pack(m transport.Message) {
	if s.packet.Message(m.Channel, m.Seq, m.Buf.B) {
		return
	}
	s.seal()
	n := sealed.Pieces(len(m.Buf.B), sealed.ToGateway)
	switch n {
	case 0:
		s.link.session.counters.sendDropped.Add(1)
	case 1:
		s.packet.Message(m.Channel, m.Seq, m.Buf.B)
	default:
		for i := range n {
			s.packet.Piece(m.Channel, m.Seq, m.Buf.B, i, n)
			s.seal()
		}
	}
}

// seal sends the packet, if there is something in it, and starts the next. What a
// lane that has just failed does not take is lost, as in a network.
func (s *sealedLane) seal() {
	if s.packet.Empty() {
		return
	}
	now := time.Now()
	s.mu.Lock()
	if b, err := s.core.Seal(&s.packet, now); err == nil {
		s.send(b, now)
	}
	s.after(now)
	s.mu.Unlock()
	s.packet.Start(s.out[:], sealed.ToGateway)
}
