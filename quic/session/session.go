package session

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"strait/transport"
	"strait/transport/lane"
)

// The phases of an opening.
const (
	opening uint32 = iota
	opened         // SERVER_HELLO is queued or was received
	refused        // ended before it was open
)

// longAgo is a deadline that ends a blocked call at once.
var longAgo = time.Unix(1, 0)

// Session is one end of a QUIC connection. It implements [transport.Conn]; its methods
// never block.
type Session struct {
	// static
	conn      *quicgo.Conn
	config    Config
	core      *lane.Core
	born      time.Time
	datagrams bool // both ends allow them
	lane      datagramLane
	crew      crew
	// signal wakes Run's goroutine where it waits without reading. A token too many
	// makes it look again.
	signal chan struct{}
	// accept is cancelled to stop the waiting for the control stream, and then to learn
	// of channel streams by admitted: acceptChannels closes it.
	accept   context.Context
	cancel   context.CancelFunc
	admitted chan struct{}

	// set before the writers can run, then static; nil: refused
	peer transport.Peer

	// owned by Run's goroutine
	reason transport.Reason // what Closing was told, or will be
	dead   bool             // there is nothing to write CLOSE on, or nobody to read it
	// listening says that acceptChannels was started.
	listening bool

	// guarded by delivery, under which the peer is called
	delivery sync.Mutex
	told     bool // Closing was said

	writer worker // of the control stream
	// owned by writer
	left  leftover
	ahead credit

	// guarded by mu
	mu      sync.Mutex
	resumed sync.Cond // on mu: epoch has changed, or the session has ended
	waiting int       // readers that wait for epoch to change
	epoch   uint64    // calls of Resume
	ins     []*inbound
	outs    map[uint8]*outbound
	newest  time.Time        // when the last one was opened
	seen    [256 / 64]uint64 // channels that the peer has opened a stream for
	timer   *time.Timer      // ends an opening that takes too long; nil: none
	meter   meter

	// atomic
	control atomic.Pointer[quicgo.Stream] // nil: not there yet
	phase   atomic.Uint32
	greeted atomic.Bool                      // SERVER_HELLO is on its way: other lanes may be used
	ending  atomic.Pointer[transport.Reason] // the end was asked for, here or there
	discard atomic.Bool                      // what is queued is not sent
	broken  atomic.Bool                      // writing the control stream failed
	readers atomic.Int32                     // inbound streams that have not ended
	shared  [256 / 64]atomic.Uint64          // channels that use the control stream
	heard   atomic.Int64                     // Unix nanoseconds; outside the control stream
	looked  atomic.Int64                     // likewise; by countStreams
	// drained holds a token when a channel's writer came to rest during the end.
	drained chan struct{}
}

// New returns a session on conn, whose handshake is complete and which is the session's
// from now on. The caller calls Run.
func New(conn *quicgo.Conn, c Config) *Session {
	c = c.withDefaults()
	s := &Session{
		conn: conn, config: c, born: time.Now(),
		signal: make(chan struct{}, 1), drained: make(chan struct{}, 1), admitted: make(chan struct{}),
	}
	s.accept, s.cancel = context.WithCancel(context.Background())
	supports := conn.ConnectionState().SupportsDatagrams
	s.datagrams = supports.Local && supports.Remote
	s.resumed.L = &s.mu
	s.meter.at, s.meter.remote = s.born, AddrPort(conn.RemoteAddr())
	s.core = lane.New(lane.Config{Role: c.Role, MaxMessage: c.MaxMessage, Pool: c.Pool, Pong: c.Pong, Resume: s.poke}, relay{s})
	s.writer = worker{crew: &s.crew, body: s.writeControl, direct: s.writeNow}
	s.writer.state.Store(busy) // until there is a stream to write
	s.lane.s = s
	s.lane.worker.crew, s.lane.worker.body = &s.crew, s.lane.send
	s.lane.begin()
	if !c.OpenBy.IsZero() {
		s.timer = time.AfterFunc(time.Until(c.OpenBy), s.late)
	}
	return s
}

// ClientHello queues the first frame of a client; payload is borrowed. Before Run.
func (s *Session) ClientHello(payload []byte) {
	s.core.ClientHello(payload)
	s.writer.wake()
}

// SetMaxMessage sets the longest DATA payload in bytes that may arrive; in Peer.Hello.
func (s *Session) SetMaxMessage(n int) {
	s.config.MaxMessage = n
	s.core.SetMaxMessage(n)
}

