package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/client/clienttest"
	"strait/proto/straitv1"
	"strait/proto/wire"
	"strait/transport"
)

// startBoth starts a gateway that speaks TCP and QUIC at one port number.
func startBoth(t testing.TB, c clienttest.Config) *clienttest.Gateway {
	t.Helper()
	l, p, err := clienttest.Listen()
	require.NoError(t, err)
	c.Listener, c.PacketConn = l, p
	return startGateway(t, c)
}

func TestQUICEchoesEveryClassAndChannel(t *testing.T) {
	g := startBoth(t, clienttest.Config{})
	c := dial(t, g, client.Options{Transport: client.QUIC})
	info := c.Info()
	assert.Equal(t, client.QUIC, info.Transport)
	assert.Equal(t, g.Addr(), info.Remote.String())
	assert.Equal(t, g.Pin(), info.Certificate)
	assert.NotZero(t, info.Opening.Connect)
	assert.Zero(t, info.Opening.TLS)
	assert.Zero(t, g.Accepted(), "TCP was dialled, too")

	const each = 50
	for i := range each {
		for _, ch := range []uint8{0, 1, 255} {
			require.NoError(t, c.Send(timeout(t), client.Reliable, ch, fmt.Appendf(nil, "%d", i)))
		}
	}
	next := map[uint8]int{}
	for range 3 * each {
		m := receive(t, c)
		require.Equal(t, client.Reliable, m.Delivery)
		require.Equal(t, fmt.Sprint(next[m.Channel]), string(m.Payload), "channel %d", m.Channel)
		next[m.Channel]++
	}
	// A datagram may be lost, even here; a game would send the next one anyway.
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		require.NoError(t, c.Send(context.Background(), client.Unreliable, 7, []byte("where I am")))
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		m, err := c.Receive(ctx)
		require.NoError(t, err)
		assert.Equal(t, client.Unreliable, m.Delivery)
		assert.Equal(t, uint8(7), m.Channel)
	}, patience, time.Millisecond)
	assert.Positive(t, c.Info().RTT)
}

// Over QUIC, too, a Ping is a PING with bytes of its own, answered by its PONG, however
// many are under way.
func TestQUICPingIsAnsweredByTheGateway(t *testing.T) {
	c := dial(t, startBoth(t, clienttest.Config{}), client.Options{Transport: client.QUIC})
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 10 {
				rtt, err := c.Ping(timeout(t))
				if !assert.NoError(t, err) || !assert.Positive(t, rtt) || !assert.Less(t, rtt, patience) {
					return
				}
			}
		})
	}
	work.Wait()
}

// Without DATAGRAM frames the gateway hears of none, and unreliable messages take the
// control stream in both directions, which loses nothing.
func TestQUICWithoutDatagrams(t *testing.T) {
	o := client.Options{Transport: client.QUIC, NoDatagrams: true}
	t.Run("echo", func(t *testing.T) {
		g := startBoth(t, clienttest.Config{Hello: func(_ *straitv1.ClientHello, s *straitv1.ServerHello) error {
			s.MaxUnreliableBytes = 10000
			return nil
		}})
		c := dial(t, g, o)
		assert.Equal(t, client.QUIC, c.Info().Transport)
		assert.Equal(t, 10000, c.Info().MaxUnreliable, "a stream carries what the gateway allows")
		for i := range 50 {
			text := fmt.Sprintf("%d%09000d", i, 0)
			require.NoError(t, c.Send(timeout(t), client.Unreliable, 7, []byte(text)))
			m := receive(t, c)
			require.Equal(t, client.Unreliable, m.Delivery)
			require.Equal(t, uint8(7), m.Channel)
			require.Equal(t, text, string(m.Payload))
		}
	})
	t.Run("frames", func(t *testing.T) {
		type seen struct {
			remote bool
			frame  wire.Header
		}
		frames := make(chan seen, 1)
		g := startBoth(t, clienttest.Config{RawQUIC: func(conn *quicgo.Conn) {
			control, err := conn.AcceptStream(context.Background())
			if err != nil {
				return
			}
			f := quicFrames{control}
			if _, _, err := f.frame(); err != nil {
				return
			}
			_, _ = control.Write(wire.AppendFrame(nil, wire.ServerHello, 0, marshal(t, goodHello())))
			if h, _, err := f.frame(); err == nil {
				frames <- seen{conn.ConnectionState().SupportsDatagrams.Remote, h}
			}
		}})
		o := o
		o.Pin, o.Reconnect.Off = g.Pin(), true
		c, err := client.Dial(timeout(t), g.Addr(), o)
		require.NoError(t, err)
		defer func() { _ = c.Close() }()
		require.NoError(t, c.Send(timeout(t), client.Unreliable, 7, []byte("where I am")))
		select {
		case got := <-frames:
			assert.False(t, got.remote, "max_datagram_frame_size was offered")
			assert.Equal(t, wire.DataUnreliable, got.frame.Type)
			assert.Equal(t, uint8(7), got.frame.Channel)
		case <-timeout(t).Done():
			require.Fail(t, "nothing came on the control stream")
		}
	})
}

