package client

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/cpu"

	"strait/proto/straitv1"
	"strait/transport"
	"strait/udp/sealed"
)

// sealedLane is the sealed UDP lane beside a session over TCP (WIRE.md section 6):
// a socket, a goroutine that reads it and a timer around the core that knows the
// protocol. Without an offer, and after the lane failed, it has none of them.
//
//  1. An offer comes with SERVER_HELLO or later. The mover resolves its address, opens
//     the socket and lets the core say HELLO.
//  2. Once the core is bound the session's unreliable messages are the lane's: the
//     writer packs as many as there are into each datagram.
//  3. When it is bound no longer they go by the stream again, at once, and the next
//     offer begins anew.
type sealedLane struct {
	// static
	link   *link
	listen func(context.Context, netip.AddrPort) (net.PacketConn, error)
	log    *slog.Logger
	host   string         // as it was dialled
	dialed netip.AddrPort // what TCP has reached; zero when it does not tell
	life   context.Context
	end    context.CancelFunc
	// writer sends what is queued; mover acts on offers and opens sockets.
	writer, mover pump
	readers       sync.WaitGroup

	started atomic.Bool  // offers are acted on
	heard   atomic.Int64 // when an authentic packet came, Unix nanoseconds

	// owned by the writer
	packet sealed.Packet
	out    [sealed.MaxPacket]byte
	pulled []transport.Message

	// guarded by mu
	mu   sync.Mutex
	core *sealed.Client // nil before the first offer
	any  bool           // an offer came
	// challenges is what the core counted; suspect is called for those of a bound lane.
	challenges uint64
	suspect    func()
	offer      *laneOffer     // the newest that was not acted on
	socket     laneSocket     // nil while there is nothing to send by it
	to         netip.AddrPort // the gateway
	bound      bool
	stopped    bool
	move       bool          // a new socket is wanted
	moves      uint64        // that were made
	moved      time.Time     // when the last one was
	arrived    chan struct{} // closed by the next authentic packet, or change of bound; nil: nobody waits
	timer      *time.Timer
	armed      time.Time // when timer fires; zero: it does not
	control    [sealed.MaxPacket]byte
	got        []transport.Message
}

// laneOffer is a UDP_OFFER.
type laneOffer struct {
	sealed.Offer
	address string
}

const (
	// moveAgain is the least time between two sockets because sending failed.
	moveAgain = time.Second
	// resolveWithin bounds how long an offer's name may take.
	resolveWithin = 5 * time.Second
)

// aeads are those that the client takes, in its order of preference.
var aeads = func() []uint32 {
	aes := cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ || cpu.ARM64.HasAES && cpu.ARM64.HasPMULL || cpu.S390X.HasAESGCM
	if aes {
		return []uint32{uint32(sealed.AES128GCM), uint32(sealed.ChaCha20Poly1305)}
	}
	return []uint32{uint32(sealed.ChaCha20Poly1305), uint32(sealed.AES128GCM)}
}()

func newSealedLane(l *link, d *dialer, host string) *sealedLane {
	s := &sealedLane{link: l, listen: d.listenPacket, log: d.options.Logger, host: host, dialed: l.conn.remote}
	s.life, s.end = context.WithCancel(context.Background())
	s.writer.init(s.write)
	s.mover.init(s.act)
	return s
}

// start lets offers be acted on.
func (s *sealedLane) start() {
	s.started.Store(true)
	s.mover.wake()
}

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

