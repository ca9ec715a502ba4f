package client_test

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/client/clienttest"
	"strait/proto/straitv1"
	"strait/transport"
)

// narrows is a router on loopback that loses what is longer than its limit. Each address
// of a client is another one for the gateway.
type narrows struct {
	inside  *net.UDPConn
	gateway netip.AddrPort
	limit   atomic.Int64 // bytes of UDP; 0: any
	running sync.WaitGroup

	mu       sync.Mutex
	outsides map[netip.AddrPort]*net.UDPConn
}

func newNarrows(t testing.TB, gateway string) *narrows {
	inside, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	n := &narrows{inside: inside, gateway: netip.MustParseAddrPort(gateway), outsides: make(map[netip.AddrPort]*net.UDPConn)}
	n.running.Go(n.out)
	t.Cleanup(func() {
		_ = inside.Close()
		n.mu.Lock()
		for _, o := range n.outsides {
			_ = o.Close()
		}
		n.mu.Unlock()
		n.running.Wait()
	})
	return n
}

func (n *narrows) passes(k int) bool {
	limit := int(n.limit.Load())
	return limit == 0 || k <= limit
}

func (n *narrows) out() {
	b := make([]byte, 2048)
	for {
		k, from, err := n.inside.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		if o := n.outside(from); o != nil && n.passes(k) {
			_, _ = o.WriteToUDPAddrPort(b[:k], n.gateway)
		}
	}
}

// outside is what a client is for the gateway.
func (n *narrows) outside(of netip.AddrPort) *net.UDPConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	if o := n.outsides[of]; o != nil {
		return o
	}
	o, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil
	}
	n.outsides[of] = o
	n.running.Go(func() {
		b := make([]byte, 2048)
		for {
			k, _, err := o.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if n.passes(k) {
				_, _ = n.inside.WriteToUDPAddrPort(b[:k], of)
			}
		}
	})
	return o
}

// A session that moves to a path which carries less refuses what does not fit there; 1100
// bytes fit everywhere.
func TestQUICPathThatCarriesLess(t *testing.T) {
	const less = 1300
	g := startBoth(t, clienttest.Config{Hello: func(_ *straitv1.ClientHello, s *straitv1.ServerHello) error {
		s.MaxUnreliableBytes = 10000
		return nil
	}})
	n := newNarrows(t, g.Addr())
	c := dial(t, g, client.Options{Transport: client.QUIC, QUICAddr: n.inside.LocalAddr().String()})
	most := func() int { return c.Info().MaxUnreliable }
	var echoed [256]atomic.Int64 // by channel
	go func() {
		for {
			m, err := c.Receive(t.Context())
			if err != nil {
				return
			}
			echoed[m.Channel].Add(1)
		}
	}()
	sends := func(channel uint8, size int) error {
		err := c.Send(timeout(t), client.Unreliable, channel, make([]byte, size))
		_, lost := c.Ping(timeout(t)) // else a newer one may take its place
		require.NoError(t, lost)
		return err
	}
	require.Eventually(t, func() bool {
		now := most()
		channel := uint8(0)
		if now > less {
			channel = 1
		}
		require.NoError(t, sends(channel, now))
		return echoed[1].Load() > 0
	}, patience, 20*time.Millisecond, "nobody has found what the first path carries")
	wide := most()

	n.limit.Store(less)
	require.NoError(t, c.Rebind(timeout(t)))
	require.Eventually(t, func() bool { return sends(2, wide) != nil }, patience, time.Millisecond,
		"the first ones that are too long are what shows it")
	const rounds = 50
	for range rounds {
		require.NoError(t, sends(3, 1100))
		var large *transport.TooLargeError
		require.ErrorAs(t, sends(2, wide), &large)
		assert.Equal(t, transport.Unreliable, large.Delivery)
		assert.GreaterOrEqual(t, large.Max, 1100)
		assert.Less(t, large.Max, less)
	}
	require.NoError(t, sends(4, most()))
	arrived := func(channel uint8, n int64) {
		assert.Eventually(t, func() bool { return echoed[channel].Load() == n }, patience, time.Millisecond, "channel %d", channel)
	}
	arrived(3, rounds)
	arrived(4, 1)
	assert.Zero(t, echoed[2].Load())
}