// What a datagram cannot carry is refused, not cut or sent by a stream.
func TestQUICRefusesWhatNoDatagramCarries(t *testing.T) {
	g := startBoth(t, clienttest.Config{Hello: func(_ *straitv1.ClientHello, s *straitv1.ServerHello) error {
		s.MaxUnreliableBytes = 10000
		return nil
	}})
	c := dial(t, g, client.Options{Transport: client.QUIC})
	most := c.Info().MaxUnreliable
	assert.GreaterOrEqual(t, most, 1100)
	assert.Less(t, most, 10000)
	var large *transport.TooLargeError
	err := c.Send(timeout(t), client.Unreliable, 0, make([]byte, 9000))
	require.ErrorAs(t, err, &large)
	assert.Equal(t, transport.Unreliable, large.Delivery)
	require.NoError(t, c.Send(timeout(t), client.Unreliable, 0, make([]byte, 1100)))
}

// Everything that was sent before the end arrives, in both directions, whoever ends.
func TestQUICLosesNothingAtTheEnd(t *testing.T) {
	const n = 200
	t.Run("the client's", func(t *testing.T) {
		got := make(chan string, 2*n)
		closed := make(chan transport.Reason, 1)
		g := startBoth(t, clienttest.Config{
			Message: func(_ *clienttest.Session, _ transport.Delivery, ch uint8, p []byte) {
				got <- fmt.Sprint(ch, string(p))
			},
			Closed: func(_ *clienttest.Session, r transport.Reason) { closed <- r },
		})
		c := dial(t, g, client.Options{Transport: client.QUIC})
		for i := range n {
			require.NoError(t, c.Send(timeout(t), client.Reliable, uint8(i%2), fmt.Append(nil, i)))
		}
		require.NoError(t, c.Close())
		assert.Equal(t, transport.Normal, (<-closed).Code)
		assert.Len(t, got, n)
	})
	t.Run("the gateway's", func(t *testing.T) {
		g := startBoth(t, clienttest.Config{Opened: func(s *clienttest.Session) {
			for i := range n {
				s.Send(transport.Reliable, uint8(i%2), fmt.Append(nil, i))
			}
			s.Close(transport.Reason{Code: transport.Kicked, Text: "enough"})
		}})
		c := dial(t, g, client.Options{Transport: client.QUIC})
		for range n {
			receive(t, c)
		}
		_, err := c.Receive(timeout(t))
		assert.ErrorIs(t, err, transport.Kicked)
		assert.ErrorContains(t, err, "enough")
	})
}

func TestQUICFullInboxStopsTheGateway(t *testing.T) {
	g := startBoth(t, clienttest.Config{})
	c := dial(t, g, client.Options{Transport: client.QUIC, ReceiveBufferBytes: 4096})
	const n = 100
	go func() {
		for i := range n {
			_ = c.Send(context.Background(), client.Reliable, uint8(i%3), make([]byte, 1000))
		}
	}()
	for range n {
		receive(t, c)
	}
}

