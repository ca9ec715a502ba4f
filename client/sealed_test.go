package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/client/clienttest"
	"strait/proto/straitv1"
	"strait/transport"
)

// bind dials g by TCP with a lane, and waits until that is bound.
func bind(t *testing.T, g *clienttest.Gateway, o client.Options) (*client.Client, states) {
	t.Helper()
	heard := watch()
	o.Transport, o.OnState = client.TCPUDP, heard.on
	c := dial(t, g, o)
	heard.next(t, client.Opened)
	heard.next(t, client.LaneBound)
	return c, heard
}

// exchange sends an unreliable message until it comes back.
func exchange(t *testing.T, c *client.Client, channel uint8, payload []byte) {
	t.Helper()
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		require.NoError(t, c.Send(context.Background(), client.Unreliable, channel, payload))
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		m, err := c.Receive(ctx)
		require.NoError(t, err)
		assert.Equal(t, client.Unreliable, m.Delivery)
		assert.Equal(t, channel, m.Channel)
		assert.True(t, bytes.Equal(payload, m.Payload), "%d bytes, not %d", len(m.Payload), len(payload))
	}, patience, time.Millisecond)
}

func TestLaneCarriesUnreliableMessages(t *testing.T) {
	g := startGateway(t, clienttest.Config{UDP: true})
	c, _ := bind(t, g, client.Options{})
	info := c.Info()
	assert.Equal(t, client.TCPUDP, info.Transport)
	assert.True(t, info.Lane.Bound)
	assert.Equal(t, "127.0.0.1", info.Lane.Remote.Addr().String())
	assert.NotEqual(t, info.Remote.Port(), info.Lane.Remote.Port())
	assert.Greater(t, info.MaxUnreliable, 10000, "longer messages go in pieces")

	exchange(t, c, 3, []byte("where I am"))
	exchange(t, c, 4, bytes.Repeat([]byte("piece"), 600))
	exchange(t, c, 5, nil)
	require.Eventually(t, func() bool { return c.Info().Lane.RTT > 0 }, patience, time.Millisecond)
	require.NoError(t, c.Send(timeout(t), client.Reliable, 0, []byte("by TCP")))
	for m := receive(t, c); m.Delivery != client.Reliable; m = receive(t, c) {
	}
}

// Many queued messages share datagrams, and none is lost on the way to the socket.
func TestLanePacksMessages(t *testing.T) {
	var mu sync.Mutex
	got := map[string]bool{}
	g := startGateway(t, clienttest.Config{UDP: true, Message: func(_ *clienttest.Session, _ transport.Delivery, _ uint8, p []byte) {
		mu.Lock()
		got[string(p)] = true
		mu.Unlock()
	}})
	c, _ := bind(t, g, client.Options{})
	const n = 300
	for i := range n {
		require.NoError(t, c.Send(timeout(t), client.Unreliable, uint8(i), fmt.Append(nil, i)))
	}
	assert.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(got) == n }, patience, time.Millisecond)
}

func TestLaneWithoutAnOffer(t *testing.T) {
	g := startGateway(t, clienttest.Config{})
	c := dial(t, g, client.Options{Transport: client.TCPUDP})
	exchange(t, c, 0, []byte("by TCP"))
	assert.Equal(t, client.TCP, c.Info().Transport)
	assert.ErrorIs(t, c.Rebind(timeout(t)), errors.ErrUnsupported)
}

func TestLaneIsAskedForOnlyWhereWanted(t *testing.T) {
	asked := make(chan bool, 2)
	g := startGateway(t, clienttest.Config{UDP: true, Hello: func(h *straitv1.ClientHello, _ *straitv1.ServerHello) error {
		asked <- h.GetWantUdp() && len(h.GetUdpAeads()) == 2
		return nil
	}})
	c := dial(t, g, client.Options{Transport: client.TCP})
	assert.False(t, <-asked)
	require.NoError(t, c.Close())
	dial(t, g, client.Options{Transport: client.TCPUDP})
	assert.True(t, <-asked)
}

// Every form of the offer's address is understood.
func TestLaneAddresses(t *testing.T) {
	for _, host := range []string{"", "127.0.0.1", "localhost"} {
		g := startGateway(t, clienttest.Config{UDP: true, Hello: func(_ *straitv1.ClientHello, s *straitv1.ServerHello) error {
			_, port, err := net.SplitHostPort(s.GetUdp().GetAddress())
			s.Udp.Address = net.JoinHostPort(host, port)
			return err
		}})
		c, _ := bind(t, g, client.Options{})
		exchange(t, c, 0, []byte(host))
	}
}