// act does what is wanted of the mover.
func (s *sealedLane) act() {
	for {
		s.mover.look()
		s.mu.Lock()
		offer, move := s.offer, s.move
		s.offer, s.move = nil, false
		s.mu.Unlock()
		var err error
		switch {
		case offer != nil:
			err = s.take(offer)
		case move:
			err = s.change()
		case s.mover.rest():
			return
		}
		if err != nil && s.life.Err() == nil {
			s.log.LogAttrs(s.life, slog.LevelInfo, "no lane by UDP", slog.Any("reason", err),
				slog.String("session", s.link.session.id.String()))
		}
	}
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

// change opens a new socket for a lane that is bound, or about to be.
func (s *sealedLane) change() error {
	s.mu.Lock()
	to, wanted := s.to, s.socket != nil
	s.mu.Unlock()
	if !wanted {
		return nil
	}
	socket, err := s.open(to)
	if err != nil {
		return err
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.socket == nil {
		return socket.Close()
	}
	s.moves++
	s.moved = now
	s.swap(socket, to)
	s.core.Rebind(now)
	s.after(now)
	return nil
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

// after is called after each call of the core: it sends what that wants to be sent
// and tells what has changed. mu is held.
func (s *sealedLane) after(now time.Time) {
	for {
		b, ok := s.core.Control(s.control[:0], now)
		if !ok {
			break
		}
		s.send(b, now)
	}
	if n := s.core.Challenges(); n != s.challenges {
		s.challenges = n
		if s.bound { // else it is the one that comes with every binding
			s.suspect()
		}
	}
	if bound := s.core.Bound(); bound != s.bound {
		s.bound = bound
		s.arrive()
		s.link.session.setDatagrams(bound)
		if bound {
			s.link.session.tell(State{Kind: LaneBound, Session: s.link.session.id})
			s.writer.wake()
		} else {
			if s.link.session.why.Load() == nil { // else the lane has only ended with the session
				s.link.session.tell(State{Kind: LaneLost, Session: s.link.session.id, Err: fmt.Errorf("sealed UDP: %v", s.core.Cause())})
			}
			s.link.carrier.wake(transport.Unreliable, 0)
		}
	}
	if s.core.State() == sealed.Unbound {
		s.swap(nil, netip.AddrPort{})
	}
	if at := s.core.Deadline(); !at.IsZero() && (s.armed.IsZero() || at.Before(s.armed)) {
		s.armed = at
		if s.timer == nil {
			s.timer = time.AfterFunc(at.Sub(now), s.tick)
		} else {
			s.timer.Reset(at.Sub(now))
		}
	}
}

// arrive wakes who waits for the lane. mu is held.
func (s *sealedLane) arrive() {
	if s.arrived != nil {
		close(s.arrived)
		s.arrived = nil
	}
}

// tick lets the core see that time has passed.
func (s *sealedLane) tick() {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = time.Time{}
	if !s.stopped {
		s.core.Tick(now)
		s.after(now)
	}
}

// wake makes sure that what is queued is sent.
func (s *sealedLane) wake() { s.writer.wake() }

// maxUnreliable is the longest message in bytes that the lane carries in pieces.
func (s *sealedLane) maxUnreliable() int { return min(longestPieces, s.link.session.maxReliable) }

// longestPieces is the longest message that 16 packets carry.
var longestPieces = func() int {
	n := 16 * sealed.MaxPacket
	for sealed.Pieces(n, sealed.ToGateway) == 0 {
		n--
	}
	return n
}()

// describe adds the lane to a snapshot.
func (s *sealedLane) describe(i *Info) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i.Lane.Offered = s.any
	i.Lane.Bound, i.Lane.Moves = s.bound, s.moves
	if !s.bound {
		return
	}
	p := s.core.Path()
	i.Transport = TCPUDP
	i.Lane.Remote, i.Lane.RTT, i.Lane.Jitter = s.to, p.RTT, p.Jitter
	i.Lane.LossPPM = uint32(p.Loss * 1e6)
}

// rebind moves a bound lane to a new socket and returns when the gateway was heard
// there.
func (s *sealedLane) rebind(ctx context.Context) error {
	s.mu.Lock()
	if !s.bound {
		s.mu.Unlock()
		return errUnbound
	}
	moves := s.moves
	s.move = true
	s.mu.Unlock()
	s.mover.wake()
	for {
		s.mu.Lock()
		if s.arrived == nil {
			s.arrived = make(chan struct{})
		}
		arrived, done, bound := s.arrived, s.moves > moves && s.heard.Load() > s.moved.UnixNano(), s.bound
		s.mu.Unlock()
		switch {
		case done:
			return nil
		case !bound:
			return errUnbound
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.life.Done():
			return errEnded
		}
	}
}

// stop ends the lane and returns when no goroutine is left.
func (s *sealedLane) stop() {
	s.end()
	s.mu.Lock()
	s.stopped = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.swap(nil, netip.AddrPort{})
	s.mu.Unlock()
	for _, p := range []*pump{&s.writer, &s.mover} {
		p.stop()
		p.wait()
	}
	s.readers.Wait()
}