func TestQUICComesBack(t *testing.T) {
	sessions := make(chan *clienttest.Session, 2)
	g := startBoth(t, clienttest.Config{Opened: func(s *clienttest.Session) { sessions <- s }})
	heard := watch()
	c := dial(t, g, client.Options{
		Transport: client.QUIC, OnState: heard.on, Reconnect: client.Reconnect{Min: time.Millisecond},
	})
	heard.next(t, client.Opened)
	(<-sessions).Close(transport.Reason{Code: transport.Draining})
	heard.next(t, client.Lost)
	heard.next(t, client.Reconnecting)
	heard.next(t, client.Reopened)
	assert.Equal(t, client.QUIC, c.Info().Transport)
}

// rawQUIC is the gateway's control stream, frame by frame.
func rawQUIC(t *testing.T, next func(conn *quicgo.Conn, control *quicgo.Stream)) func(*quicgo.Conn) {
	hello := marshal(t, goodHello())
	return func(conn *quicgo.Conn) {
		control, err := conn.AcceptStream(context.Background())
		if err != nil {
			return
		}
		c := quicFrames{control}
		if _, _, err := c.frame(); err != nil {
			return
		}
		_, _ = control.Write(wire.AppendFrame(nil, wire.ServerHello, 0, hello))
		if _, _, err := c.frame(); err != nil { // a message: the client has read that
			return
		}
		next(conn, control)
		for {
			h, _, err := c.frame()
			if h.Type == wire.Close {
				_ = control.Close()
			}
			if err != nil {
				break
			}
		}
		<-conn.Context().Done()
	}
}

func TestQUICBreachesEndTheClient(t *testing.T) {
	uni := func(conn *quicgo.Conn, b []byte) {
		s, err := conn.OpenUniStream()
		if err == nil {
			_, _ = s.Write(b)
		}
	}
	for text, breach := range map[string]func(*quicgo.Conn, *quicgo.Stream){
		"0x53": func(conn *quicgo.Conn, _ *quicgo.Stream) { uni(conn, []byte{0x54, 1}) },
		"DATA alone": func(conn *quicgo.Conn, _ *quicgo.Stream) {
			uni(conn, wire.AppendFrame([]byte{0x53, 1}, wire.Ping, 0, []byte("nonce123")))
		},
		"of channel 2": func(conn *quicgo.Conn, _ *quicgo.Stream) {
			uni(conn, wire.AppendFrame([]byte{0x53, 1}, wire.Data, 2, nil))
		},
		"a second":       func(conn *quicgo.Conn, _ *quicgo.Stream) { uni(conn, []byte{0x53, 1}); uni(conn, []byte{0x53, 1}) },
		"reset the cont": func(_ *quicgo.Conn, control *quicgo.Stream) { control.CancelWrite(1) },
	} {
		t.Run(text, func(t *testing.T) {
			ended := make(chan error, 1)
			g := startBoth(t, clienttest.Config{RawQUIC: rawQUIC(t, func(conn *quicgo.Conn, control *quicgo.Stream) {
				context.AfterFunc(conn.Context(), func() { ended <- context.Cause(conn.Context()) })
				breach(conn, control)
			})})
			c := dial(t, g, client.Options{Transport: client.QUIC})
			_ = c.Send(timeout(t), client.Reliable, 0, []byte("go on"))
			<-c.Done()
			assert.ErrorIs(t, c.Err(), transport.ProtocolError)
			assert.ErrorContains(t, c.Err(), text)
			var app *quicgo.ApplicationError
			require.ErrorAs(t, <-ended, &app)
			assert.EqualValues(t, transport.ProtocolError, app.ErrorCode)
			assert.True(t, app.Remote)
		})
	}
}

// A code without CLOSE says why, too.
func TestQUICApplicationErrorIsTheReason(t *testing.T) {
	g := startBoth(t, clienttest.Config{RawQUIC: rawQUIC(t, func(conn *quicgo.Conn, _ *quicgo.Stream) {
		_ = conn.CloseWithError(quicgo.ApplicationErrorCode(transport.Kicked), "out")
	})})
	c := dial(t, g, client.Options{Transport: client.QUIC})
	_ = c.Send(timeout(t), client.Reliable, 0, []byte("go on"))
	<-c.Done()
	assert.ErrorIs(t, c.Err(), transport.Kicked)
	assert.ErrorContains(t, c.Err(), "out")
}

