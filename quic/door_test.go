package quic_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/internal/fleetkey"
	"strait/quic"
	"strait/transport"
)

var closing = transport.Reason{Code: transport.Normal, Text: "done"}

func TestRetryPolicies(t *testing.T) {
	for policy, asks := range map[quic.Retry]bool{quic.RetryAlways: true, quic.RetryOff: false, quic.RetryAuto: false} {
		t.Run(policy.String(), func(t *testing.T) {
			c := defaultConfig()
			c.Retry = policy
			w := start(t, c, nil)
			w.open(clientQUIC())
			assert.Equal(t, asks, w.l.Stats().Retries > 0)
		})
	}
}

// halfOpen begins handshakes that it never finishes, all from one address.
func halfOpen(t *testing.T, l *quic.Listener, n int) {
	t.Helper()
	for range n {
		socket, err := net.ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		mute := &deaf{PacketConn: socket}
		tr := &quicgo.Transport{Conn: mute}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = tr.Dial(ctx, l.Addr(), clientTLS(), clientQUIC())
		}()
		t.Cleanup(func() {
			cancel()
			<-done
			_ = tr.Close()
			_ = socket.Close()
		})
	}
}

// deaf is a socket that hears nothing: its handshakes stay unfinished.
type deaf struct{ net.PacketConn }

func (d *deaf) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		if _, _, err := d.PacketConn.ReadFrom(b); err != nil {
			return 0, nil, err
		}
	}
}

// Under load clients are asked to prove their address, and get in all the same.
func TestRetryUnderLoad(t *testing.T) {
	c := defaultConfig()
	c.HandshakesPerAddress = 16
	w := start(t, c, nil)
	halfOpen(t, w.l, 4)
	require.Eventually(t, func() bool { return w.l.Stats().Unfinished == 4 }, patience, time.Millisecond)
	assert.Zero(t, w.l.Stats().Retries)
	w.open(clientQUIC())
	assert.Positive(t, w.l.Stats().Retries)
	halfOpen(t, w.l, 20)
	require.Eventually(t, func() bool { return w.l.Stats().Retries >= 21 }, patience, time.Millisecond)
	assert.LessOrEqual(t, w.l.Stats().Unfinished, 5, "without proof nothing is kept")
}

func TestHandshakeCaps(t *testing.T) {
	for name, set := range map[string]func(*quic.Config){
		"all":     func(c *quic.Config) { c.Handshakes = 3 },
		"address": func(c *quic.Config) { c.HandshakesPerAddress = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			c := defaultConfig()
			c.Retry = quic.RetryOff
			set(&c)
			w := start(t, c, nil)
			halfOpen(t, w.l, 3)
			require.Eventually(t, func() bool { return w.l.Stats().Unfinished == 3 }, patience, time.Millisecond)
			_, err := dial(w.l.Addr(), clientTLS(), clientQUIC())
			var refused *quicgo.TransportError
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, quicgo.ConnectionRefused, refused.ErrorCode)
			s := w.l.Stats()
			assert.Equal(t, name == "all", s.HandshakeRefusals[quic.RefusedFull] > 0)
			assert.Equal(t, name == "address", s.HandshakeRefusals[quic.RefusedAddress] > 0)
		})
	}
}

// The oldest unfinished handshake goes when the cap over all listeners is reached.
func TestHandshakesAreEvicted(t *testing.T) {
	c := defaultConfig()
	c.Retry, c.Openings = quic.RetryOff, transport.NewOpenings(2)
	w := start(t, c, nil)
	halfOpen(t, w.l, 5)
	require.Eventually(t, func() bool {
		s := w.l.Stats()
		// More than those: an evicted client that sends again is another.
		return s.HandshakeFailures[quic.FailedEvicted] >= 3 && s.Unfinished == 2
	}, patience, time.Millisecond)
	w.open(clientQUIC())
	unfinished, _ := c.Openings.Len()
	assert.LessOrEqual(t, unfinished, 2)
}

func TestHandshakeFailures(t *testing.T) {
	failures := func(w *world, why quic.Failure) uint64 { return w.l.Stats().HandshakeFailures[why] }
	t.Run("client", func(t *testing.T) {
		c := defaultConfig()
		c.Retry = quic.RetryOff
		w := start(t, c, nil)
		wrong := clientTLS()
		wrong.NextProtos = []string{"h3"}
		_, err := dial(w.l.Addr(), wrong, clientQUIC())
		require.Error(t, err)
		distrustful := clientTLS()
		distrustful.ServerName = "other.test"
		_, err = dial(w.l.Addr(), distrustful, clientQUIC())
		require.Error(t, err)
		require.Eventually(t, func() bool {
			return failures(w, quic.FailedALPN) == 1 && failures(w, quic.FailedClient) == 1
		}, patience, time.Millisecond, "%v", w.l.Stats())
		assert.EqualValues(t, 2, w.l.Stats().Begun)
		assert.Zero(t, w.l.Stats().Completed)
	})
	// What such a client sends again after its handshake was given up begins another.
	t.Run("timeout", func(t *testing.T) {
		c := defaultConfig()
		c.HandshakeTimeout, c.Retry = 50*time.Millisecond, quic.RetryOff
		w := start(t, c, nil)
		halfOpen(t, w.l, 1)
		require.Eventually(t, func() bool { return failures(w, quic.FailedTimeout) >= 1 }, patience, time.Millisecond, "%v", w.l.Stats())
		assert.Zero(t, w.l.Stats().Completed)
	})
	// Packets that go on coming do not make the time for opening longer.
	t.Run("deadline", func(t *testing.T) {
		c := defaultConfig()
		c.OpenTimeout, c.HandshakeTimeout, c.Retry = 200*time.Millisecond, patience, quic.RetryOff
		w := start(t, c, nil)
		halfOpen(t, w.l, 1)
		require.Eventually(t, func() bool { return failures(w, quic.FailedTimeout) >= 1 }, patience/2, time.Millisecond, "%v", w.l.Stats())
		assert.Zero(t, w.l.Stats().Completed)
	})
}

