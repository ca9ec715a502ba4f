package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/transport"
)

// forger stands between the SDK and a gateway: what he sends to the client comes from
// the gateway's address.
type forger struct {
	conn     *net.UDPConn // the client's gateway
	upstream *net.UDPConn // the gateway's client
	client   atomic.Pointer[netip.AddrPort]
	cid      atomic.Pointer[[]byte]
	again    atomic.Bool // whatever passes does so three times
	passed   journal[[]byte]
}

func forges(t testing.TB) *forger {
	t.Helper()
	m := new(forger)
	var err error
	m.conn, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	t.Cleanup(func() { m.conn.Close() })
	return m
}

// between begins to pass datagrams on.
func (m *forger) between(t testing.TB, gateway string) {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", gateway)
	require.NoError(t, err)
	m.upstream, err = net.DialUDP("udp", nil, to)
	require.NoError(t, err)
	t.Cleanup(func() { m.upstream.Close() })
	times := func() int {
		if m.again.Load() {
			return 3
		}
		return 1
	}
	go func() {
		b := make([]byte, 65536)
		for {
			n, from, err := m.conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			m.client.Store(&from)
			if n >= 9 {
				cid := slices.Clone(b[1:9])
				m.cid.Store(&cid)
			}
			for range times() {
				_, _ = m.upstream.Write(b[:n])
			}
		}
	}()
	go func() {
		b := make([]byte, 65536)
		for {
			n, err := m.upstream.Read(b)
			if err != nil {
				return
			}
			m.passed.add(slices.Clone(b[:n]))
			for range times() {
				m.forge(b[:n])
			}
		}
	}()
}

// forge sends the client a datagram.
func (m *forger) forge(b []byte) {
	if to := m.client.Load(); to != nil {
		_, _ = m.conn.WriteToUDPAddrPort(b, *to)
	}
}

// A client whose gateway's datagrams are forged, changed and repeated: his lane stays
// bound, and what it carries he gets once.
func TestUDPForgedToTheClient(t *testing.T) {
	t.Parallel()
	m := forges(t)
	gw := serveUDP(t, fmt.Sprintf("STRAIT_UDP_ADVERTISE=:%d", m.conn.LocalAddr().(*net.UDPAddr).Port))
	m.between(t, gw.capture("the UDP address", listeningUDP))
	c, err := client.Dial(t.Context(), gw.addr, client.Options{Transport: client.TCPUDP, Pin: hex.EncodeToString(gw.pin)})
	require.NoError(t, err)
	defer c.Close()
	require.Eventually(t, func() bool { return c.Info().Lane.Bound }, patience, time.Millisecond)
	m.again.Store(true)
	cid, value := *m.cid.Load(), make([]byte, 16)
	packet := func(kind byte, epoch byte, parts ...[]byte) []byte {
		return append([]byte{byte0(epoch, kind)}, bytes.Join(parts, nil)...)
	}
	seen := make(map[string]int)
	receive := func(text string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for seen[text] == 0 {
			got, err := c.Receive(ctx)
			require.NoError(t, err, text)
			seen[string(got.Payload)]++
		}
	}
	for i := range 200 {
		_, _ = rand.Read(value)
		for k := range byte(2) {
			m.forge(packet(uReset, k, cid, value))
			m.forge(packet(uReset, k, cid, make([]byte, 16)))
			m.forge(packet(uReset, k, cid, value[:i%16]))
			m.forge(packet(uReset, k, value[:8], value))
			m.forge(packet(uRetry, k, cid, value, value[:8]))
			m.forge(packet(uData, k, value, value))
			m.forge(packet(uHello, k, cid, make([]byte, helloBytes-9)))
		}
		spoiled := slices.Clone(m.passed.all()[0])
		spoiled[i%len(spoiled)] ^= 1 << (i % 8)
		m.forge(spoiled)
		text := fmt.Sprintf("once %d", i)
		require.NoError(t, c.Send(t.Context(), transport.Unreliable, 3, []byte(text)))
		receive(text)
	}
	require.NoError(t, c.Send(t.Context(), transport.Reliable, 4, []byte("end")))
	receive("end")
	for text, n := range seen {
		assert.Equal(t, 1, n, text)
	}
	assert.True(t, c.Info().Lane.Bound)
	assert.EqualValues(t, 1, gw.metric("strait_udp_bindings_total"), "the lane was never lost")
}
