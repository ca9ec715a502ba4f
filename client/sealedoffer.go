package client

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"strait/proto/straitv1"
	"strait/udp/sealed"
)

// laneOffer is a UDP_OFFER.
type laneOffer struct {
	sealed.Offer
	address string
}

// resolveWithin bounds how long an offer's name may take.
const resolveWithin = 5 * time.Second

// offered takes a UDP_OFFER. The error is a breach of the protocol.
func (s *sealedLane) offered(m *straitv1.UdpOffer) error {
	o := &laneOffer{address: m.GetAddress()}
	switch {
	case len(m.GetCid()) != len(o.CID):
		return fmt.Errorf("UDP_OFFER has a cid of %d bytes; it has exactly %d", len(m.GetCid()), len(o.CID))
	case len(m.GetSecret()) != len(o.Secret):
		return fmt.Errorf("UDP_OFFER has a secret of %d bytes; it has exactly %d", len(m.GetSecret()), len(o.Secret))
	case len(m.GetResetValue()) != len(o.ResetValue):
		return fmt.Errorf("UDP_OFFER has a reset_value of %d bytes; it has exactly %d", len(m.GetResetValue()), len(o.ResetValue))
	case len(m.GetToken()) == 0 || len(m.GetToken()) > sealed.MaxToken:
		return fmt.Errorf("UDP_OFFER has a token of %d bytes; it has 1 to %d", len(m.GetToken()), sealed.MaxToken)
	case m.GetEpoch() > 255:
		return fmt.Errorf("UDP_OFFER has epoch %d; it is 0 to 255", m.GetEpoch())
	}
	o.CID, o.Secret, o.ResetValue = sealed.CID(m.GetCid()), [32]byte(m.GetSecret()), [16]byte(m.GetResetValue())
	o.Token, o.Epoch = m.GetToken(), uint8(m.GetEpoch())
	o.AEAD, o.Lifetime = sealed.AEAD(min(m.GetAead(), 255)), time.Duration(m.GetLifetimeMs())*time.Millisecond
	s.mu.Lock()
	s.any, s.offer = true, o
	s.mu.Unlock()
	if s.started.Load() {
		s.mover.wake()
	}
	return nil
}

// take acts on an offer.
func (s *sealedLane) take(o *laneOffer) error {
	to, err := s.resolve(o.address)
	if err != nil {
		return fmt.Errorf("the offered address: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var socket laneSocket
	if s.socket == nil || s.to != to {
		s.mu.Unlock()
		socket, err = s.open(to)
		s.mu.Lock()
		if err != nil {
			return err
		}
	}
	now := time.Now()
	if s.core == nil {
		s.core, err = sealed.NewClient(sealed.ClientConfig{
			Shared: sealed.Shared{MaxMessage: s.link.session.maxReliable},
		}, sealed.SessionID(s.link.session.id), now)
	}
	if err == nil {
		err = s.core.Offer(o.Offer, now)
	}
	if socket != nil {
		if err != nil || s.stopped {
			_ = socket.Close()
			return err
		}
		s.swap(socket, to)
	}
	s.after(now)
	return err
}

// resolve returns the address that an offer means.
func (s *sealedLane) resolve(address string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if host == "" {
		if host = s.host; s.dialed.IsValid() {
			host = s.dialed.Addr().String()
		}
	}
	ctx, cancel := context.WithTimeout(s.life, resolveWithin)
	defer cancel()
	addrs, err := resolve(ctx, host, port)
	if err != nil {
		return netip.AddrPort{}, err
	}
	// The family that has worked for TCP is the better one.
	for _, a := range addrs {
		if s.dialed.IsValid() && a.Addr().Is4() == s.dialed.Addr().Is4() {
			return a, nil
		}
	}
	return addrs[0], nil
}
