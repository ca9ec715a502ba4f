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
	suspect    func(rtt time.Duration)
	offer      *laneOffer     // the newest that was not acted on
	socket     laneSocket     // nil while there is nothing to send by it
	to         netip.AddrPort // the gateway
	bound      bool
	stopped    bool
	move       bool          // a new socket is wanted
	stuck      error         // why there was none the last time; nil since the next was wanted
	moves      uint64        // that were made
	moved      time.Time     // when the last one was
	arrived    chan struct{} // closed by the next authentic packet, change of bound or stuck; nil: nobody waits
	timer      *time.Timer
	armed      time.Time // when timer fires; zero: it does not
	control    [sealed.MaxPacket]byte
	got        []transport.Message
}

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

// act does what is wanted of the mover.
func (s *sealedLane) act() {
	for {
		s.mover.look()
		s.mu.Lock()
		offer, move := s.offer, s.move
		s.offer, s.move = nil, move && offer != nil
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
			s.suspect(s.core.Path().RTT)
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
