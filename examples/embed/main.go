// Command embed is a gateway with its game logic in the same process: one binary,
// no link, no second program.
//
// It owns the wiring of the gateway's parts and a small room (room.go) for game logic.
// It reads no STRAIT_ variables: who embeds the gateway configures it in Go.
//
//  1. A certificate, game logic in a driver, the gateway in front of it, a listener.
//  2. Start the gateway, then listen.
//  3. At SIGINT or SIGTERM the gateway drains: players are told to go, what they sent
//     is answered, and when the drain timeout is over the rest are closed.
//
// Try it:
//
//	go run ./examples/embed -addr 127.0.0.1:7777
//	strait ping 127.0.0.1:7777
package main

import (
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"strait/gateway"
	"strait/tcp"
	"strait/transport/tlsconfig"
	"strait/upstream/inproc"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:7777", "where players connect, `host:port`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr); err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

// run serves until ctx is done or the listener fails.
func run(ctx context.Context, addr string) error {
	s, err := start(ctx, addr, gateway.Config{DrainTimeout: 2 * time.Second, Logger: slog.Default()})
	if err != nil {
		return err
	}
	slog.Info("listening", "address", s.addr(), "pin", s.pin())
	select {
	case <-ctx.Done():
	case err = <-s.failed:
	}
	s.close()
	return err
}

// server is a gateway with its listener and certificate.
type server struct {
	certs    *tlsconfig.Source
	gateway  *gateway.Gateway
	listener *tcp.Listener
	failed   chan error // why the listener stopped by itself
}

// start returns a server that players can connect to, or nothing that runs.
func start(ctx context.Context, addr string, c gateway.Config) (*server, error) {
	// Without files the certificate is self-signed; players pin its fingerprint.
	certs, err := tlsconfig.New(tlsconfig.Config{Logger: c.Logger})
	if err != nil {
		return nil, err
	}
	g, err := gateway.New(c, inproc.New(newRoom()))
	if err != nil {
		_ = certs.Close()
		return nil, err
	}
	s := &server{certs: certs, gateway: g, failed: make(chan error, 1)}
	// All listeners of a gateway share its buffers and its limit of openings.
	s.listener, err = tcp.Listen(ctx, addr, tcp.Config{
		TLS: certs.Server(tcp.ALPN), Openings: g.Openings(), Pool: g.Pool(),
		OpenTimeout: c.OpenTimeout, MaxMessage: c.MaxMessageBytes, MaxUnreliable: gateway.MaxUnreliable, Logger: c.Logger,
	})
	if err != nil {
		s.close()
		return nil, err
	}
	if err := g.Start(); err != nil {
		_ = s.listener.Close() // the gateway does not have it yet
		s.close()
		return nil, err
	}
	g.Listen(s.listener, func(err error) { s.failed <- err })
	return s, nil
}

func (s *server) addr() net.Addr { return s.listener.Addr() }

// pin is what players verify the server with.
func (s *server) pin() string {
	sum := s.certs.Fingerprint()
	return hex.EncodeToString(sum[:])
}

// close drains the gateway, which closes the listener and the driver.
func (s *server) close() {
	s.gateway.Shutdown(context.Background())
	_ = s.certs.Close()
}
