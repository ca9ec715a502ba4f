//go:build unix

package process

import (
	"context"
	"io"
	"regexp"
)

// What the gateway logs when it serves.
var (
	gatewayAddr  = regexp.MustCompile(`msg=listening transport=tcp address=(\S+)`)
	gatewayAdmin = regexp.MustCompile(`msg=listening admin=(\S+)`)
	gatewayPin   = regexp.MustCompile(`msg=certificate .*\bpin=([0-9a-f]{64})`)
)

// Gateway is a running strait serve.
type Gateway struct {
	*Process
	Addr string // where players connect, host:port
	Pin  string // SHA-256 of its certificate
}

// StartGateway starts the binary strait in front of the backend at a link URL, on free
// loopback ports, and waits until it is ready for players. When that fails nothing is
// left running.
func StartGateway(ctx context.Context, strait, upstream string, out io.Writer) (*Gateway, error) {
	p, err := Start(Spec{
		Name: "gateway", Path: strait, Args: []string{"serve"}, Out: out,
		Env: []string{
			"STRAIT_UPSTREAM=" + upstream, "STRAIT_TCP_ADDR=127.0.0.1:0", "STRAIT_ADMIN_ADDR=127.0.0.1:0",
			"STRAIT_UDP_ADDR=off", "STRAIT_QUIC_ADDR=off", "STRAIT_DRAIN_TIMEOUT=2s",
			"STRAIT_LOG_FORMAT=text", "STRAIT_LOG_LEVEL=info",
		},
		Keep: []*regexp.Regexp{gatewayAddr, gatewayAdmin, gatewayPin},
	})
	if err != nil {
		return nil, err
	}
	g := &Gateway{Process: p}
	if err := g.learn(ctx); err != nil {
		dead, cancel := context.WithCancel(ctx)
		cancel()
		_ = p.Stop(dead)
		return nil, err
	}
	return g, nil
}

// learn reads the log, then waits until players can play.
func (g *Gateway) learn(ctx context.Context) error {
	var admin string
	for _, l := range []struct {
		line *regexp.Regexp
		to   *string
	}{{gatewayAddr, &g.Addr}, {gatewayAdmin, &admin}, {gatewayPin, &g.Pin}} {
		match, err := g.Await(ctx, l.line)
		if err != nil {
			return err
		}
		*l.to = match[1]
	}
	return g.AwaitReady(ctx, admin+"/readyz")
}
