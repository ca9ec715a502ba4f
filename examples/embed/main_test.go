package main

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/client"
	"strait/gateway"
	"strait/transport"
)

const patience = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = gateway.Config{DrainTimeout: time.Second, Logger: slog.New(slog.DiscardHandler)}

// player dials, and hears that he came.
func player(t *testing.T, ctx context.Context, s *server, coming string) (c *client.Client, name string) {
	t.Helper()
	c, err := client.Dial(ctx, s.addr().String(), client.Options{Pin: s.pin(), Reconnect: client.Reconnect{Off: true}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	name = c.Session().String()[:8]
	hears(t, ctx, c, name+coming)
	return c, name
}

func hears(t *testing.T, ctx context.Context, c *client.Client, text string) {
	t.Helper()
	m, err := c.Receive(ctx)
	require.NoError(t, err)
	require.Equal(t, text, string(m.Payload))
	require.Equal(t, client.Reliable, m.Delivery)
	require.Equal(t, chat, m.Channel)
}

func TestPlayersMeetInTheRoom(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := start(ctx, "127.0.0.1:0", quiet)
	require.NoError(t, err)
	t.Cleanup(s.close) // after the players' own
	ada, adaName := player(t, ctx, s, " came, 1 here")
	bob, bobName := player(t, ctx, s, " came, 2 here")
	hears(t, ctx, ada, bobName+" came, 2 here")

	require.NoError(t, ada.Send(ctx, client.Reliable, chat, []byte("hello")))
	hears(t, ctx, ada, adaName+": hello")
	hears(t, ctx, bob, adaName+": hello")

	require.NoError(t, bob.Send(ctx, client.Unreliable, position, []byte{3, 4}))
	m, err := ada.Receive(ctx)
	require.NoError(t, err)
	require.Equal(t, client.Unreliable, m.Delivery)
	require.Equal(t, []byte{3, 4}, m.Payload)

	require.NoError(t, bob.Close())
	hears(t, ctx, ada, bobName+" went (NORMAL), 1 here")

	require.NoError(t, ada.Send(ctx, client.Reliable, 99, []byte("?")))
	_, err = ada.Receive(ctx)
	require.ErrorIs(t, err, transport.Kicked)
}

func TestShutdownClosesWhoeverIsLeft(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := start(ctx, "127.0.0.1:0", quiet)
	require.NoError(t, err)
	c, _ := player(t, ctx, s, " came, 1 here")
	s.close()
	s.close() // again does nothing
	_, err = c.Receive(ctx)
	require.ErrorIs(t, err, transport.Draining)
	_, err = net.DialTimeout("tcp", s.addr().String(), time.Second)
	require.Error(t, err, "the listener is still open")
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, run(ctx, "127.0.0.1:0"))
}

func TestAnAddressInUseIsAnError(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	require.Error(t, run(t.Context(), taken.Addr().String()))
}
