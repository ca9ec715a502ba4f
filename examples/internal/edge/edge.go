// Package edge is a gateway in the process of a test, for examples that are backends
// or players.
//
// It owns the gateway with its listener and certificate, and players that trust it.
// It is for tests alone and fails them when something does not work.
//
//  1. [Start] listens on a free port and waits until a backend is attached.
//  2. [Gateway.Dial] is a player.
//  3. When the test ends players are closed first, then the gateway.
package edge

import (
	"context"
	"encoding/hex"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/gateway"
	"strait/tcp"
	"strait/transport/tlsconfig"
	"strait/upstream/link"
	"strait/upstream/remote"
)

// Patience bounds waits for what happens soon on a machine that is not overloaded.
const Patience = 20 * time.Second

// Gateway is a running gateway.
type Gateway struct {
	Addr string // host:port
	Pin  string // of its certificate
}

// Start starts a gateway in front of the backend at a link URL.
func Start(t testing.TB, backend string) *Gateway {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	certs, err := tlsconfig.New(tlsconfig.Config{Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(func() { _ = certs.Close() })
	pool, err := remote.New(remote.Config{Backends: []string{backend}, Logger: quiet}, link.Carrier{})
	require.NoError(t, err)
	g, err := gateway.New(gateway.Config{DrainTimeout: time.Second, Logger: quiet}, pool)
	require.NoError(t, err)
	l, err := tcp.Listen(t.Context(), "127.0.0.1:0", tcp.Config{
		TLS: certs.Server(tcp.ALPN), Openings: g.Openings(), Pool: g.Pool(), MaxUnreliable: gateway.MaxUnreliable,
	})
	require.NoError(t, err)
	require.NoError(t, g.Start())
	t.Cleanup(func() { g.Shutdown(context.Background()) })
	g.Listen(l, func(err error) { t.Errorf("the gateway's listener failed: %v", err) })
	require.Eventually(t, func() bool { ok, _ := g.Ready(); return ok }, Patience, 5*time.Millisecond,
		"the gateway did not reach the backend at %s", backend)
	pin := certs.Fingerprint()
	return &Gateway{Addr: l.Addr().String(), Pin: hex.EncodeToString(pin[:])}
}

// Dial connects a player, who is closed when the test ends.
func (g *Gateway) Dial(t testing.TB) *client.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	c, err := client.Dial(ctx, g.Addr, client.Options{Pin: g.Pin, Reconnect: client.Reconnect{Off: true}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}
