package contender

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"

	"strait/compare/game"
	"strait/compare/rival"
	"strait/compare/rival/kcp"
	"strait/compare/rival/websocket"
	"strait/transport/tlsconfig"
)

// rivalServer is a server that cannot stop by itself.
type rivalServer struct {
	endpoint Endpoint
	closers  []func() error
}

func (s *rivalServer) Endpoint() Endpoint   { return s.endpoint }
func (s *rivalServer) Failed() <-chan error { return nil }

func (s *rivalServer) Close() error {
	var errs []error
	for _, c := range s.closers {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

const keyBytes = 16 // AES-128, as TLS here uses

func serveKCP(_ context.Context, at netip.AddrPort, h rival.Handler) (Server, error) {
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key) // never fails
	s, err := kcp.Listen(at.String(), kcp.Config{Key: key}, h)
	if err != nil {
		return nil, err
	}
	return &rivalServer{Endpoint{Addr: s.Addr().String(), Key: key}, []func() error{s.Close}}, nil
}

func dialKCP(e Endpoint) game.Dial {
	return func(ctx context.Context) (game.Conn, error) {
		c, err := kcp.Dial(ctx, e.Addr, kcp.Config{Key: e.Key})
		if err != nil {
			return nil, err
		}
		return c, nil
	}
}

func serveWebSocket(_ context.Context, at netip.AddrPort, h rival.Handler) (Server, error) {
	certs, err := tlsconfig.New(tlsconfig.Config{Hosts: []string{at.Addr().String()}})
	if err != nil {
		return nil, err
	}
	s, err := websocket.Listen(at.String(), certs.Server(), h)
	if err != nil {
		return nil, errors.Join(err, certs.Close())
	}
	e := Endpoint{Addr: s.Addr().String(), Certificate: certs.Certificate().Raw}
	return &rivalServer{e, []func() error{s.Close, certs.Close}}, nil
}

func dialWebSocket(e Endpoint) game.Dial {
	return func(ctx context.Context) (game.Conn, error) {
		cert, err := x509.ParseCertificate(e.Certificate)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		roots.AddCert(cert)
		c, err := websocket.Dial(ctx, e.Addr, &tls.Config{RootCAs: roots})
		if err != nil {
			return nil, err
		}
		return c, nil
	}
}
