package client

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"strait/proto/wire"
	quicsession "strait/quic/session"
	"strait/transport"
	"strait/transport/lane"
)

// streams is the carrier of QUIC: the control stream, a stream for each channel, and
// datagrams, as quic/session moves them.
type streams struct {
	// static
	link      *link
	conn      *quicConn
	core      *quicsession.Session
	datagrams transport.Lane // nil without
	listen    func(context.Context, netip.AddrPort) (net.PacketConn, error)
	answered  chan struct{} // closed when SERVER_HELLO was good
	done      chan struct{} // closed when core.Run has returned
	// moving holds a token during rebind.
	moving chan struct{}

	started atomic.Bool // core.Run was called
	running atomic.Bool // messages may be delivered
	greeted sync.Once
}

func newStreams(l *link, conn *quicConn, listen func(context.Context, netip.AddrPort) (net.PacketConn, error)) *streams {
	s := &streams{
		link: l, conn: conn, listen: listen,
		answered: make(chan struct{}), done: make(chan struct{}), moving: make(chan struct{}, 1),
	}
	s.core = quicsession.New(conn.Conn, quicsession.Config{
		Role: lane.Client, Pool: buffers, Linger: linger, Pong: l.pings.answered,
	})
	s.datagrams = s.core.Datagrams()
	l.session.lane = s.core
	return s
}

func (s *streams) open(hello []byte) bool {
	s.core.ClientHello(hello)
	s.started.Store(true)
	go func() {
		defer close(s.done)
		s.core.Run(&quicPeer{s.link.session, s})
	}()
	select {
	case <-s.answered:
	case <-s.done:
	}
	return s.link.session.open.Load()
}

func (s *streams) run() {
	if s.started.Load() {
		s.running.Store(true)
		s.core.Resume()
		<-s.done
	} else {
		_ = s.conn.CloseWithError(0, "")
	}
	s.conn.close()
	s.link.session.end(transport.Reason{Code: transport.Idle, Text: "the connection was lost", Lost: true})
}

func (s *streams) wake(d transport.Delivery, _ uint8) {
	if d == transport.Unreliable && s.datagrams != nil {
		s.datagrams.Wake()
		return
	}
	s.core.Wake()
}

func (s *streams) ping() {
	s.link.pings.take(time.Now(), func(nonce [8]byte) {
		s.core.Control(transport.Control(wire.Ping), nonce[:])
	})
}

func (s *streams) resume() {
	s.link.reading.Store(time.Now().UnixNano())
	s.core.Resume()
}

func (s *streams) close(r transport.Reason) { s.core.Close(r) }

func (s *streams) cut() {
	r := transport.Reason{Code: transport.Normal}
	if why := s.link.session.why.Load(); why != nil && !why.Remote {
		r = *why
	}
	s.core.Cut(r)
}

func (s *streams) maxUnreliable(most int) int {
	if s.datagrams == nil {
		return most
	}
	return min(most, s.datagrams.Max())
}

func (s *streams) path() transport.Path { return s.core.Path() }

func (s *streams) describe(*Info) {}

func (s *streams) broke() error { return context.Cause(s.conn.Context()) }

func (s *streams) rebind(ctx context.Context) error {
	select {
	case s.moving <- struct{}{}:
		defer func() { <-s.moving }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	socket, err := s.listen(ctx, s.conn.remote)
	if err != nil {
		return err
	}
	return s.conn.rebind(ctx, socket, s.core.Ping)
}

// quicPeer is the session as QUIC sees it.
type quicPeer struct {
	*session
	streams *streams
}

func (p *quicPeer) Hello(b []byte) {
	p.session.Hello(b)
	if p.open.Load() {
		if p.streams.datagrams != nil {
			p.queue.SetDatagrams(true)
		}
		p.streams.greeted.Do(func() { close(p.streams.answered) })
	}
}

// Closing gives a lost connection the code that the gateway will give it.
func (p *quicPeer) Closing(r transport.Reason) {
	if r.Lost {
		r.Code = transport.Idle
	}
	p.session.Closing(r)
}

// Deliver takes nothing before the link is used: it may still lose to another.
func (p *quicPeer) Deliver(ms []transport.Message) int {
	if !p.streams.running.Load() {
		return 0
	}
	taken := p.session.Deliver(ms)
	if taken < len(ms) && ms[taken].Delivery == transport.Reliable {
		p.streams.link.reading.Store(0)
	}
	return taken
}
