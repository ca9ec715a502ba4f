package e2e

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// relay is a piece of network between one client and a gateway, on loopback. What it
// loses is the test's choice, and it may change the address that the gateway sees.
type relay struct {
	t       testing.TB
	gateway *net.UDPAddr
	inside  *net.UDPConn
	client  atomic.Pointer[net.UDPAddr]
	// lose says what does not arrive; up is to the gateway. nil: nothing is lost.
	lose     atomic.Pointer[func(up bool, packet []byte) bool]
	up, down atomic.Int64 // bytes that arrived

	// guarded by mu
	mu  sync.Mutex
	out *net.UDPConn
	all []*net.UDPConn

	running sync.WaitGroup
}

func newRelay(t testing.TB, gateway *net.UDPAddr) *relay {
	t.Helper()
	r := &relay{t: t, gateway: gateway, inside: loopback(t)}
	r.rebind()
	r.running.Go(r.forward)
	t.Cleanup(func() {
		r.inside.Close()
		r.mu.Lock()
		for _, c := range r.all {
			c.Close()
		}
		r.mu.Unlock()
		r.running.Wait()
	})
	return r
}

func loopback(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	return c
}

// at is where the client sends to.
func (r *relay) at() net.Addr { return r.inside.LocalAddr() }

// outside is the address that the gateway sees.
func (r *relay) outside() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.LocalAddr().String()
}

// rebind takes another port, as a NAT does that has forgotten its client.
func (r *relay) rebind() {
	r.t.Helper()
	c := loopback(r.t)
	r.mu.Lock()
	r.out = c
	r.all = append(r.all, c)
	r.mu.Unlock()
	r.running.Go(func() { r.back(c) })
}

// loses replaces what is lost; nil is nothing.
func (r *relay) loses(f func(up bool, packet []byte) bool) {
	if f == nil {
		r.lose.Store(nil)
		return
	}
	r.lose.Store(&f)
}

func (r *relay) passes(up bool, packet []byte) bool {
	f := r.lose.Load()
	return f == nil || !(*f)(up, packet)
}

func (r *relay) forward() {
	b := make([]byte, 65536)
	for {
		n, from, err := r.inside.ReadFromUDP(b)
		if err != nil {
			return
		}
		r.client.Store(from)
		if r.passes(true, b[:n]) {
			r.mu.Lock()
			out := r.out
			r.mu.Unlock()
			r.up.Add(int64(n))
			_, _ = out.WriteToUDP(b[:n], r.gateway)
		}
	}
}

func (r *relay) back(c *net.UDPConn) {
	b := make([]byte, 65536)
	for {
		n, _, err := c.ReadFromUDP(b)
		if err != nil {
			return
		}
		r.down.Add(int64(n))
		r.mu.Lock()
		current := c == r.out
		r.mu.Unlock()
		if current && r.passes(false, b[:n]) {
			_, _ = r.inside.WriteToUDP(b[:n], r.client.Load())
		}
	}
}
