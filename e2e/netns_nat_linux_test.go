package e2e

import (
	"math"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// nat forwards the datagrams of one client behind it, and forgets who he was when
// the test wants it: then he has another address outside, and does not know.
type nat struct {
	t       testing.TB
	host    *host
	gateway netip.AddrPort
	inside  *net.UDPConn

	client atomic.Pointer[netip.AddrPort]
	mu     sync.Mutex
	out    *mapping
	all    []*mapping
	done   sync.WaitGroup
}

// mapping is one address that the client has outside.
type mapping struct {
	conn    *net.UDPConn
	in, out atomic.Int64 // bytes from and to the gateway
	worst   atomic.Int64 // how far in was ever ahead of out
	dead    atomic.Bool  // rebound: nothing comes through any more
}

// newNAT listens inside; outside it is bound by rebind.
func newNAT(t testing.TB, h *host, inside netip.Addr, gateway netip.AddrPort) *nat {
	t.Helper()
	n := &nat{t: t, host: h, gateway: gateway}
	h.in(func() {
		var err error
		n.inside, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(inside, 0)))
		require.NoError(t, err)
	})
	n.done.Go(n.forward)
	t.Cleanup(func() {
		n.inside.Close()
		n.mu.Lock()
		for _, m := range n.all {
			m.conn.Close()
		}
		n.mu.Unlock()
		n.done.Wait()
	})
	return n
}

// at is where clients send to.
func (n *nat) at() netip.AddrPort { return n.inside.LocalAddr().(*net.UDPAddr).AddrPort() }

// rebind gives the client a new port outside, on an address.
func (n *nat) rebind(outside netip.Addr) *mapping {
	n.t.Helper()
	m := new(mapping)
	m.worst.Store(math.MinInt64)
	n.host.in(func() {
		var err error
		m.conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(outside, 0)))
		require.NoError(n.t, err)
	})
	n.mu.Lock()
	if n.out != nil {
		n.out.dead.Store(true)
	}
	n.out = m
	n.all = append(n.all, m)
	n.mu.Unlock()
	n.done.Go(func() { n.back(m) })
	return m
}

func (n *nat) forward() {
	b := make([]byte, 65536)
	for {
		size, from, err := n.inside.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		n.client.Store(&from)
		n.mu.Lock()
		m := n.out
		n.mu.Unlock()
		m.out.Add(int64(size))
		_, _ = m.conn.WriteToUDPAddrPort(b[:size], n.gateway)
	}
}

func (n *nat) back(m *mapping) {
	b := make([]byte, 65536)
	for {
		size, _, err := m.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		ahead := m.in.Add(int64(size)) - m.out.Load()
		m.worst.Store(max(m.worst.Load(), ahead))
		if !m.dead.Load() {
			_, _ = n.inside.WriteToUDPAddrPort(b[:size], *n.client.Load())
		}
	}
}
