package tcp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/tcp"
	"strait/transport"
	"strait/transport/transporttest"
)

// certificate is self-signed and good for 127.0.0.1.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "strait"},
		// Tests with a simulated clock live in the year 2000.
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"strait.test"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
})

func serverTLS() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{certificate()}} }

func clientTLS() *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(certificate().Leaf)
	return &tls.Config{RootCAs: roots, ServerName: "strait.test", NextProtos: []string{tcp.ALPN}}
}

// stream is a client's TLS connection.
type stream struct {
	*tls.Conn
	raw *net.TCPConn
}

func (s stream) CloseWrite() error {
	if err := s.Conn.CloseWrite(); err != nil {
		return err
	}
	return s.raw.CloseWrite()
}

func (s stream) Close() error {
	// Not the one of tls.Conn, which waits to write close_notify.
	if err := s.raw.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func (s stream) Reset() {
	_ = s.raw.SetLinger(0)
	_ = s.raw.Close()
}

func dial(addr net.Addr, c *tls.Config) (stream, error) {
	raw, err := net.DialTimeout("tcp", addr.String(), 10*time.Second)
	if err != nil {
		return stream{}, err
	}
	s := stream{Conn: tls.Client(raw, c), raw: raw.(*net.TCPConn)}
	_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
	if err := s.Handshake(); err != nil {
		_ = raw.Close()
		return stream{}, err
	}
	return s, raw.SetDeadline(time.Time{})
}

func endpoint(t *testing.T, s transporttest.Setup, server, client *tls.Config, noLoop bool) transporttest.Endpoint {
	l, err := tcp.Listen(t.Context(), "127.0.0.1:0", tcp.Config{
		TLS: server, Openings: s.Openings, Pool: s.Pool, OpenTimeout: s.OpenTimeout, MaxMessage: s.MaxMessage,
		Linger: s.Linger, LingerBytes: s.LingerBytes, MaxUnreliable: s.MaxUnreliable,
		NoLoop: noLoop,
	})
	require.NoError(t, err)
	return transporttest.Endpoint{
		Listener: l, Kind: transport.KindTCP,
		Dial: func() (transporttest.Stream, error) {
			s, err := dial(l.Addr(), client)
			if err != nil {
				return nil, err
			}
			return s, nil
		},
	}
}
