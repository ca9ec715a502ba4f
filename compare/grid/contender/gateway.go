package contender

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/netip"

	"strait/compare/game"
	"strait/compare/rival"
	"strait/gateway"
	"strait/quic"
	"strait/tcp"
	"strait/transport"
	"strait/transport/tlsconfig"
	"strait/udp"
	"strait/upstream"
	"strait/upstream/inproc"
)

// parts are those of a gateway that a contender needs, and how its players use them.
type parts struct {
	tcp       bool
	sealed    bool // UDP beside TCP
	quic      bool
	datagrams bool // of QUIC; players who do not want them do not offer them
	oneStream bool // reliable messages all go in channel 0, which has no stream of its own
}

// gatewayServer is a gateway with its listeners.
type gatewayServer struct {
	certs    *tlsconfig.Source
	gateway  *gateway.Gateway
	endpoint Endpoint
	failed   chan error
}

func serveGateway(ctx context.Context, at netip.AddrPort, h rival.Handler, p parts) (_ Server, err error) {
	silent := slog.New(slog.DiscardHandler)
	s := &gatewayServer{failed: make(chan error, 2)}
	if s.certs, err = tlsconfig.New(tlsconfig.Config{Hosts: []string{at.Addr().String()}}); err != nil {
		return nil, err
	}
	if s.gateway, err = gateway.New(gateway.Config{Logger: silent}, inproc.New(&bridge{handler: h, oneStream: p.oneStream})); err != nil {
		return nil, errors.Join(err, s.certs.Close())
	}
	var listeners []transport.Listener
	defer func() {
		if err == nil {
			return
		}
		for _, l := range listeners {
			_ = l.Close()
		}
		_ = s.Close()
	}()
	if p.tcp {
		l, err := tcp.Listen(ctx, at.String(), tcp.Config{
			TLS: s.certs.Server(tcp.ALPN), Openings: s.gateway.Openings(), Pool: s.gateway.Pool(), MaxUnreliable: gateway.MaxUnreliable,
		})
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, l)
		s.endpoint.Addr = l.Addr().String()
	}
	if p.sealed {
		lanes, err := udp.Listen(ctx, netip.AddrPortFrom(at.Addr(), 0).String(), udp.Config{Pool: s.gateway.Pool()})
		if err != nil {
			return nil, err
		}
		s.gateway.SetOfferer(lanes)
	}
	if p.quic {
		l, err := quic.Listen(ctx, at.String(), quic.Config{
			TLS: s.certs.Server(quic.ALPN), Openings: s.gateway.Openings(), Pool: s.gateway.Pool(),
			MaxUnreliable: gateway.MaxUnreliable,
		})
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, l)
		s.endpoint.QUIC = l.Addr().String()
		if !p.tcp {
			s.endpoint.Addr = s.endpoint.QUIC
		}
	}
	if err = s.gateway.Start(); err != nil {
		return nil, err
	}
	sum := s.certs.Fingerprint()
	s.endpoint.Pin = hex.EncodeToString(sum[:])
	for _, l := range listeners {
		s.gateway.Listen(l, func(err error) { s.failed <- err })
	}
	return s, nil
}

func (s *gatewayServer) Endpoint() Endpoint   { return s.endpoint }
func (s *gatewayServer) Failed() <-chan error { return s.failed }

// Close does not wait for players to go.
func (s *gatewayServer) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.gateway.Shutdown(ctx)
	return s.certs.Close()
}

// bridge makes a rival's game logic the gateway's.
type bridge struct {
	handler   rival.Handler
	oneStream bool
	gateway   upstream.Gateway
}

// Start implements [inproc.Starter].
func (b *bridge) Start(g upstream.Gateway) { b.gateway = g }

// Opened implements [inproc.Handler]: a player is known when he speaks.
func (b *bridge) Opened(upstream.Session) {}

// Message implements [inproc.Handler].
func (b *bridge) Message(s upstream.Session, m transport.Message) {
	b.handler.Message(player{s, b}, m.Buf.B)
}

// Closed implements [inproc.Handler].
func (b *bridge) Closed(s upstream.Session, _ transport.Reason) { b.handler.Closed(player{s, b}) }

// player is a session as game logic sends to it. Equal ones are one session.
type player struct {
	session upstream.Session
	bridge  *bridge
}

var _ game.Sender = player{}

func (p player) Send(d transport.Delivery, channel uint8, payload []byte) error {
	g := p.bridge.gateway
	return g.Send(p.session, transport.Message{
		Delivery: d, Channel: channelOf(d, channel, p.bridge.oneStream), Buf: g.Buffers().Copy(payload),
	})
}

func (p player) Flush() { p.bridge.gateway.Flush(p.session) }

// channelOf is the channel in which a message goes; its flow stands in the message.
func channelOf(d transport.Delivery, channel uint8, oneStream bool) uint8 {
	if oneStream && d == transport.Reliable {
		return 0
	}
	return channel
}
