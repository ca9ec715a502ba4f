package client_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/client/clienttest"
	"strait/proto/straitv1"
	"strait/transport"
)

func TestAutoTakesQUIC(t *testing.T) {
	g := startBoth(t, clienttest.Config{})
	c := dial(t, g, client.Options{FallbackDelay: patience})
	assert.Equal(t, client.QUIC, c.Info().Transport)
	assert.Zero(t, g.Accepted(), "TCP was dialled, too")
}

func TestAutoFindsQUICAtAnotherPort(t *testing.T) {
	_, elsewhere, err := clienttest.Listen()
	require.NoError(t, err)
	g := startGateway(t, clienttest.Config{PacketConn: elsewhere})
	_, port, _ := net.SplitHostPort(elsewhere.LocalAddr().String())
	for _, addr := range []string{":" + port, "127.0.0.1:" + port} {
		c := dial(t, g, client.Options{QUICAddr: addr, FallbackDelay: patience})
		assert.Equal(t, client.QUIC, c.Info().Transport)
	}
}

// silent is a port where TCP is served and UDP vanishes.
func silent(t *testing.T, c clienttest.Config) *clienttest.Gateway {
	l, p, err := clienttest.Listen()
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Close() })
	c.Listener = l
	return startGateway(t, c)
}

func TestAutoFallsBackWhereUDPIsBlocked(t *testing.T) {
	g := silent(t, clienttest.Config{})
	const delay = 30 * time.Millisecond
	start := time.Now()
	c := dial(t, g, client.Options{FallbackDelay: delay})
	took := time.Since(start)
	assert.Equal(t, client.TCP, c.Info().Transport)
	assert.GreaterOrEqual(t, took, delay)
	require.NoError(t, c.Close())

	// What has worked is first the next time: with this delay QUIC would never end.
	c = dial(t, g, client.Options{FallbackDelay: patience})
	assert.Equal(t, client.TCP, c.Info().Transport)
}

func TestAutoFallsBackAtOnceWhereUDPIsRefused(t *testing.T) {
	if !refusalsAreHeard {
		t.Skip("here a refusal is silence")
	}
	g := startGateway(t, clienttest.Config{})
	c := dial(t, g, client.Options{FallbackDelay: patience})
	assert.Equal(t, client.TCP, c.Info().Transport)
}

func TestAutoTriesBothWhenReconnecting(t *testing.T) {
	sessions := make(chan *clienttest.Session, 4)
	opened := func(s *clienttest.Session) { sessions <- s }
	l, p, err := clienttest.Listen()
	require.NoError(t, err)
	g := startGateway(t, clienttest.Config{Listener: l, PacketConn: p, Opened: opened})
	heard := watch()
	// QUIC has all the time to be the first; when it is gone, its port refuses at once.
	c := dial(t, g, client.Options{OnState: heard.on, FallbackDelay: patience, Reconnect: client.Reconnect{Min: time.Millisecond}})
	heard.next(t, client.Opened)
	assert.Equal(t, client.QUIC, c.Info().Transport)

	g.StopQUIC()
	heard.next(t, client.Lost)
	for {
		if st := <-heard; st.Kind == client.Reopened {
			break
		}
	}
	assert.Equal(t, client.TCP, c.Info().Transport)
	require.NoError(t, c.Send(timeout(t), client.Reliable, 3, []byte("on")))
	assert.Equal(t, "on", string(receive(t, c).Payload))
}

func TestAutoTellsWhyEachFailed(t *testing.T) {
	l, p, err := clienttest.Listen()
	require.NoError(t, err)
	defer func() { _ = p.Close() }()
	_ = l.Close()
	err = dialFails(t, client.PhaseConnect, l.Addr().String(), client.Options{
		FallbackDelay: time.Millisecond, OpenTimeout: 2 * time.Second,
	})
	var d *client.DialError
	require.ErrorAs(t, err, &d)
	assert.Equal(t, client.Auto, d.Transport)
	require.Len(t, d.Attempts, 2)
	assert.Equal(t, client.QUIC, d.Attempts[0].Transport)
	assert.ErrorIs(t, d.Attempts[0], context.DeadlineExceeded)
	assert.Equal(t, client.TCPUDP, d.Attempts[1].Transport)
	assert.ErrorIs(t, d.Attempts[1], syscall.ECONNREFUSED)
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
	assert.ErrorContains(t, err, "quic: connect: not done within 2s")
	assert.ErrorContains(t, err, "; and tcp+udp: connect: ")
}

