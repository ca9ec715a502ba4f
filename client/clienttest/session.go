package clienttest

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
	"strait/transport"
	"strait/transport/lane"
	"strait/transport/outbox"
)

var buffers = transport.NewPool(0, nil)

// Session is one client as the gateway sees it. Its methods never block and may
// be called from any goroutine.
type Session struct {
	// ClientHello is what the client said; to be read alone.
	ClientHello *straitv1.ClientHello
	// ID is the id that the client was given.
	ID transport.ID

	gateway *Gateway
	// lane is what carries the session: core over TLS, the connection itself over QUIC.
	lane interface {
		Control(t transport.Control, payload []byte)
		Close(r transport.Reason)
	}
	wake func()
	cut  func()

	conn    *tls.Conn
	raw     net.Conn
	core    *lane.Core
	queue   outbox.Queue
	sealed  atomic.Pointer[transport.Lane] // nil without
	bound   atomic.Bool                    // sealed carries messages
	wakes   chan struct{}
	resumed chan struct{}
	wrote   chan struct{} // closed when the writer has ended
	over    chan struct{}
	once    sync.Once
	why     transport.Reason
}

func newSession(g *Gateway, conn *tls.Conn, raw net.Conn) *Session {
	s := &Session{
		gateway: g, conn: conn, raw: raw, over: make(chan struct{}), wrote: make(chan struct{}),
		wakes: make(chan struct{}, 1), resumed: make(chan struct{}, 1),
	}
	s.queue.Init(outbox.Config{ReliableBytes: 64 << 20})
	s.core = lane.New(lane.Config{
		Role: lane.Gateway, MaxMessage: 1 << 20, Pool: buffers, Resume: func() { signal(s.resumed) },
	}, peer{s})
	s.lane = s.core
	s.wake = func() {
		signal(s.wakes)
		if l := s.sealed.Load(); l != nil {
			(*l).Wake()
		}
	}
	s.cut = func() { _ = raw.Close() }
	return s
}

// Send queues a message for the client; payload is borrowed.
func (s *Session) Send(d transport.Delivery, channel uint8, payload []byte) {
	_, _ = s.queue.Push(transport.Message{Delivery: d, Channel: channel, Buf: buffers.Copy(payload)})
	s.wake()
}

// GoAway tells the client to be elsewhere by the deadline.
func (s *Session) GoAway(code transport.Code, deadline time.Duration, redirect string) {
	b, err := proto.Marshal(&straitv1.GoAway{
		Code: uint32(code), DeadlineMs: uint32(deadline.Milliseconds()), Redirect: redirect,
	})
	if err == nil {
		s.lane.Control(transport.ControlGoAway, b)
		s.wake()
	}
}

// Close sends what is queued, then CLOSE.
func (s *Session) Close(r transport.Reason) {
	s.lane.Close(r)
	s.wake()
}

// Cut ends the connection without CLOSE.
func (s *Session) Cut() { s.cut() }

// Done is closed when the connection has ended.
func (s *Session) Done() <-chan struct{} { return s.over }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (s *Session) run() {
	var writer sync.WaitGroup
	writer.Go(s.write)
	s.read()
	_ = s.raw.Close()
	s.core.End(transport.Reason{Code: transport.Idle, Lost: true})
	if l := s.sealed.Load(); l != nil {
		(*l).Close(transport.Reason{Code: transport.Normal})
	}
	close(s.over)
	writer.Wait()
	s.queue.Drop()
	if s.gateway.config.Closed != nil {
		s.gateway.config.Closed(s, s.why)
	}
}

func (s *Session) read() {
	for {
		space := s.core.Space()
		if space == nil && s.core.Opened() && !s.core.Finished() {
			select { // too many PINGs without a PONG
			case <-s.resumed:
				continue
			case <-s.wrote:
				return
			}
		}
		if space == nil {
			break
		}
		n, err := s.conn.Read(space)
		broke := s.core.Advance(n, time.Now())
		s.wake()
		if err != nil {
			return
		}
		if broke != nil {
			break
		}
	}
	// CLOSE was received, or is on its way because of what was.
	_ = s.raw.SetDeadline(time.Now().Add(time.Second))
	_, _ = io.Copy(io.Discard, s.conn)
	<-s.wrote
}

func (s *Session) write() {
	defer close(s.wrote)
	var out []byte
	opened := s.gateway.config.Opened
	for {
		var done bool
		open := s.core.Opened()
		out, done = s.core.Fill(out[:0], 16<<10, time.Now())
		if len(out) > 0 {
			if _, err := s.conn.Write(out); err != nil {
				return
			}
		}
		if open && opened != nil {
			hear := opened
			s.gateway.work.Go(func() { hear(s) })
			opened = nil
		}
		if done {
			_ = s.conn.CloseWrite()
			if half, ok := s.raw.(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
			}
			return
		}
		if len(out) == 0 {
			select {
			case <-s.wakes:
			case <-s.over:
				return
			}
		}
	}
}

// peer is the session's end of its lane.
type peer struct{ *Session }

func (p peer) Hello(b []byte) {
	ask := &straitv1.ClientHello{}
	if err := proto.Unmarshal(b, ask); err != nil {
		p.lane.Close(transport.Because(transport.ProtocolError, "CLIENT_HELLO does not parse: %v", err))
		return
	}
	p.ClientHello = ask
	_, _ = rand.Read(p.ID[:])
	answer := &straitv1.ServerHello{
		Version: 1, SessionId: p.ID[:], MaxMessageBytes: 65536, MaxUnreliableBytes: 1100,
		IdleTimeoutMs: 30000, ServerTimeUs: uint64(time.Now().UnixMicro()),
	}
	if p.gateway.lanes != nil && ask.GetWantUdp() {
		p.offer(answer)
	}
	if p.gateway.config.Hello != nil {
		if err := p.gateway.config.Hello(ask, answer); err != nil {
			r := transport.Because(transport.Internal, "%v", err)
			_ = errors.As(err, &r)
			p.lane.Close(r)
			return
		}
	}
	b, err := proto.Marshal(answer)
	if err != nil {
		p.lane.Close(transport.Because(transport.Internal, "%v", err))
		return
	}
	p.lane.Control(transport.ControlServerHello, b)
}

func (p peer) Control(transport.Control, []byte) error { return nil }

func (p peer) Deliver(ms []transport.Message) int {
	for _, m := range ms {
		if handle := p.gateway.config.Message; handle != nil {
			handle(p.Session, m.Delivery, m.Channel, m.Buf.B)
			m.Buf.Release()
			continue
		}
		m.Seq = 0
		_, _ = p.queue.Push(m)
		p.wake()
	}
	return len(ms)
}

func (p peer) Channels(dst []uint8) []uint8 { return p.queue.Channels(dst) }

func (p peer) Pull(dst []transport.Message, d transport.Delivery, channel, budget int) []transport.Message {
	if d == transport.Unreliable && p.bound.Load() {
		return dst
	}
	return p.queue.Pull(dst, d, channel, budget)
}

func (p peer) Closing(r transport.Reason) { p.once.Do(func() { p.why = r }) }
func (p peer) Gone(transport.Reason)      {}
