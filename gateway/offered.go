package gateway

import (
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
	"strait/transport"
	"strait/upstream"
)

// offered is a session's end of the lane that the gateway's Offerer made for it
// (WIRE.md section 6): while the lane is bound it carries the session's unreliable
// messages, and the connection none.
type offered struct {
	// static once the Offerer has returned the lane, which is before anybody finds it
	session  *session
	lane     transport.Lane
	fallback int // longest message that the connection carries instead

	phase   atomic.Uint32 // changes with mu held
	boundAt atomic.Int64  // Unix nanoseconds, changes with mu held; 0: not bound

	// guarded by mu
	mu      sync.Mutex
	carries bool             // what Bound said last
	next    *transport.Offer // waits for SERVER_HELLO
}

const (
	laneOpening uint32 = iota // SERVER_HELLO is not queued yet
	laneOpen
	laneOver
)

// offers counts those that were given to clients, fresh ones included, and the
// sessions that opened without.
type offers struct {
	made atomic.Int64

	mu      sync.Mutex
	refused map[string]int64 // by the text of the error
}

// maxRefusals is how many texts are told apart: an Offerer has a few fixed ones.
const maxRefusals = 8

func (o *offers) refuse(why error) {
	text := why.Error()
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.refused[text]; !known && len(o.refused) >= maxRefusals {
		text = "other"
	}
	if o.refused == nil {
		o.refused = make(map[string]int64)
	}
	o.refused[text]++
}

func (o *offers) refusals() map[string]int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.refused)
}

// offer asks for a lane for a session that nobody knows yet. nil: there is none,
// and why is counted; the wheel asks again where that may help.
func (g *Gateway) offer(s *session, aeads []uint32) *straitv1.UdpOffer {
	first, err := g.attach(s, aeads)
	if err != nil {
		g.offers.refuse(err)
		g.log.Debug("no unreliable lane", "session", s.ann.ID, "remote", s.ann.Remote, "error", err)
		if errors.Is(err, transport.ErrLanesFull) {
			s.wheel.wish = &wish{aeads: aeads, asked: s.opened}
		}
		return nil
	}
	g.offers.made.Add(1)
	return offerMessage(first)
}

// attach gives s a lane beside its connection, if the Offerer has one.
func (g *Gateway) attach(s *session, aeads []uint32) (first transport.Offer, err error) {
	o := &offered{session: s, fallback: s.conn.Max()}
	o.lane, first, err = g.offerer.Offer(transport.Attachment{
		Session: s.ann.ID, Shard: s.shard.index, Remote: s.ann.Remote, AEADs: aeads, Peer: o,
	})
	if err == nil {
		s.offered.Store(o)
	}
	return first, err
}

// offerLate asks once more for the lane that there was no room for when the session
// opened. By the wheel's goroutine.
func (g *Gateway) offerLate(s *session, now time.Time) {
	first, err := g.attach(s, s.wheel.wish.aeads)
	if errors.Is(err, transport.ErrLanesFull) {
		s.wheel.wish.asked = now
		return
	}
	s.wheel.wish = nil
	if err != nil {
		return // the Offerer is closed
	}
	o := s.offered.Load()
	if r := s.end.Load(); r != nil {
		o.end(*r) // who ended the session may not have seen the lane
		return
	}
	o.send(first)
	o.opened()
}

// offerMessage is an offer as clients get it.
func offerMessage(o transport.Offer) *straitv1.UdpOffer {
	return &straitv1.UdpOffer{
		Address: o.Address, Cid: o.CID[:], Token: o.Token, Secret: o.Secret[:],
		Epoch: uint32(o.Epoch), Aead: uint32(o.AEAD), LifetimeMs: uint32(o.Lifetime.Milliseconds()),
		ResetValue: o.ResetValue[:],
	}
}

func (o *offered) bound() bool { return o.boundAt.Load() != 0 }

