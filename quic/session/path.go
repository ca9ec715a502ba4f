package session

import (
	"net"
	"net/netip"
	"time"

	"strait/transport"
)

// measureEvery is the least time over which loss is measured, and between two looks at
// what a datagram may carry and at streams that must not be there.
const measureEvery = time.Second

// meter is what Path remembers from one call to the next.
type meter struct {
	at         time.Time
	sent, lost uint64 // packets
	lossPPM    uint32
	remote     netip.AddrPort
}

// Path is what is known of the way to the peer: the round trip and loss as QUIC measures
// them, and the address that the peer has now.
func (s *Session) Path() transport.Path {
	p := s.core.Path()
	stats := s.conn.ConnectionStats()
	p.RTT, p.Jitter = stats.SmoothedRTT, stats.MeanDeviation
	p.Remote = AddrPort(s.conn.RemoteAddr())
	if ns := s.heard.Load(); ns != 0 {
		if heard := time.Unix(0, ns); heard.After(p.Heard) {
			p.Heard = heard
		}
	}
	now := time.Now()
	s.mu.Lock()
	for _, in := range s.ins {
		if ns := in.partial.Load(); ns != 0 {
			if since := time.Unix(0, ns); p.PartialSince.IsZero() || since.Before(p.PartialSince) {
				p.PartialSince = since
			}
		}
		p.Buffered += streamCost + int(in.buffered.Load())
	}
	m := &s.meter
	if m.remote != p.Remote {
		m.remote = p.Remote
		s.config.Counters.migrations.Add(1)
	}
	due := now.Sub(m.at) >= measureEvery
	if due {
		if sent := stats.PacketsSent - m.sent; sent > 0 {
			// A packet that was given up may still arrive: the count can go back.
			lost := stats.PacketsLost - min(m.lost, stats.PacketsLost)
			m.lossPPM = uint32(min(lost*1_000_000/sent, 1_000_000))
		}
		m.at, m.sent, m.lost = now, stats.PacketsSent, stats.PacketsLost
	}
	p.LossPPM = m.lossPPM
	s.mu.Unlock()
	if due && s.conn.Context().Err() == nil {
		s.lane.measure()
		s.countStreams(now)
	}
	return p
}

// AddrPort is a in the form that everyone compares: IPv4 as IPv4.
func AddrPort(a net.Addr) netip.AddrPort {
	if u, ok := a.(*net.UDPAddr); ok {
		ap := u.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	if a == nil {
		return netip.AddrPort{}
	}
	ap, _ := netip.ParseAddrPort(a.String())
	return ap
}
