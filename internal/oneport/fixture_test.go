package oneport_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/proto/wire"
	"strait/quic"
	"strait/quic/session"
	"strait/transport"
	"strait/transport/transporttest"
	"strait/udp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds everything that a test waits for.
const patience = 20 * time.Second

// certificate is self-signed and good for strait.test.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"strait.test"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// gateway is a QUIC listener on the socket of a sealed UDP service, which somebody
// troubles with datagrams of sealed UDP all the time.
type gateway struct {
	*quic.Listener
	lanes  *udp.Service
	closed atomic.Bool
	quiet  chan struct{} // closed to end the trouble
	noise  sync.WaitGroup
}

// listen opens both at a host.
func listen(t *testing.T, host string, s transporttest.Setup, noBatch bool) *gateway {
	t.Helper()
	lanes, err := udp.Listen(t.Context(), net.JoinHostPort(host, "0"), udp.Config{Pool: s.Pool, Share: true, NoBatch: noBatch, ResetRate: 10})
	if err != nil && host == "::1" {
		t.Skip("no IPv6 here: ", err)
	}
	require.NoError(t, err)
	g := &gateway{lanes: lanes, quiet: make(chan struct{})}
	// A link that breaks is noticed by its silence alone, and what keeps a busy machine
	// from sending, most of all many connections, is to be over before that.
	silence := 3 * time.Second
	if strings.Contains(t.Name(), "headers_whose_bodies") {
		silence = 10 * time.Second
	}
	g.Listener, err = quic.Listen(t.Context(), "", quic.Config{
		Conn: lanes.Shared(), TLS: &tls.Config{Certificates: []tls.Certificate{certificate()}},
		Openings: s.Openings, Pool: s.Pool, OpenTimeout: s.OpenTimeout, MaxMessage: s.MaxMessage,
		Linger: s.Linger, LingerBytes: s.LingerBytes, MaxUnreliable: s.MaxUnreliable,
		HandshakeTimeout: patience / 2, IdleTimeout: silence,
	})
	require.NoError(t, err)
	conn, err := net.DialUDP("udp", nil, g.addr())
	require.NoError(t, err)
	g.noise.Go(func() {
		defer conn.Close()
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		b := make([]byte, 1200)
		for i := 0; ; i++ {
			select {
			case <-g.quiet:
				return
			case <-pace.C:
				b[0] = byte(i) & 0x3f
				_, _ = conn.Write(b[:1+i%len(b)])
			}
		}
	})
	return g
}

// addr is where a client on this machine finds both.
func (g *gateway) addr() *net.UDPAddr {
	a := *g.Addr().(*net.UDPAddr)
	if a.IP.IsUnspecified() {
		a.IP = net.IPv4(127, 0, 0, 1)
	}
	return &a
}

// Close closes in the order of the gateway's shutdown.
func (g *gateway) Close() error {
	if g.closed.Swap(true) {
		return nil
	}
	close(g.quiet)
	g.noise.Wait()
	return errors.Join(g.Listener.Close(), g.lanes.Close())
}

// stream is a client's control stream. Where the gateway could not send CLOSE, because
// it never saw the stream, CONNECTION_CLOSE says the same, and Read makes a CLOSE of it.
type stream struct {
	*quicgo.Stream
	conn *quicgo.Conn
	end  *quicgo.Transport

	head   []byte // of the frame that is being read
	left   int    // of its payload
	closed bool   // CLOSE was read
	rest   []byte // of a CLOSE made here
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		n, err := s.Stream.Read(p)
		s.follow(p[:n])
		var app *quicgo.ApplicationError
		if n > 0 || !errors.As(err, &app) || !app.Remote {
			return n, err
		}
		if s.closed {
			return 0, io.EOF
		}
		s.closed = true
		s.rest = wire.AppendClose(nil, uint32(app.ErrorCode), app.ErrorMessage, 0)
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
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

func (s *stream) SendDatagram(b []byte) error { return s.conn.SendDatagram(b) }

func (s *stream) ReceiveDatagram() ([]byte, error) {
	return s.conn.ReceiveDatagram(context.Background())
}

func (s *stream) CloseWrite() error { return s.Stream.Close() }

func (s *stream) Close() error {
	err := s.conn.CloseWithError(0, "closed")
	s.Reset()
	return err
}

// Reset closes the client's socket without a word to anybody.
func (s *stream) Reset() {
	_ = s.end.Close()
	_ = s.end.Conn.Close()
}

// dial connects a client from a socket of its own and opens the control stream.
func (g *gateway) dial() (*stream, error) {
	socket, err := net.ListenPacket("udp", net.JoinHostPort(g.addr().IP.String(), "0"))
	if err != nil {
		return nil, err
	}
	s := &stream{end: &quicgo.Transport{Conn: socket}}
	c := session.QUICConfig()
	c.EnableDatagrams, c.MaxIncomingUniStreams, c.HandshakeIdleTimeout = true, -1, patience/2
	c.KeepAlivePeriod = time.Second
	if g.closed.Load() {
		c.HandshakeIdleTimeout = 200 * time.Millisecond // nothing tells that nobody is there
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.conn, err = s.end.Dial(ctx, g.addr(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{quic.ALPN}}, c)
	if err == nil {
		s.Stream, err = s.conn.OpenStream()
	}
	if err != nil {
		s.Reset()
		return nil, err
	}
	return s, nil
}

func (g *gateway) endpoint() transporttest.Endpoint {
	return transporttest.Endpoint{
		Listener: g, Kind: transport.KindQUIC, Crowd: 100,
		Dial: func() (transporttest.Stream, error) {
			s, err := g.dial()
			if err != nil {
				return nil, err
			}
			return s, nil
		},
	}
}
