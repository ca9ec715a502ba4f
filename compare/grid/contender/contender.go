package contender

import (
	"context"
	"fmt"
	"net/netip"

	"strait/client"
	"strait/compare/game"
	"strait/compare/rival"
	"strait/internal/nearest"
)

// Contender is one way to carry the game.
type Contender struct {
	Name string
	// Note says in a few words how it carries the game.
	Note string
	// CongestionControl is who decides how fast it sends: "kernel", or what it brings.
	CongestionControl string

	serve func(context.Context, netip.AddrPort, rival.Handler) (Server, error)
	dial  func(Endpoint) game.Dial
}

// Kernel is the CongestionControl of contenders on TCP.
const Kernel = "kernel"

// Endpoint is how a server is reached. It goes through JSON from one process to
// another.
type Endpoint struct {
	Addr string `json:"addr"`           // host:port
	QUIC string `json:"quic,omitempty"` // host:port, where it differs
	// Pin and Certificate are what the server is verified with: the SHA-256 of its
	// certificate, and that itself (DER).
	Pin         string `json:"pin,omitempty"`
	Certificate []byte `json:"certificate,omitempty"`
	// Key is KCP's, which both ends know beforehand.
	Key []byte `json:"key,omitempty"`
}

// Server is a server that runs.
type Server interface {
	Endpoint() Endpoint
	// Failed receives why it has stopped by itself.
	Failed() <-chan error
	// Close ends all sessions and returns when the server's goroutines have ended.
	Close() error
}

// Serve starts a server at an address, with h as its game logic. Port 0 is any free one;
// of a gateway all listeners but that of sealed UDP have the port's number.
func (c Contender) Serve(ctx context.Context, at netip.AddrPort, h rival.Handler) (Server, error) {
	s, err := c.serve(ctx, at, h)
	if err != nil {
		return nil, fmt.Errorf("serving %s: %w", c.Name, err)
	}
	return s, nil
}

// Dial returns how players reach the server at e. When a session's Close has returned,
// nothing of it is left.
func (c Contender) Dial(e Endpoint) game.Dial { return c.dial(e) }

func strait(name, note, control string, t client.Transport, p parts) Contender {
	return Contender{
		Name: name, Note: note, CongestionControl: control,
		serve: func(ctx context.Context, at netip.AddrPort, h rival.Handler) (Server, error) {
			return serveGateway(ctx, at, h, p)
		},
		dial: func(e Endpoint) game.Dial { return dialSDK(e, t, p) },
	}
}

// reno is what quic-go has.
const reno = "quic-go's NewReno"

// catalogue is in the order of tables: Strait's by how much they leave the stream, then
// the rivals.
var catalogue = []Contender{
	strait("tcp", "TLS on TCP: everything in one stream", Kernel, client.TCP, parts{tcp: true}),
	strait("tcp+udp", "TLS on TCP, with sealed UDP for what is unreliable", Kernel, client.TCPUDP, parts{tcp: true, sealed: true}),
	strait("quic-one-stream", "QUIC: everything in one stream", reno, client.QUIC, parts{quic: true, oneStream: true}),
	strait("quic-streams", "QUIC: a stream for each channel, no datagrams", reno, client.QUIC, parts{quic: true}),
	strait("quic", "QUIC: a stream for each channel, and datagrams for what is unreliable", reno, client.QUIC, parts{quic: true, datagrams: true}),
	strait("auto", "what the SDK chooses: QUIC, or TLS with sealed UDP where QUIC does not get through", reno, client.Auto, parts{tcp: true, sealed: true, quic: true, datagrams: true}),
	{Name: "kcp", Note: "KCP with AES, NoDelay(1, 10, 2, 1): everything in one stream", CongestionControl: "none", serve: serveKCP, dial: dialKCP},
	{Name: "websocket", Note: "WebSocket on TLS on TCP: everything in one stream", CongestionControl: Kernel, serve: serveWebSocket, dial: dialWebSocket},
}

// All returns the catalogue. It is the caller's.
func All() []Contender { return append([]Contender(nil), catalogue...) }

// Names returns the catalogue's names, in its order.
func Names() []string {
	out := make([]string, len(catalogue))
	for i, c := range catalogue {
		out[i] = c.Name
	}
	return out
}

// Lookup returns a contender of the catalogue by its name. The error of an unknown one is a
// [*nearest.UnknownError].
func Lookup(name string) (Contender, error) {
	return nearest.Lookup("transport", name, catalogue, func(c Contender) string { return c.Name })
}