// Kind is KindQUIC.
func (s *Session) Kind() transport.Kind { return transport.KindQUIC }

// Loop is Config.Loop, if there are turns. It makes the Session a [transport.Looped].
func (s *Session) Loop() (n int, ok bool) { return s.config.Loop, s.config.Turns != nil }

// Datagrams is the lane of QUIC DATAGRAM frames; nil where an end does not allow them.
// Wake of the connection wakes it, too; its Close closes the connection.
func (s *Session) Datagrams() transport.Lane {
	if !s.datagrams {
		return nil
	}
	return &s.lane
}

// Max is what a datagram carries, or Config.MaxUnreliable where there are none.
func (s *Session) Max() int {
	if s.datagrams {
		return s.lane.Max()
	}
	return s.config.MaxUnreliable
}

// Control queues a control frame ahead of messages; payload is borrowed.
func (s *Session) Control(t transport.Control, payload []byte) {
	hello := t == transport.ControlServerHello
	if hello && !s.open() {
		return
	}
	s.core.Control(t, payload)
	s.writer.wake()
	if hello {
		s.poke()
	}
}

// Ping sends a PING, if none is under way.
func (s *Session) Ping() {
	s.core.Ping()
	s.writer.wake()
}

// Wake says that there may be messages to pull, for any stream or for datagrams.
func (s *Session) Wake() {
	if !s.greeted.Load() || !s.crew.enter() {
		return
	}
	s.wake()
	s.crew.leave()
}

// wake starts the writers that have something to write; from inside the crew.
func (s *Session) wake() {
	if s.datagrams {
		s.lane.wake()
	}
	channels := channelLists.Get().(*[]uint8)
	*channels = s.peer.Channels((*channels)[:0])
	control := !s.datagrams
	for _, ch := range *channels {
		if o := s.outbound(ch); o != nil {
			o.worker.do()
		} else {
			control = true
		}
	}
	channelLists.Put(channels)
	if control {
		s.writer.do()
	}
}

// channelLists are what Peer.Channels appends to.
var channelLists = sync.Pool{New: func() any { b := make([]uint8, 0, 16); return &b }}

// Resume makes readers offer again what the peer did not take.
func (s *Session) Resume() {
	s.mu.Lock()
	s.epoch++
	if s.waiting > 0 {
		s.resumed.Broadcast()
	}
	s.mu.Unlock()
	s.poke()
}

// Close sends what is queued (not for TOO_SLOW), then r, then ends the connection. What
// is not written within Config.Linger is not sent.
func (s *Session) Close(r transport.Reason) {
	if !s.ending.CompareAndSwap(nil, &r) {
		return
	}
	s.discard.Store(r.Code == transport.TooSlow)
	s.core.Close(r)
	s.cancel()
	if c := s.control.Load(); c != nil {
		_ = c.SetWriteDeadline(time.Now().Add(s.config.Linger))
		_ = c.SetReadDeadline(longAgo)
	}
	s.mu.Lock()
	s.resumed.Broadcast()
	s.mu.Unlock()
	s.poke()
	s.writer.wake()
}

// CloseOpening is Close for a session that is not open; an open one it leaves alone.
func (s *Session) CloseOpening(r transport.Reason) {
	if s.phase.CompareAndSwap(opening, refused) {
		s.Close(r)
	}
}

// Cut ends the connection at once with r, which may be the last that the peer hears.
// It waits for no more than quic-go's last packet.
func (s *Session) Cut(r transport.Reason) {
	s.Close(r)
	s.shut(r)
}

// open notes that the session is open; false: it has ended before.
func (s *Session) open() bool {
	if !s.phase.CompareAndSwap(opening, opened) {
		return false
	}
	s.mu.Lock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	s.mu.Unlock()
	if s.config.Opened != nil {
		s.config.Opened()
	}
	return true
}

// TooLate is what the reason of an opening that took too long says.
const TooLate = "the session was not open in time"

// late ends an opening that took too long.
func (s *Session) late() { s.CloseOpening(transport.Because(transport.Timeout, TooLate)) }

// poke makes Run's goroutine look again.
func (s *Session) poke() {
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// breach ends the session because the peer broke WIRE.md section 5.
func (s *Session) breach(format string, args ...any) {
	s.Close(transport.Because(transport.ProtocolError, format, args...))
}

// sender is how reasons call the one who sends to this end.
func (s *Session) sender() string {
	if s.config.Role == lane.Gateway {
		return "the client"
	}
	return "the gateway"
}
