package tcp_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/tcp"
	"strait/transport"
)

const (
	// patience bounds what real sockets make a test wait for.
	patience = 20 * time.Second
	linger   = 200 * time.Millisecond
)

// serve starts a listener with an echoing peer for every connection.
func serve(t testing.TB, change func(*tcp.Config)) *tcp.Listener {
	l, err := tcp.Listen(t.Context(), "127.0.0.1:0", config(change))
	require.NoError(t, err)
	serveOn(t, l)
	return l
}

func config(change func(*tcp.Config)) tcp.Config {
	c := tcp.Config{TLS: serverTLS(), Pool: transport.NewPool(0, nil), Linger: linger}
	if change != nil {
		change(&c)
	}
	return c
}

func serveOn(t testing.TB, l *tcp.Listener) {
	leaks := goleak.IgnoreCurrent()
	served := make(chan error, 1)
	go func() {
		served <- l.Serve(func(c transport.Conn) (transport.Peer, error) { return newEcho(c), nil })
	}()
	t.Cleanup(func() {
		assert.NoError(t, l.Close())
		assert.ErrorIs(t, <-served, net.ErrClosed)
		assert.Zero(t, l.Stats().Open)
		goleak.VerifyNone(t, leaks)
	})
}

func failures(l *tcp.Listener, f tcp.Failure) func() bool {
	return func() bool { return l.Stats().HandshakeFailures[f] > 0 }
}

func TestRefusedInTheHandshake(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*tls.Config)
		want   tcp.Failure
		says   string
	}{
		{"TLS 1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, tcp.FailedVersion, "protocol version"},
		{"no ALPN", func(c *tls.Config) { c.NextProtos = nil }, tcp.FailedALPN, "no application protocol"},
		{"wrong ALPN", func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} }, tcp.FailedALPN, "no application protocol"},
		{"a client that mistrusts the certificate", func(c *tls.Config) { c.RootCAs = nil }, tcp.FailedTLS, "certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := serve(t, nil)
			client := clientTLS()
			c.change(client)
			_, err := dial(l.Addr(), client)
			require.ErrorContains(t, err, c.says)
			require.Eventually(t, failures(l, c.want), patience, time.Millisecond, "%v", l.Stats())
			assert.EqualValues(t, 1, l.Stats().Accepted)
		})
	}
}

// A client that is refused for its certificate learns so, whatever it sent meanwhile:
// its frames are read, or a reset could destroy the alert.
func TestRefusedForItsCertificate(t *testing.T) {
	l := serve(t, func(c *tcp.Config) {
		c.Linger = patience
		c.TLS.ClientAuth = tls.RequestClientCert
		c.TLS.VerifyConnection = func(tls.ConnectionState) error {
			return &tls.CertificateVerificationError{Err: errors.New("it shows none")}
		}
	})
	s, err := dial(l.Addr(), clientTLS())
	require.NoError(t, err, "with TLS 1.3 the client's handshake is done first")
	require.NoError(t, s.raw.SetDeadline(time.Now().Add(patience)))
	require.Eventually(t, failures(l, tcp.FailedCertificate), patience, time.Millisecond)
	for range 10 {
		_, err = s.Write(make([]byte, 1000))
		require.NoError(t, err)
	}
	_, err = s.Read(make([]byte, 1))
	require.ErrorContains(t, err, "bad certificate")
	_, err = s.raw.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "no reset")
	require.NoError(t, s.Close())
	require.Eventually(t, func() bool { return l.Stats().Open == 0 }, patience, time.Millisecond)
}

func TestTLS12WhereTheOperatorAllowsIt(t *testing.T) {
	l := serve(t, func(c *tcp.Config) { c.TLS.MinVersion = tls.VersionTLS12 })
	client := clientTLS()
	client.MaxVersion = tls.VersionTLS12
	s, err := dial(l.Addr(), client)
	require.NoError(t, err)
	assert.EqualValues(t, tls.VersionTLS12, s.ConnectionState().Version)
	require.NoError(t, s.Close())

	client.NextProtos = nil
	_, err = dial(l.Addr(), client)
	assert.ErrorContains(t, err, "no application protocol")
}

func TestALPNIsNegotiated(t *testing.T) {
	l := serve(t, nil)
	client := clientTLS()
	client.NextProtos = []string{"h2", tcp.ALPN}
	s, err := dial(l.Addr(), client)
	require.NoError(t, err)
	assert.Equal(t, tcp.ALPN, s.ConnectionState().NegotiatedProtocol)
	require.NoError(t, s.Close())
}