func TestQUICRefusalsAreTold(t *testing.T) {
	g := startBoth(t, clienttest.Config{Hello: func(*straitv1.ClientHello, *straitv1.ServerHello) error {
		return transport.Reason{Code: transport.AuthFailed, Text: "who are you"}
	}})
	err := dialFails(t, client.PhaseHello, g.Addr(), client.Options{Transport: client.QUIC, Pin: g.Pin()})
	assert.ErrorIs(t, err, transport.AuthFailed)
	assert.ErrorContains(t, err, "quic: hello")
}

func TestQUICWithoutAGateway(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		l, p, err := clienttest.Listen()
		require.NoError(t, err)
		_ = l.Close()
		_ = p.Close()
		err = dialFails(t, client.PhaseConnect, l.Addr().String(), client.Options{Transport: client.QUIC, OpenTimeout: 2 * time.Second})
		if refusalsAreHeard { // which is not the end of OpenTimeout
			assert.ErrorIs(t, err, syscall.ECONNREFUSED)
			assert.ErrorContains(t, err, "nothing listens there")
		}
	})
	t.Run("silent", func(t *testing.T) {
		_, p, err := clienttest.Listen()
		require.NoError(t, err)
		defer func() { _ = p.Close() }()
		err = dialFails(t, client.PhaseConnect, p.LocalAddr().String(), client.Options{Transport: client.QUIC, OpenTimeout: 50 * time.Millisecond})
		assert.ErrorContains(t, err, "not done within 50ms")
	})
	t.Run("no such name", func(t *testing.T) {
		dialFails(t, client.PhaseResolve, "no name:7777", client.Options{Transport: client.QUIC, OpenTimeout: 2 * time.Second})
	})
}

func TestQUICVerifiesTheServer(t *testing.T) {
	g := startBoth(t, clienttest.Config{})
	for name, o := range map[string]client.Options{
		"pin":   {Pin: fmt.Sprintf("%064x", 1)},
		"roots": {},
		"name":  {RootCAs: g.Roots(), ServerName: "play.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			o.Transport = client.QUIC
			err := dialFails(t, client.PhaseTLS, g.Addr(), o)
			var v *client.VerifyError
			require.ErrorAs(t, err, &v)
			assert.Equal(t, g.Pin(), v.Fingerprint)
			assert.Equal(t, name == "pin", v.Pinned)
		})
	}
	c, err := client.Dial(timeout(t), g.Addr(), client.Options{Transport: client.QUIC, RootCAs: g.Roots()})
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

func TestQUICNeedsTheProtocol(t *testing.T) {
	g := startBoth(t, clienttest.Config{TLS: func(c *tls.Config) { c.NextProtos = []string{"h3"} }})
	dialFails(t, client.PhaseTLS, g.Addr(), client.Options{Transport: client.QUIC, Pin: g.Pin()})
}

// The session goes on over another socket, and nothing is lost.
func TestQUICRebinds(t *testing.T) {
	var sockets []net.PacketConn
	g := startBoth(t, clienttest.Config{})
	c := dial(t, g, client.Options{
		Transport:    client.QUIC,
		ListenPacket: keeping(&sockets),
	})
	before := c.Session()
	for i := range 2 {
		require.NoError(t, c.Rebind(timeout(t)))
		require.Len(t, sockets, i+2)
		require.NoError(t, c.Send(timeout(t), client.Reliable, uint8(i), []byte("still here")))
		assert.Equal(t, "still here", string(receive(t, c).Payload))
		assert.True(t, open(t, sockets[i]), "what is on its way to the socket that was left is lost")
	}
	assert.Equal(t, before, c.Session())
	require.NoError(t, c.Close())
	for _, s := range sockets {
		assert.ErrorIs(t, s.SetDeadline(time.Now()), net.ErrClosed, "a socket was left open")
	}
	assert.ErrorIs(t, c.Rebind(timeout(t)), net.ErrClosed)
}