// Where UDP vanishes messages go by the stream from the start, and a later offer
// finds the way.
func TestLaneThatIsBlocked(t *testing.T) {
	hole, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = hole.Close() }()
	sessions := make(chan *clienttest.Session, 1)
	g := startGateway(t, clienttest.Config{
		UDP: true, Opened: func(s *clienttest.Session) { sessions <- s },
		Hello: func(_ *straitv1.ClientHello, s *straitv1.ServerHello) error {
			s.Udp.Address = hole.LocalAddr().String()
			return nil
		},
	})
	heard := watch()
	c := dial(t, g, client.Options{Transport: client.TCPUDP, OnState: heard.on})
	heard.next(t, client.Opened)
	exchange(t, c, 0, []byte("by TCP"))
	assert.Equal(t, client.TCP, c.Info().Transport)
	var large *transport.TooLargeError
	assert.ErrorAs(t, c.Send(timeout(t), client.Unreliable, 0, make([]byte, 3000)), &large)

	require.True(t, (<-sessions).OfferLane())
	heard.next(t, client.LaneBound)
	exchange(t, c, 0, make([]byte, 3000))
}

// A lane that ends leaves its messages to the stream at once, and the next offer
// binds again.
func TestLaneThatIsLost(t *testing.T) {
	sessions := make(chan *clienttest.Session, 1)
	g := startGateway(t, clienttest.Config{UDP: true, Opened: func(s *clienttest.Session) { sessions <- s }})
	c, heard := bind(t, g, client.Options{})
	s := <-sessions
	require.True(t, s.OfferLane())
	for range 2 { // in which order depends on whether CLOSE or UDP_OFFER is first
		if st := <-heard; st.Kind == client.LaneBound {
			break
		}
	}
	exchange(t, c, 0, []byte("again"))

	g.StopUDP()
	assert.Error(t, heard.next(t, client.LaneLost).Err)
	assert.Equal(t, client.TCP, c.Info().Transport)
	assert.Zero(t, c.Info().Lane.Remote)
	exchange(t, c, 0, []byte("by TCP"))
}

func TestLaneMoves(t *testing.T) {
	var mu sync.Mutex
	var sockets []*breakable
	g := startGateway(t, clienttest.Config{UDP: true})
	c, _ := bind(t, g, client.Options{
		ListenPacket: func(_ context.Context, network string) (net.PacketConn, error) {
			p, err := net.ListenPacket(network, "127.0.0.1:0")
			b := &breakable{PacketConn: p}
			mu.Lock()
			defer mu.Unlock()
			sockets = append(sockets, b)
			return b, err
		},
	})
	exchange(t, c, 0, []byte("here"))
	require.NoError(t, c.Rebind(timeout(t)))
	assert.EqualValues(t, 1, c.Info().Lane.Moves)
	exchange(t, c, 0, []byte("there"))

	// A socket that has lost its network is replaced, if not again within a second.
	mu.Lock()
	last := sockets[len(sockets)-1]
	mu.Unlock()
	last.broken.Store(true)
	require.Eventually(t, func() bool {
		_ = c.Send(context.Background(), client.Unreliable, 0, []byte("anybody?"))
		return c.Info().Lane.Moves == 2
	}, patience, 10*time.Millisecond)
	exchange(t, c, 1, []byte("elsewhere"))
	require.NoError(t, c.Close())
	for _, s := range sockets {
		assert.ErrorIs(t, s.SetDeadline(time.Now()), net.ErrClosed, "a socket was left open")
	}
}

// breakable is a socket whose network goes away.
type breakable struct {
	net.PacketConn
	broken atomic.Bool
}

func (b *breakable) WriteTo(p []byte, to net.Addr) (int, error) {
	if b.broken.Load() {
		return 0, &net.OpError{Op: "write", Err: syscall.ENETUNREACH}
	}
	return b.PacketConn.WriteTo(p, to)
}

func TestOffersThatMakeNoSenseEndTheClient(t *testing.T) {
	for text, spoil := range map[string]func(*straitv1.UdpOffer){
		"cid":    func(o *straitv1.UdpOffer) { o.Cid = o.Cid[1:] },
		"secret": func(o *straitv1.UdpOffer) { o.Secret = nil },
		"reset":  func(o *straitv1.UdpOffer) { o.ResetValue = make([]byte, 17) },
		"token":  func(o *straitv1.UdpOffer) { o.Token = make([]byte, 257) },
		"epoch":  func(o *straitv1.UdpOffer) { o.Epoch = 256 },
	} {
		g := startGateway(t, clienttest.Config{UDP: true, Hello: func(_ *straitv1.ClientHello, s *straitv1.ServerHello) error {
			spoil(s.Udp)
			return nil
		}})
		err := dialFails(t, client.PhaseHello, g.Addr(), client.Options{Transport: client.TCPUDP, Pin: g.Pin()})
		assert.ErrorIs(t, err, transport.ProtocolError)
		assert.ErrorContains(t, err, text)
	}
}

// An offer that cannot be used costs the lane alone.
func TestOffersThatCannotBeUsed(t *testing.T) {
	for _, address := range []string{"no address", "127.0.0.1:65536"} {
		t.Run(address, func(t *testing.T) {
			g := startGateway(t, clienttest.Config{UDP: true, Hello: func(_ *straitv1.ClientHello, s *straitv1.ServerHello) error {
				s.Udp.Address = address
				return nil
			}})
			c := dial(t, g, client.Options{Transport: client.TCPUDP})
			exchange(t, c, 0, []byte("by TCP"))
		})
	}
}
