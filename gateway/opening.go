package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
	"strait/proto/wire"
	"strait/transport"
	"strait/upstream"
)

// maxRoute is the longest route in bytes that a client may name.
const maxRoute = 256

// goingAway is why a gateway that shuts down ends connections.
var goingAway = transport.Because(transport.Draining, "the gateway is going away")

// peer is the gateway's end of one connection: first an opening, then the way to
// its session.
type peer struct {
	gw      *Gateway
	conn    transport.Conn
	session atomic.Pointer[session]

	// owned by the connection's reader
	ctx    context.Context // of an authentication that is under way
	cancel context.CancelFunc

	mu      sync.Mutex
	over    bool // Closing was called: too late to open a session
	refused bool // counted already
}

// Accept takes a new connection; see transport.Accept.
func (g *Gateway) Accept(c transport.Conn) (transport.Peer, error) {
	if g.draining.Load() {
		g.openings.count(goingAway)
		return nil, goingAway
	}
	if g.table.full() {
		r := g.fullReason()
		g.openings.count(r)
		return nil, r
	}
	p := &peer{gw: g, conn: c}
	if !g.conns.enter(p) {
		return nil, goingAway
	}
	return p, nil
}

func (g *Gateway) fullReason() transport.Reason {
	return transport.Because(transport.Overloaded, "the limit of %d sessions is reached", g.cfg.MaxSessions)
}

// Hello judges CLIENT_HELLO and opens the session or refuses it.
func (p *peer) Hello(b []byte) {
	var h straitv1.ClientHello
	if err := proto.Unmarshal(b, &h); err != nil {
		breach := wire.Error{Rule: wire.Malformed, Header: wire.Header{Type: wire.ClientHello, Length: uint32(len(b))}, Err: err}
		p.refuse(transport.Because(transport.ProtocolError, "%v", &breach))
		return
	}
	if h.Version != wire.Version {
		p.refuse(transport.Because(transport.Version, "the client speaks version %d, this gateway version %d", h.Version, wire.Version))
		return
	}
	if !p.gw.cfg.ClientRoute {
		h.Route = ""
	} else if len(h.Route) > maxRoute {
		p.refuse(transport.Because(transport.ProtocolError, "a route of %d bytes: the limit is %d", len(h.Route), maxRoute))
		return
	}
	if p.gw.cfg.Authenticate == nil {
		p.open(&h, Identity{})
		return
	}
	p.ctx, p.cancel = context.WithTimeout(context.Background(), p.gw.cfg.OpenTimeout)
	p.gw.work.Add(1)
	go p.authenticate(&h)
}

func (p *peer) authenticate(h *straitv1.ClientHello) {
	defer p.gw.work.Done()
	defer p.cancel()
	id, err := p.gw.cfg.Authenticate(p.ctx, Hello{
		Token: h.AuthToken, Client: h.Client, Route: h.Route, Info: p.conn.Path(), Kind: p.conn.Kind(),
	})
	var r transport.Reason
	switch {
	case err == nil:
		p.open(h, id)
	case errors.As(err, &r):
		p.refuse(r)
	default:
		p.gw.log.Info("authentication failed", "remote", p.conn.Path().Remote, "client", clip(h.Client), "error", err)
		p.refuse(transport.Because(transport.AuthFailed, "the token was refused"))
	}
}

func (p *peer) refuse(r transport.Reason) {
	p.mu.Lock()
	first := !p.refused && !p.over
	p.refused = true
	p.mu.Unlock()
	if first {
		p.gw.openings.count(r)
	}
	p.conn.Close(r)
}