// open reports whether a socket of a test was not closed.
func open(t testing.TB, p net.PacketConn) bool {
	raw, err := p.(*net.UDPConn).SyscallConn()
	require.NoError(t, err)
	return raw.Control(func(uintptr) {}) == nil
}

// A session that moves again and again takes neither sockets nor Transports with it, and
// neither end runs out of connection IDs.
func TestQUICRebindsManyTimes(t *testing.T) {
	var sockets []net.PacketConn
	g := startBoth(t, clienttest.Config{})
	c := dial(t, g, client.Options{Transport: client.QUIC, ListenPacket: keeping(&sockets)})
	c.PartAfter(20 * time.Millisecond)
	before := c.Session()
	for i := range 10 {
		require.NoError(t, c.Rebind(timeout(t)), "move %d", i+1)
		for _, d := range []transport.Delivery{client.Reliable, client.Unreliable} {
			require.NoError(t, c.Send(timeout(t), d, uint8(i), []byte("still here")))
			assert.Equal(t, "still here", string(receive(t, c).Payload))
		}
		parts(t, sockets)
	}
	assert.Equal(t, before, c.Session())
	assert.Equal(t, 2, c.Transports())
}

// keeping is an Options.ListenPacket that appends what it makes to sockets.
func keeping(sockets *[]net.PacketConn) func(context.Context, string) (net.PacketConn, error) {
	return func(_ context.Context, network string) (net.PacketConn, error) {
		p, err := net.ListenPacket(network, "127.0.0.1:0")
		*sockets = append(*sockets, p)
		return p, err
	}
}

// parts waits until all sockets but the last are closed.
func parts(t testing.TB, sockets []net.PacketConn) {
	t.Helper()
	last := len(sockets) - 1
	require.Eventually(t, func() bool {
		return !slices.ContainsFunc(sockets[:last], func(p net.PacketConn) bool { return open(t, p) })
	}, patience, time.Millisecond, "a socket that was left is open")
	require.True(t, open(t, sockets[last]))
}

// A client that has nothing to say has moved all the same: what the gateway sends when the
// old socket is closed reaches it.
func TestQUICRebindsInSilence(t *testing.T) {
	var sockets []net.PacketConn
	sessions := make(chan *clienttest.Session, 1)
	g := startBoth(t, clienttest.Config{Opened: func(s *clienttest.Session) { sessions <- s }})
	c := dial(t, g, client.Options{Transport: client.QUIC, ListenPacket: keeping(&sockets)})
	s := <-sessions
	c.PartAfter(20 * time.Millisecond)
	for i := range 3 {
		require.NoError(t, c.Rebind(timeout(t)))
		parts(t, sockets)
		s.Send(client.Unreliable, uint8(i), []byte("where are you?"))
		assert.Equal(t, "where are you?", string(receive(t, c).Payload))
	}
}

// A socket that is no *net.UDPConn cannot be taken from quic-go: it stays until the end.
func TestQUICRebindsOverOtherSockets(t *testing.T) {
	type other struct{ net.PacketConn }
	var sockets []net.PacketConn
	listen := keeping(&sockets)
	g := startBoth(t, clienttest.Config{})
	c := dial(t, g, client.Options{Transport: client.QUIC, ListenPacket: func(ctx context.Context, network string) (net.PacketConn, error) {
		p, err := listen(ctx, network)
		return other{p}, err
	}})
	c.PartAfter(time.Millisecond)
	for i := range 4 {
		require.NoError(t, c.Rebind(timeout(t)))
		require.NoError(t, c.Send(timeout(t), client.Reliable, uint8(i), []byte("still here")))
		assert.Equal(t, "still here", string(receive(t, c).Payload))
	}
	require.NoError(t, c.Close())
	for _, s := range sockets {
		assert.False(t, open(t, s), "a socket was left open")
	}
}

func TestTCPCannotRebind(t *testing.T) {
	g := startGateway(t, clienttest.Config{})
	c := dial(t, g, client.Options{Transport: client.TCP})
	assert.ErrorIs(t, c.Rebind(timeout(t)), errors.ErrUnsupported)
}