// A gateway that starts again with the same key and name ends the connections of before.
func TestStatelessReset(t *testing.T) {
	keys := fleetkey.Generate()
	c := defaultConfig()
	c.Keys, c.NodeID = &keys, "one"
	w := start(t, c, nil)

	first := gated(t, nil)
	c.Conn, c.Pool = first, w.pool
	l, err := quic.Listen(t.Context(), "", c)
	require.NoError(t, err)
	served := w.serve(l)
	end, err := newSocket()
	require.NoError(t, err)
	client := w.clientFrom(end, l.Addr(), clientQUIC())
	// The process is killed: nothing that it would say leaves.
	first.shut.Store(true)
	require.NoError(t, l.Close())
	require.ErrorIs(t, <-served, net.ErrClosed)

	first.shut.Store(false)
	again, err := quic.Listen(t.Context(), "", c)
	require.NoError(t, err)
	served = w.serve(again)
	client.send(reliable, 0, "are you there? "+string(make([]byte, 100)))
	r := client.ended(t)
	assert.True(t, r.Lost)
	assert.Contains(t, r.Text, "stateless reset")
	require.NoError(t, again.Close())
	require.ErrorIs(t, <-served, net.ErrClosed)
}

func TestCodesReachTheOtherEnd(t *testing.T) {
	w := start(t, defaultConfig(), nil)
	t.Run("gateway", func(t *testing.T) {
		client, gateway := w.pair(clientQUIC())
		want := transport.Reason{Code: transport.Overloaded, Text: "full", RetryAfter: 1500 * time.Millisecond}
		gateway.conn.Close(want)
		assert.Equal(t, want, gateway.ended(t))
		want.Remote = true
		assert.Equal(t, want, client.ended(t))
	})
	t.Run("client", func(t *testing.T) {
		client, gateway := w.pair(clientQUIC())
		want := transport.Because(transport.Superseded, "elsewhere")
		client.conn.Close(want)
		assert.Equal(t, want, client.ended(t))
		want.Remote = true
		assert.Equal(t, want, gateway.ended(t))
	})
	t.Run("CONNECTION_CLOSE of the gateway", func(t *testing.T) {
		r, p := w.open(clientQUIC())
		p.conn.Close(transport.Because(transport.Kicked, "cheating"))
		assert.Equal(t, transport.Because(transport.Kicked, "cheating"), r.closed())
		require.NoError(t, r.CloseWrite())
		<-r.conn.Context().Done()
		var app *quicgo.ApplicationError
		require.ErrorAs(t, context.Cause(r.conn.Context()), &app)
		assert.EqualValues(t, transport.Kicked, app.ErrorCode)
		assert.Equal(t, "cheating", app.ErrorMessage)
		assert.True(t, app.Remote)
	})
	t.Run("CONNECTION_CLOSE of a client", func(t *testing.T) {
		r, p := w.open(clientQUIC())
		require.NoError(t, r.conn.CloseWithError(9, "another device"))
		assert.Equal(t, transport.Reason{Code: transport.Superseded, Text: "another device", Remote: true}, p.ended(t))
	})
	t.Run("silence", func(t *testing.T) {
		c := defaultConfig()
		c.IdleTimeout = 2 * time.Second // in which a busy machine opens a session
		w := start(t, c, nil)
		_, gateway := w.pair(clientQUIC())
		r := gateway.ended(t)
		assert.True(t, r.Lost && !r.Remote)
		assert.Contains(t, r.Text, "no recent network activity")
	})
}

func TestTraces(t *testing.T) {
	c := defaultConfig()
	c.QLogDir, c.QLogEvery = t.TempDir(), 2
	t.Run("traced", func(t *testing.T) {
		w := start(t, c, nil)
		for range 3 {
			w.open(clientQUIC())
		}
	})
	files, err := filepath.Glob(filepath.Join(c.QLogDir, "*.sqlog"))
	require.NoError(t, err)
	require.Len(t, files, 2)
	b, err := os.ReadFile(files[0])
	require.NoError(t, err)
	assert.Contains(t, string(b), "connection_closed")
}

func TestSharedSocketStaysOpen(t *testing.T) {
	g := gated(t, nil)
	c := defaultConfig()
	c.Conn, c.Pool = g, transport.NewPool(0, nil)
	l, err := quic.Listen(t.Context(), "not looked at", c)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = g.PacketConn.WriteTo([]byte{0}, g.LocalAddr())
	assert.NoError(t, err)
	assert.False(t, errors.Is(err, net.ErrClosed))
}
