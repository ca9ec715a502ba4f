//go:build linux

package load_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	edgeecho "strait/bench/edge/echo"
	"strait/bench/edge/load"
	"strait/quic/session"
	"strait/transport/tlsconfig"
)

// quicServer is the echo that a bare target is.
func quicServer(t *testing.T, kind edgeecho.Kind, mode load.QUICMode) load.Server {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	addr := conn.LocalAddr().String()
	require.NoError(t, conn.Close())
	stop, in := io.Pipe()
	out, ready := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- edgeecho.Main(kind, addr, stop, ready, io.Discard) }()
	line := make([]byte, len(edgeecho.Ready)+1)
	_, err = io.ReadFull(out, line)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, in.Close())
		require.NoError(t, <-ended)
	})
	return load.Server{Addr: addr, QUIC: mode}
}

func TestQUICLoads(t *testing.T) {
	short := load.Stretch{Warmup: 20 * time.Millisecond, Measure: 100 * time.Millisecond}
	for name, mode := range map[string]load.QUICMode{"datagrams": load.QUICDatagrams, "stream": load.QUICStreams} {
		t.Run(name, func(t *testing.T) {
			g := dial(t, quicServer(t, edgeecho.QUIC, mode), 4)
			assert.Equal(t, load.Negotiated{Version: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256", Curve: "X25519"}, g.Negotiated())
			m, err := g.Saturate(t.Context(), 64, 3, short)
			require.NoError(t, err)
			assert.Positive(t, m.Echoes)
			m, err = g.Offer(t.Context(), 64, 500, 1, short)
			require.NoError(t, err)
			assert.Positive(t, m.Latency.TotalCount())
			if mode == load.QUICStreams {
				// More on the way than both ends have credit for.
				_, err = g.Saturate(t.Context(), 16<<10, 64, short)
				require.NoError(t, err)
			}
			require.NoError(t, g.Each(t.Context(), 512<<10, 3))
			require.NoError(t, g.Each(t.Context(), load.MinSize, 8))
			require.NoError(t, g.Rest(t.Context(), time.Millisecond))
			require.NoError(t, g.Close())
			require.NoError(t, g.Close(), "idempotent")
		})
	}
}

func TestQUICSessions(t *testing.T) {
	for _, kind := range []edgeecho.Kind{edgeecho.QUIC, edgeecho.QUICRetry} {
		t.Run(string(kind), func(t *testing.T) {
			s := quicServer(t, kind, load.QUICDatagrams)
			var mt meter
			m, err := load.Sessions(t.Context(), s, 3, load.Stretch{Measure: 100 * time.Millisecond, Meter: &mt})
			require.NoError(t, err)
			assert.Positive(t, m.Echoes)
			assert.EqualValues(t, 1, mt.ended.Load())
		})
	}
}

// A server that reads nothing holds nobody up for longer than he wants to wait.
func TestQUICLoadEndsWithItsContext(t *testing.T) {
	certs, err := tlsconfig.New(tlsconfig.Config{})
	require.NoError(t, err)
	defer certs.Close()
	l, err := quicgo.ListenAddr("127.0.0.1:0", certs.Server(session.ALPN), session.QUICConfig())
	require.NoError(t, err)
	defer l.Close()
	heard := make(chan error, 1)
	go func() { heard <- answerOnce(t.Context(), l) }()
	g := dial(t, load.Server{Addr: l.Addr().String(), QUIC: load.QUICStreams}, 1)
	require.NoError(t, <-heard)

	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	time.AfterFunc(50*time.Millisecond, func() { cancel(enough) })
	require.ErrorIs(t, g.Each(ctx, 1<<20, 1), enough)
	require.NoError(t, g.Close())
}

// answerOnce takes a connection and sends back its first message.
func answerOnce(ctx context.Context, l *quicgo.Listener) error {
	c, err := l.Accept(ctx)
	if err != nil {
		return err
	}
	s, err := c.AcceptStream(ctx)
	if err != nil {
		return err
	}
	b := make([]byte, 6+load.MinSize)
	if _, err := io.ReadFull(s, b); err != nil {
		return err
	}
	_, err = io.Copy(s, bytes.NewReader(b))
	return err
}

func TestQUICDialFailsWhole(t *testing.T) {
	s := quicServer(t, edgeecho.QUIC, load.QUICDatagrams)
	s.Hello = true // which an echo answers with CLIENT_HELLO
	_, err := load.Dial(t.Context(), s, 3)
	require.ErrorContains(t, err, "opening a session")
	_, err = load.Dial(t.Context(), load.Server{Addr: "nowhere:1", QUIC: load.QUICStreams}, 1)
	require.Error(t, err)
}
