package grpc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	gogrpc "google.golang.org/grpc"

	"strait/backend"
	"strait/transport"
	"strait/upstream"
	"strait/upstream/grpc"
	"strait/upstream/remote"
	"strait/upstream/upstreamtest"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// serve runs a backend on l until the test ends.
func serve(t testing.TB, l net.Listener, h backend.Handler, c backend.Config) *backend.Server {
	t.Helper()
	c.Logger = quiet()
	srv, err := backend.New(h, c)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		assert.ErrorIs(t, srv.Serve(l), net.ErrClosed)
	}()
	t.Cleanup(func() {
		assert.NoError(t, srv.Close())
		<-done
	})
	return srv
}

// attach makes a pool of the given backends and waits until all of them greeted.
func attach(t testing.TB, g *upstreamtest.Gateway, c remote.Config) *remote.Pool {
	t.Helper()
	c.Logger = quiet()
	p, err := remote.New(c, grpc.Carrier{})
	require.NoError(t, err)
	g.Attach(p)
	require.Eventually(t, func() bool {
		for _, s := range p.Status().Streams {
			if s.Name == "" {
				return false
			}
		}
		return true
	}, upstreamtest.Patience, time.Millisecond)
	return p
}

// player is a session of package backend.
type player struct{ s *backend.Session }

func (p player) Announced() upstream.Announcement {
	return upstream.Announcement{
		ID: transport.ID(p.s.ID()), Subject: p.s.Subject(), Claims: p.s.Claims(), Remote: p.s.Remote(),
		Transport: transport.Kind(p.s.Transport()), Route: p.s.Route(),
	}
}

func (p player) Send(d transport.Delivery, channel uint8, payload []byte) {
	_ = p.s.Send(backend.Delivery(d), channel, payload)
}

func (p player) Close(code transport.Code, reason string) {
	_ = p.s.Close(backend.Code(code), reason)
}

func (p player) Join(group string)  { _ = p.s.Join(group) }
func (p player) Leave(group string) { _ = p.s.Leave(group) }

// logic runs the suite's game logic in a backend.
func logic(l upstreamtest.Logic) backend.Handler {
	return backend.Funcs{
		OnOpened: func(s *backend.Session) {
			if l.Opened != nil {
				l.Opened(player{s})
			}
		},
		OnMessage: func(s *backend.Session, m backend.Message) {
			if l.Message != nil {
				l.Message(player{s}, upstreamtest.Received{
					Delivery: transport.Delivery(m.Delivery), Channel: m.Channel, Payload: string(m.Payload),
				})
			}
		},
		OnClosed: func(s *backend.Session, c backend.Closed) {
			if l.Closed != nil {
				l.Closed(player{s}, transport.Code(c.Code), c.Reason)
			}
		},
		OnLink: func(s *backend.Session, i backend.Link) {
			if l.Link != nil {
				l.Link(player{s}, transport.Kind(i.Transport), i.RTT)
			}
		},
	}
}

// contract runs the suite's game logic in a Go backend behind a gRPC server.
func contract(listen func(*testing.T) (net.Listener, string), conf *tls.Config, options []gogrpc.ServerOption, acknowledge bool) upstreamtest.Driver {
	return func(t *testing.T, g *upstreamtest.Gateway, l upstreamtest.Logic) (upstream.Driver, upstreamtest.Publish) {
		path := filepath.Join(t.TempDir(), "behind.sock")
		behind, err := net.Listen("unix", path)
		require.NoError(t, err)
		srv := serve(t, behind, logic(l), backend.Config{Name: "suite", Acknowledge: acknowledge})
		lis, url := listen(t)
		start(t, lis, bridge(path), options...)
		p := attach(t, g, remote.Config{Backends: []string{url}, TLS: conf})
		return p, func(route, group string, m upstreamtest.Received, except ...upstreamtest.Player) {
			var but []*backend.Session
			for _, p := range except {
				but = append(but, p.(player).s)
			}
			assert.NoError(t, srv.Publish(route, group, backend.Delivery(m.Delivery), m.Channel, []byte(m.Payload), but...))
		}
	}
}

func TestContractOverTCP(t *testing.T) {
	upstreamtest.Run(t, contract(func(t *testing.T) (net.Listener, string) { return tcpListener(t) }, nil, nil, true))
}

func TestContractOverUnixSocket(t *testing.T) {
	upstreamtest.Run(t, contract(func(t *testing.T) (net.Listener, string) { return unixListener(t) }, nil, nil, false))
}

func TestContractOverTLS(t *testing.T) {
	cert, roots := certificate(t, "localhost")
	upstreamtest.Run(t, contract(func(t *testing.T) (net.Listener, string) {
		l, _ := tcpListener(t)
		_, port, err := net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		return l, "grpcs://localhost:" + port
	}, &tls.Config{RootCAs: roots}, []gogrpc.ServerOption{serverTLS(cert)}, true))
}

// certificate makes a certificate for a host, and the roots that verify it.
func certificate(t testing.TB, host string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: host},
		DNSNames:     []string{host},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &priv.PublicKey, priv)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: priv}, roots
}
