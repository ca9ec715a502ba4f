package tcp_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/tcp"
	"strait/transport"
)

// fakeListener fails as it is told, then gives what inner accepts.
type fakeListener struct {
	net.Listener // nil: blocks until Close
	errs         []error
	closed       atomic.Bool
	closing      chan struct{}
}

func (f *fakeListener) Accept() (net.Conn, error) {
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return nil, err
	}
	if f.Listener != nil {
		return f.Listener.Accept()
	}
	<-f.closing
	return nil, net.ErrClosed
}

func (f *fakeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero, Port: 1} }

func (f *fakeListener) Close() error {
	if f.closed.Swap(true) {
		return net.ErrClosed
	}
	if f.closing != nil {
		close(f.closing)
	}
	if f.Listener != nil {
		return f.Listener.Close()
	}
	return nil
}

func acceptError(errno syscall.Errno) error {
	return &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", errno)}
}

func TestAcceptErrorsPass(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	fake := &fakeListener{Listener: inner, errs: []error{
		acceptError(syscall.EMFILE), acceptError(syscall.ENFILE), acceptError(syscall.ECONNABORTED), acceptError(syscall.ENOBUFS),
	}}
	l, err := tcp.New(fake, config(nil))
	require.NoError(t, err)
	serveOn(t, l)
	s, err := dial(inner.Addr(), clientTLS())
	require.NoError(t, err)
	roundTrip(t, s, 1)
	require.NoError(t, s.Close())
	assert.EqualValues(t, 4, l.Stats().AcceptErrors)
	assert.EqualValues(t, 1, l.Stats().Accepted)
}

func TestAcceptErrorsBackOffAndAreLoggedRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeListener{closing: make(chan struct{})}
		for range 20 {
			fake.errs = append(fake.errs, acceptError(syscall.EMFILE))
		}
		var mu sync.Mutex
		var log bytes.Buffer
		l, err := tcp.New(fake, config(func(c *tcp.Config) { c.Logger = slog.New(slog.NewTextHandler(locked{&mu, &log}, nil)) }))
		require.NoError(t, err)
		begun := time.Now()
		served := make(chan error)
		go func() { served <- l.Serve(nil) }()
		synctest.Wait()
		for l.Stats().AcceptErrors < 20 {
			time.Sleep(time.Millisecond)
		}
		// 5, 10, 20 … 640 ms, then 1 s each; the last wait is still to come.
		assert.InDelta(t, 1275*time.Millisecond+11*time.Second, time.Since(begun), float64(2*time.Millisecond))
		mu.Lock()
		assert.Equal(t, 3, strings.Count(log.String(), "cannot accept"), log.String())
		mu.Unlock()
		require.NoError(t, l.Close())
		assert.ErrorIs(t, <-served, net.ErrClosed, "Close does not wait for the next try")
	})
}

type locked struct {
	mu *sync.Mutex
	to *bytes.Buffer
}

func (l locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(b)
}

func TestServeEndsWithItsSocket(t *testing.T) {
	for _, broken := range []error{acceptError(syscall.EINVAL), errors.New("no more of this"), net.ErrClosed} {
		l, err := tcp.New(&fakeListener{errs: []error{broken}}, config(nil))
		require.NoError(t, err)
		assert.ErrorIs(t, l.Serve(nil), broken)
		require.NoError(t, l.Close())
	}
}

func TestClosedBeforeServed(t *testing.T) {
	l, err := tcp.Listen(t.Context(), "127.0.0.1:0", config(nil))
	require.NoError(t, err)
	require.NoError(t, l.Close())
	assert.ErrorIs(t, l.Serve(nil), net.ErrClosed)
}

func TestCloseDuringHandshakes(t *testing.T) {
	l, err := tcp.Listen(t.Context(), "127.0.0.1:0", config(func(c *tcp.Config) { c.Linger = time.Minute }))
	require.NoError(t, err)
	serveOn(t, l)
	for range 10 {
		raw, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer func() { assert.NoError(t, raw.Close()) }()
	}
	require.Eventually(t, func() bool { return l.Stats().Open == 10 }, patience, time.Millisecond)
	begun := time.Now()
	require.NoError(t, l.Close())
	assert.Less(t, time.Since(begun), 30*time.Second, "nothing to linger for")
	assert.EqualValues(t, 10, l.Stats().HandshakeFailures[tcp.FailedClosed])
}

func TestRemoteIsTheClients(t *testing.T) {
	l, err := tcp.Listen(t.Context(), "localhost:0", config(nil))
	require.NoError(t, err)
	conns := make(chan transport.Conn, 1)
	served := make(chan error, 1)
	go func() {
		served <- l.Serve(func(c transport.Conn) (transport.Peer, error) {
			conns <- c
			return newEcho(c), nil
		})
	}()
	s, err := dial(l.Addr(), clientTLS())
	require.NoError(t, err)
	c := <-conns
	assert.Equal(t, s.raw.LocalAddr().String(), c.Path().Remote.String())
	assert.False(t, c.Path().Remote.Addr().Is4In6())
	assert.Nil(t, c.Datagrams())
	require.NoError(t, s.Close())
	require.NoError(t, l.Close())
	assert.ErrorIs(t, <-served, net.ErrClosed)
}

func TestStatsCount(t *testing.T) {
	l := serve(t, nil)
	s, err := dial(l.Addr(), clientTLS())
	require.NoError(t, err)
	roundTrip(t, s, 10)
	st := l.Stats()
	assert.EqualValues(t, 1, st.Accepted)
	assert.EqualValues(t, 1, st.Open)
	assert.Greater(t, st.BytesIn, uint64(10*70))
	assert.Greater(t, st.BytesOut, uint64(10*70))
	require.NoError(t, s.Close())
	require.Eventually(t, func() bool { return l.Stats().Lost == 1 && l.Stats().Open == 0 }, patience, time.Millisecond)
	for f := range tcp.Failures {
		assert.NotEmpty(t, tcp.Failure(f).String())
		assert.Zero(t, st.HandshakeFailures[f])
	}
	assert.Equal(t, "unknown", tcp.Failure(tcp.Failures).String())
}
