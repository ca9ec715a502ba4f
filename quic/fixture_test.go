package quic_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/quic"
	"strait/quic/session"
	"strait/transport"
	"strait/transport/transporttest"
)

// patience bounds everything that a test waits for.
const patience = 20 * time.Second

// certificate is self-signed and good for strait.test.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "strait"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"strait.test"},
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
	return &tls.Config{RootCAs: roots, ServerName: "strait.test", NextProtos: []string{quic.ALPN}}
}

// clientWithoutRoots is for a process that does not know the gateway's certificate.
func clientWithoutRoots() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{quic.ALPN}}
}

// clientQUIC is what a client asks of quic-go.
func clientQUIC() *quicgo.Config {
	c := session.QUICConfig()
	c.HandshakeIdleTimeout = patience / 2
	return c
}

// socket is a client's endpoint: a UDP socket and what quic-go makes of it.
type socket struct {
	net.PacketConn
	*quicgo.Transport
}

func newSocket() (*socket, error) {
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &socket{PacketConn: packets, Transport: &quicgo.Transport{Conn: packets}}, nil
}

// vanish closes the endpoint without a word to anybody.
func (s *socket) vanish() {
	_ = s.Transport.Close()
	_ = s.PacketConn.Close()
}

// stream is a client's control stream. Where the gateway could not send CLOSE, because
// it never saw the stream, CONNECTION_CLOSE says the same, and Read makes a CLOSE of it.
type stream struct {
	*quicgo.Stream
	conn *quicgo.Conn
	end  *socket

	head   []byte // of the frame that is being read
	left   int    // of its payload
	closed bool   // CLOSE was read
	rest   []byte // of a CLOSE made here
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) > 0 {
		n := copy(p, s.rest)
		s.rest = s.rest[n:]
		return n, nil
	}
	n, err := s.Stream.Read(p)
	s.follow(p[:n])
	var app *quicgo.ApplicationError
	if n == 0 && errors.As(err, &app) && app.Remote {
		if s.closed {
			return 0, io.EOF
		}
		s.closed = true
		s.rest = wire.AppendClose(nil, uint32(app.ErrorCode), app.ErrorMessage, 0)
		return s.Read(p)
	}
	return n, err
}

// follow looks for CLOSE among the frames in b.
func (s *stream) follow(b []byte) {
	for len(b) > 0 {
		if s.left > 0 {
			n := min(s.left, len(b))
			s.left, b = s.left-n, b[n:]
			continue
		}
		s.head, b = append(s.head, b[0]), b[1:]
		if h, ok := wire.ParseHeader(s.head); ok {
			s.left, s.head = int(h.Length), s.head[:0]
			s.closed = s.closed || h.Type == wire.Close
		}
	}
}

// datagrams is a stream whose connection carries datagrams.
type datagrams struct{ *stream }

func (s datagrams) SendDatagram(b []byte) error { return s.conn.SendDatagram(b) }

func (s datagrams) ReceiveDatagram() ([]byte, error) {
	return s.conn.ReceiveDatagram(context.Background())
}

func (s *stream) CloseWrite() error { return s.Stream.Close() }

func (s *stream) Close() error {
	err := s.conn.CloseWithError(0, "closed")
	s.end.vanish()
	return err
}

func (s *stream) Reset() { s.end.vanish() }

// dial connects a client from a socket of its own and opens the control stream.
func dial(addr net.Addr, t *tls.Config, c *quicgo.Config) (*stream, error) {
	end, err := newSocket()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := end.Dial(ctx, addr, t, c)
	if err != nil {
		end.vanish()
		return nil, err
	}
	control, err := conn.OpenStream()
	if err != nil {
		end.vanish()
		return nil, err
	}
	return &stream{Stream: control, conn: conn, end: end}, nil
}

func config(s transporttest.Setup) quic.Config {
	return quic.Config{
		TLS: serverTLS(), Openings: s.Openings, Pool: s.Pool, OpenTimeout: s.OpenTimeout, MaxMessage: s.MaxMessage,
		Linger: s.Linger, LingerBytes: s.LingerBytes, MaxUnreliable: s.MaxUnreliable,
		HandshakeTimeout: patience / 2, IdleTimeout: time.Minute,
	}
}

// listener notes that it was closed: nobody answers a client then, and nothing tells it so.
type listener struct {
	*quic.Listener
	closed atomic.Bool
}

func (l *listener) Close() error {
	defer l.closed.Store(true)
	return l.Listener.Close()
}

func endpoint(t *testing.T, c quic.Config, client *quicgo.Config) transporttest.Endpoint {
	inner, err := quic.Listen(t.Context(), "127.0.0.1:0", c)
	require.NoError(t, err)
	l := &listener{Listener: inner}
	tlsConfig := clientTLS()
	many := 500 // a handshake takes a millisecond of a processor, ten with the race detector
	if transporttest.Race {
		many = 100
	}
	return transporttest.Endpoint{
		Listener: l, Kind: transport.KindQUIC, Crowd: many,
		Dial: func() (transporttest.Stream, error) {
			asked := client.Clone()
			if l.closed.Load() {
				asked.HandshakeIdleTimeout = 200 * time.Millisecond
			}
			s, err := dial(l.Addr(), tlsConfig, asked)
			if err != nil {
				return nil, err
			}
			if client.EnableDatagrams && !c.NoDatagrams {
				return datagrams{s}, nil
			}
			return s, nil
		},
	}
}
