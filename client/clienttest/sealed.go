package clienttest

import (
	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
	"strait/transport"
)

// offer adds the offer of a lane to a SERVER_HELLO.
func (s *Session) offer(answer *straitv1.ServerHello) {
	l, o, err := s.gateway.lanes.Offer(transport.Attachment{
		Session: s.ID, AEADs: s.ClientHello.GetUdpAeads(), Peer: sealedPeer{s},
	})
	if err == nil {
		s.sealed.Store(&l)
		answer.Udp = offered(o)
	}
}

func offered(o transport.Offer) *straitv1.UdpOffer {
	return &straitv1.UdpOffer{
		Address: o.Address, Cid: o.CID[:], Token: o.Token, Secret: o.Secret[:], Epoch: uint32(o.Epoch),
		Aead: uint32(o.AEAD), LifetimeMs: uint32(o.Lifetime.Milliseconds()), ResetValue: o.ResetValue[:],
	}
}

// sealedPeer is the session's end of its lane.
type sealedPeer struct{ *Session }

func (p sealedPeer) Deliver(ms []transport.Message) { peer(p).Deliver(ms) }

func (p sealedPeer) Pull(dst []transport.Message, budget int) []transport.Message {
	return p.queue.Pull(dst, transport.Unreliable, transport.AnyChannel, budget)
}

func (p sealedPeer) Offer(o transport.Offer) {
	if b, err := proto.Marshal(offered(o)); err == nil {
		p.lane.Control(transport.ControlUDPOffer, b)
		signal(p.wakes)
	}
}

func (p sealedPeer) Bound(on bool) {
	p.bound.Store(on)
	p.queue.SetDatagrams(on)
}

// OfferLane offers the client a new lane; false: there are none. An earlier one is
// ended.
func (s *Session) OfferLane() bool {
	if s.gateway.lanes == nil {
		return false
	}
	l, o, err := s.gateway.lanes.Offer(transport.Attachment{
		Session: s.ID, AEADs: s.ClientHello.GetUdpAeads(), Peer: sealedPeer{s},
	})
	if err != nil {
		return false
	}
	if old := s.sealed.Swap(&l); old != nil {
		(*old).Close(transport.Reason{Code: transport.Normal})
	}
	sealedPeer{s}.Offer(o)
	return true
}
