//go:build linux

package load_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/bench/edge/load"
	"strait/bench/edge/stack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a TLS listener whose connections serve handles.
func server(t *testing.T, serve func(net.Conn)) load.Server {
	t.Helper()
	cert, err := stack.NewCertificate(t.TempDir())
	require.NoError(t, err)
	pair, err := tls.LoadX509KeyPair(cert.Chain, cert.Key)
	require.NoError(t, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"strait/1"}})
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		wg.Wait()
	})
	return load.Server{Addr: l.Addr().String()}
}

func echo(c net.Conn) { _, _ = io.Copy(c, c) }

func dial(t *testing.T, s load.Server, n int) load.Player {
	t.Helper()
	g, err := load.Dial(t.Context(), s, n)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}

func TestLoads(t *testing.T) {
	g := dial(t, server(t, echo), 8)
	assert.Equal(t, load.Negotiated{Version: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256", Curve: "X25519"}, g.Negotiated())
	short := load.Stretch{Warmup: 20 * time.Millisecond, Measure: 200 * time.Millisecond}

	m, err := g.Saturate(t.Context(), 64, 3, short)
	require.NoError(t, err)
	assert.Greater(t, m.Echoes, int64(24))
	assert.Positive(t, m.Latency.ValueAtPercentile(50))

	m, err = g.Offer(t.Context(), 64, 500, 1, short)
	require.NoError(t, err)
	assert.InDelta(t, 100, m.Latency.TotalCount(), 20, "as many as 500 a second are in 200 ms")

	require.NoError(t, g.Rest(t.Context(), 10*time.Millisecond))
	// Larger than any socket's buffer, so that writing has to wait.
	require.NoError(t, g.Each(t.Context(), 8<<20, 4))
	require.NoError(t, g.Each(t.Context(), load.MinSize, 4))

	require.NoError(t, g.Close())
	require.NoError(t, g.Close(), "idempotent")
}

// A server that stalls shows in all messages that should have left meanwhile, not
// only in those that had.
func TestOfferCountsFromTheIntendedTime(t *testing.T) {
	const stall = 300 * time.Millisecond
	s := server(t, func(c net.Conn) {
		buf := make([]byte, 70)
		for n := 0; ; n++ {
			if _, err := io.ReadFull(c, buf); err != nil {
				return
			}
			if n == 20 {
				time.Sleep(stall)
			}
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	})
	g := dial(t, s, 1)
	m, err := g.Offer(t.Context(), 64, 200, 1, load.Stretch{Measure: 500 * time.Millisecond})
	require.NoError(t, err)
	late := 0
	for _, b := range m.Latency.Distribution() {
		if b.From >= int64(stall/3) {
			late += int(b.Count)
		}
	}
	assert.GreaterOrEqual(t, late, 20, "200 a second for two thirds of the stall are 40")
}

func TestLostSessionsAreErrors(t *testing.T) {
	g := dial(t, server(t, func(c net.Conn) { _, _ = io.CopyN(io.Discard, c, 1) }), 2)
	_, err := g.Saturate(t.Context(), 64, 1, load.Stretch{Measure: time.Minute})
	require.ErrorContains(t, err, "a session was lost")
}

func TestForeignAnswersAreErrors(t *testing.T) {
	g := dial(t, server(t, func(c net.Conn) {
		_, _ = io.CopyN(io.Discard, c, 1)
		_, _ = c.Write(make([]byte, 6))
		_, _ = io.Copy(io.Discard, c)
	}), 1)
	_, err := g.Saturate(t.Context(), 64, 1, load.Stretch{Measure: time.Minute})
	require.ErrorContains(t, err, "nobody sends here")
}

func TestDialFailsWhole(t *testing.T) {
	var n atomic.Int64
	s := server(t, func(c net.Conn) {
		if n.Add(1) == 5 {
			_ = c.(*tls.Conn).NetConn().Close()
			return
		}
		echo(c)
	})
	s.Hello = true // which an echo never answers with SERVER_HELLO, but with CLIENT_HELLO
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Second, errors.New("it hung"))
	defer cancel()
	_, err := load.Dial(ctx, s, 50)
	require.ErrorContains(t, err, "opening a session")
}

func TestContextEndsALoad(t *testing.T) {
	g := dial(t, server(t, echo), 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	time.AfterFunc(20*time.Millisecond, func() { cancel(enough) })
	require.ErrorIs(t, g.Rest(ctx, time.Hour), enough)
}

type meter struct{ begun, ended atomic.Int64 }

func (m *meter) Begin() error { m.begun.Add(1); return nil }
func (m *meter) End() error   { m.ended.Add(1); return nil }

func TestSessions(t *testing.T) {
	var opened atomic.Int64
	s := server(t, func(c net.Conn) {
		opened.Add(1)
		echo(c)
	})
	var mt meter
	m, err := load.Sessions(t.Context(), s, 3, load.Stretch{Warmup: 50 * time.Millisecond, Measure: 300 * time.Millisecond, Meter: &mt})
	require.NoError(t, err)
	assert.Positive(t, m.Echoes)
	assert.Greater(t, opened.Load(), m.Echoes)
	assert.EqualValues(t, 1, mt.begun.Load())
	assert.EqualValues(t, 1, mt.ended.Load())
}

func TestSessionsFailWhenOneDoes(t *testing.T) {
	s := server(t, func(c net.Conn) { _ = c.(*tls.Conn).NetConn().Close() })
	_, err := load.Sessions(t.Context(), s, 3, load.Stretch{Measure: time.Minute})
	require.ErrorContains(t, err, "opening a session")
}