func TestCertificateOnDemand(t *testing.T) {
	asked := atomic.Int32{}
	for name, server := range map[string]*tls.Config{
		"GetCertificate": {GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			asked.Add(1)
			c := certificate()
			return &c, nil
		}},
		"GetConfigForClient": {GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			asked.Add(1)
			return serverTLS(), nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			asked.Store(0)
			l := serve(t, func(c *tcp.Config) { c.TLS = server })
			s, err := dial(l.Addr(), clientTLS())
			require.NoError(t, err)
			assert.Equal(t, tcp.ALPN, s.ConnectionState().NegotiatedProtocol)
			assert.EqualValues(t, 1, asked.Load())
			require.NoError(t, s.Close())

			client := clientTLS()
			client.NextProtos = nil
			_, err = dial(l.Addr(), client)
			assert.ErrorContains(t, err, "no application protocol")
			client = clientTLS()
			client.MaxVersion = tls.VersionTLS12
			_, err = dial(l.Addr(), client)
			assert.ErrorContains(t, err, "protocol version")
		})
	}
	t.Run("that refuses", func(t *testing.T) {
		l := serve(t, func(c *tcp.Config) {
			c.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, assert.AnError }}
		})
		_, err := dial(l.Addr(), clientTLS())
		require.Error(t, err)
		require.Eventually(t, failures(l, tcp.FailedTLS), patience, time.Millisecond)
	})
}

func TestGarbageInsteadOfTLS(t *testing.T) {
	for name, bytes := range map[string]string{
		"http": "GET / HTTP/1.1\r\n\r\n", "one byte": "\x00", "truncated record": "\x16\x03\x01\x00\x10garbage-garbage!",
		"version from nowhere": "\x16\xff\xff\xff\xff",
	} {
		t.Run(name, func(t *testing.T) {
			l := serve(t, nil)
			raw, err := net.Dial("tcp", l.Addr().String())
			require.NoError(t, err)
			defer func() { assert.NoError(t, raw.Close()) }()
			_, err = raw.Write([]byte(bytes))
			require.NoError(t, err)
			require.NoError(t, raw.SetReadDeadline(time.Now().Add(patience)))
			_, err = io.ReadAll(raw)
			if err != nil {
				require.ErrorContains(t, err, "reset") // what was not read went with the socket
			}
			require.Eventually(t, failures(l, tcp.FailedTLS), patience, time.Millisecond)
		})
	}
}

func TestGoneDuringTheHandshake(t *testing.T) {
	l := serve(t, nil)
	for _, bytes := range []string{"", "\x16\x03", "\x16\x03\x01\x02\x00\x01\x00"} {
		before := l.Stats().HandshakeFailures[tcp.FailedEOF]
		raw, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		_, err = raw.Write([]byte(bytes))
		require.NoError(t, err)
		require.NoError(t, raw.Close())
		require.Eventually(t, func() bool { return l.Stats().HandshakeFailures[tcp.FailedEOF] == before+1 }, patience, time.Millisecond)
	}
}

func TestHandshakeTimeoutIsSilent(t *testing.T) {
	l := serve(t, func(c *tcp.Config) { c.OpenTimeout = 100 * time.Millisecond })
	for _, bytes := range []string{"", "\x16\x03\x01\x02\x00\x01\x00"} {
		raw, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		_, err = raw.Write([]byte(bytes))
		require.NoError(t, err)
		require.NoError(t, raw.SetReadDeadline(time.Now().Add(patience)))
		got, err := io.ReadAll(raw)
		require.NoError(t, err)
		assert.Empty(t, got)
		require.NoError(t, raw.Close())
	}
	require.Eventually(t, func() bool { return l.Stats().HandshakeFailures[tcp.FailedTimeout] == 2 }, patience, time.Millisecond)
}

// A client that connects and says nothing holds a socket, a goroutine and less
// than a kilobyte; the oldest go when newer ones come, and a client in good faith
// gets in beside them.
func TestHalfOpenByTheThousand(t *testing.T) {
	clients, room := 2000, 500
	if testing.Short() {
		clients, room = 300, 50
	}
	openings := transport.NewOpenings(room)
	l := serve(t, func(c *tcp.Config) { c.Openings, c.OpenTimeout = openings, patience })
	raws := make([]net.Conn, clients)
	for i := range raws {
		raw, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		raws[i] = raw
	}
	s, err := dial(l.Addr(), clientTLS())
	require.NoError(t, err)
	roundTrip(t, s, 1)
	require.NoError(t, s.Close())
	evicted := func() int { return int(l.Stats().HandshakeFailures[tcp.FailedEvicted]) }
	require.Eventually(t, func() bool { return evicted() >= clients-room }, patience, time.Millisecond)
	for _, raw := range raws[:clients-room] {
		require.NoError(t, raw.SetReadDeadline(time.Now().Add(patience)))
		n, err := raw.Read(make([]byte, 1))
		require.Zero(t, n)
		require.ErrorIs(t, err, io.EOF, "closed, not merely waiting")
	}
	for _, raw := range raws {
		require.NoError(t, raw.Close())
	}
}