// Falling back from a server that could not be verified would hide it.
func TestAutoDoesNotHideAWrongCertificate(t *testing.T) {
	right := startGateway(t, clienttest.Config{}) // TCP alone, with a certificate of its own
	_, p, err := clienttest.Listen()
	require.NoError(t, err)
	wrong := startGateway(t, clienttest.Config{PacketConn: p})
	_, err = client.Dial(timeout(t), right.Addr(), client.Options{Pin: right.Pin(), QUICAddr: p.LocalAddr().String(), FallbackDelay: patience})
	var v *client.VerifyError
	require.ErrorAs(t, err, &v)
	assert.Equal(t, wrong.Pin(), v.Fingerprint)
	var d *client.DialError
	require.ErrorAs(t, err, &d)
	assert.Equal(t, client.QUIC, d.Transport)
	assert.Empty(t, d.Attempts, "it is told once")
	assert.Zero(t, right.Accepted(), "TCP was dialled, too")
}

// A gateway that has answered is not asked again by another transport.
func TestAutoTakesARefusalForAnAnswer(t *testing.T) {
	var asked atomic.Int32
	g := startBoth(t, clienttest.Config{Hello: func(*straitv1.ClientHello, *straitv1.ServerHello) error {
		asked.Add(1)
		return transport.Reason{Code: transport.AuthFailed}
	}})
	err := dialFails(t, client.PhaseHello, g.Addr(), client.Options{Pin: g.Pin(), FallbackDelay: patience})
	assert.ErrorIs(t, err, transport.AuthFailed)
	assert.EqualValues(t, 1, asked.Load())
}

func TestAutoAsksForOneToken(t *testing.T) {
	var asked atomic.Int32
	g := silent(t, clienttest.Config{Hello: func(h *straitv1.ClientHello, _ *straitv1.ServerHello) error {
		if string(h.GetAuthToken()) != "me" {
			return transport.Reason{Code: transport.AuthFailed}
		}
		return nil
	}})
	c := dial(t, g, client.Options{FallbackDelay: time.Millisecond, Token: func(context.Context) ([]byte, error) {
		asked.Add(1)
		return []byte("me"), nil
	}})
	assert.Equal(t, client.TCP, c.Info().Transport)
	assert.EqualValues(t, 1, asked.Load())
}

// The transport that is late leaves no session behind: it says goodbye, or is never
// greeted.
func TestAutoEndsTheLateOne(t *testing.T) {
	held := make(chan struct{})
	closed := make(chan error, 1)
	g := startBoth(t, clienttest.Config{RawQUIC: func(conn *quicgo.Conn) {
		// The gateway keeps the client waiting for SERVER_HELLO.
		close(held)
		<-conn.Context().Done()
		closed <- context.Cause(conn.Context())
	}})
	c := dial(t, g, client.Options{
		FallbackDelay: time.Millisecond,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			<-held
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
		ListenPacket: func(_ context.Context, network string) (net.PacketConn, error) {
			return net.ListenPacket(network, ":0")
		},
	})
	assert.Equal(t, client.TCP, c.Info().Transport)
	select {
	case err := <-closed:
		var app *quicgo.ApplicationError
		require.ErrorAs(t, err, &app)
		assert.True(t, app.Remote)
		assert.EqualValues(t, transport.Normal, app.ErrorCode)
	case <-time.After(patience):
		require.FailNow(t, "the connection that was not used lives on")
	}
}

// Who takes TCP through a proxy does not want UDP to go around it.
func TestAutoWithAProxyIsTCP(t *testing.T) {
	g := startBoth(t, clienttest.Config{})
	var proxied atomic.Int32
	c := dial(t, g, client.Options{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		proxied.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}})
	assert.Equal(t, client.TCP, c.Info().Transport)
	assert.EqualValues(t, 1, proxied.Load())
	assert.Zero(t, g.AcceptedQUIC())
}

func TestDialStopsWhenAsked(t *testing.T) {
	g := silent(t, clienttest.Config{})
	for _, o := range []client.Transport{client.QUIC, client.Auto} {
		ctx, cancel := context.WithCancelCause(context.Background())
		enough := errors.New("enough")
		time.AfterFunc(20*time.Millisecond, func() { cancel(enough) })
		_, err := client.Dial(ctx, g.Addr(), client.Options{Transport: o, Pin: g.Pin(), FallbackDelay: patience})
		assert.ErrorIs(t, err, enough, o.String())
	}
}