func (p *peer) open(h *straitv1.ClientHello, id Identity) {
	g := p.gw
	s := &session{gw: g, conn: p.conn, opened: time.Now()}
	s.ann = upstream.Announcement{
		Subject: id.Subject, Claims: id.Claims, Route: h.Route,
		Remote: p.conn.Path().Remote, Transport: p.conn.Kind(),
	}
	if id.Route != "" {
		s.ann.Route = id.Route
	}
	rand.Read(s.ann.ID[:])
	s.out.Init(g.outbox)
	s.wheel.measured = s.opened
	s.shard = g.shards[g.shardOf(p.conn, s.ann.ID)]
	if g.draining.Load() {
		p.refuse(goingAway)
		return
	}
	var offer *straitv1.UdpOffer
	switch {
	case p.conn.Datagrams() != nil:
		s.out.SetDatagrams(true)
	case h.WantUdp && g.offerer != nil && p.conn.Kind() == transport.KindTCP:
		offer = g.offer(s, h.UdpAeads)
	}
	if !g.table.add(s) {
		r := g.fullReason()
		s.forgo(r)
		p.refuse(r)
		return
	}
	hello, err := proto.Marshal(&straitv1.ServerHello{
		Version:            wire.Version,
		SessionId:          s.ann.ID[:],
		MaxMessageBytes:    uint32(g.cfg.MaxMessageBytes),
		MaxUnreliableBytes: MaxUnreliable,
		IdleTimeoutMs:      uint32(g.cfg.IdleTimeout.Milliseconds()),
		ServerTimeUs:       uint64(s.opened.UnixMicro()),
		Udp:                offer,
	})
	if err != nil {
		g.table.remove(s)
		r := transport.Because(transport.Internal, "SERVER_HELLO: %v", err)
		s.forgo(r)
		p.refuse(r)
		return
	}
	p.mu.Lock()
	if p.over {
		p.mu.Unlock()
		g.table.remove(s)
		s.forgo(transport.Reason{Code: transport.Normal, Lost: true, Text: "connection ended"})
		return
	}
	g.openings.count(transport.Reason{})
	g.kinds[s.conn.Kind()].Add(1)
	s.pushOpened()
	g.wheel.add(s)
	p.session.Store(s)
	p.mu.Unlock()
	g.conns.opened(p)
	if s.end.Load() != nil {
		g.wheel.remove(s) // closed by others before the wheel knew it
	}
	defer func() {
		if g.draining.Load() {
			g.goAway(s) // a shutdown that began meanwhile may have missed it
		}
	}()
	p.conn.Control(transport.ControlServerHello, hello)
	p.conn.Wake()
	if o := s.offered.Load(); o != nil {
		o.opened()
	}
	g.log.Debug("session opened", "session", s.ann.ID, "handle", s.handle, "remote", s.ann.Remote, "transport", s.conn.Kind(), "client", clip(h.Client))
}

// shardOf spreads sessions evenly, and those that an event loop serves so that one
// loop pushes on one shard.
func (g *Gateway) shardOf(c transport.Conn, id transport.ID) int {
	if l, ok := c.(transport.Looped); ok {
		if n, ok := l.Loop(); ok {
			return n % len(g.shards)
		}
	}
	return int(id[0]) % len(g.shards)
}

// Control is a control frame that an open session has no use for yet: this
// gateway gives no resume tokens, so there is nothing to acknowledge.
func (p *peer) Control(t transport.Control, _ []byte) error {
	return transport.Because(transport.ProtocolError, "%s on a session without a resume token", wire.Type(t))
}

func (p *peer) Deliver(ms []transport.Message) int { return p.session.Load().deliver(ms) }

func (p *peer) Channels(dst []uint8) []uint8 {
	if s := p.session.Load(); s != nil {
		dst = s.out.Channels(dst)
	}
	return dst
}

func (p *peer) Pull(dst []transport.Message, d transport.Delivery, channel, budget int) []transport.Message {
	s := p.session.Load()
	if s == nil {
		return dst
	}
	if d == transport.Unreliable {
		if o := s.offered.Load(); o != nil {
			return o.pullInstead(dst, channel, budget)
		}
	}
	return s.pull(dst, d, channel, budget, math.MaxInt)
}

// Closing ends the session with the connection's reason, unless it ended itself.
func (p *peer) Closing(r transport.Reason) {
	p.mu.Lock()
	p.over = true
	counted := p.refused
	p.mu.Unlock()
	if p.cancel != nil {
		p.cancel() // only now: an authentication that it ends opens no session
	}
	if s := p.session.Load(); s != nil {
		s.finish(r)
		s.forgo(r)
	} else if !counted {
		p.gw.openings.count(r)
	}
}

// Gone forgets the session.
func (p *peer) Gone(transport.Reason) {
	if s := p.session.Load(); s != nil {
		ended := transport.Reason{Code: transport.Normal, Lost: true, Text: "connection ended"}
		s.finish(ended)
		s.forgo(ended)
		reliable, unreliable := s.out.Drop()
		s.shard.drop(upstream.DropSessionClosed, reliable+unreliable)
		p.gw.table.remove(s)
		p.gw.kinds[s.kind()].Add(-1)
	}
	p.gw.conns.leave(p)
}

// clip shortens what a client says of itself for a log line.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64]
	}
	return s
}