// since is when the lane was bound; zero if it is not.
func (o *offered) since() time.Time {
	if ns := o.boundAt.Load(); ns != 0 {
		return time.Unix(0, ns)
	}
	return time.Time{}
}

// opened says that SERVER_HELLO is queued: what the lane said before now counts,
// but for messages, which were dropped.
func (o *offered) opened() {
	o.mu.Lock()
	if o.phase.Load() == laneOver {
		o.mu.Unlock()
		return
	}
	o.phase.Store(laneOpen)
	next := o.next
	o.next = nil
	changed := o.settle()
	o.mu.Unlock()
	if next != nil {
		o.send(*next)
	}
	if changed {
		o.announce()
	}
}

// end closes the lane with its connection. Idempotent; the session's kind does not
// change any more.
func (o *offered) end(r transport.Reason) {
	o.mu.Lock()
	first := o.phase.Swap(laneOver) != laneOver
	o.next = nil
	o.mu.Unlock()
	if first {
		o.lane.Close(r)
	}
}

// Offer implements [transport.OfferPeer].
func (o *offered) Offer(fresh transport.Offer) {
	o.mu.Lock()
	phase := o.phase.Load()
	if phase == laneOpening {
		o.next = &fresh
	}
	o.mu.Unlock()
	if phase == laneOpen {
		o.send(fresh)
	}
}

func (o *offered) send(fresh transport.Offer) {
	b, err := proto.Marshal(offerMessage(fresh))
	if err != nil {
		o.session.gw.log.Error("UDP_OFFER", "error", err)
		return
	}
	o.session.gw.offers.made.Add(1)
	o.session.conn.Control(transport.ControlUDPOffer, b)
	o.session.conn.Wake()
}

// Bound implements [transport.OfferPeer].
func (o *offered) Bound(on bool) {
	o.mu.Lock()
	o.carries = on
	changed := o.settle()
	o.mu.Unlock()
	if changed {
		o.announce()
	}
}

// settle makes what Bound said last true of the session; false: it is, or the lane
// is not to carry anything. mu is held.
func (o *offered) settle() (changed bool) {
	s := o.session
	if o.phase.Load() != laneOpen || o.carries == o.bound() {
		return false
	}
	was := s.kind()
	if o.carries {
		o.boundAt.Store(time.Now().UnixNano()) // first: a connection never gets more than the newest
		s.out.SetDatagrams(true)
	} else {
		s.shard.drop(upstream.DropStale, s.out.SetDatagrams(false))
		o.boundAt.Store(0)
	}
	s.gw.kinds[was].Add(-1)
	s.gw.kinds[s.kind()].Add(1)
	return true
}

// announce tells game logic of the change, and the lane that carries unreliable
// messages from now on of what was queued before.
func (o *offered) announce() {
	o.session.tellLink()
	o.session.Flush()
}

// Deliver implements [transport.OfferPeer].
func (o *offered) Deliver(ms []transport.Message) {
	reason := upstream.DropInboundFull // as for all that comes before Opened
	switch o.phase.Load() {
	case laneOpen:
		o.session.deliver(ms)
		return
	case laneOver:
		reason = upstream.DropAfterClose
	}
	for _, m := range ms {
		m.Buf.Release()
	}
	o.session.shard.drop(reason, len(ms))
}

// Pull implements [transport.OfferPeer].
func (o *offered) Pull(dst []transport.Message, budget int) []transport.Message {
	if !o.bound() {
		return dst
	}
	return o.session.pull(dst, transport.Unreliable, transport.AnyChannel, budget, o.lane.Max())
}

// pullInstead gives the connection what the lane does not carry.
func (o *offered) pullInstead(dst []transport.Message, channel, budget int) []transport.Message {
	if o.bound() {
		return dst
	}
	return o.session.pull(dst, transport.Unreliable, channel, budget, o.fallback)
}

// flush wakes the lane if it has work.
func (o *offered) flush() {
	if o.bound() && o.session.out.Pending(transport.Unreliable) {
		o.lane.Wake()
	}
}
