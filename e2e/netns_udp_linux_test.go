package e2e

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serveOn starts a gateway on a host, with game logic that echoes. Its admin
// endpoints are out of reach.
func serveOn(t testing.TB, h *host, address string, env ...string) (gw *process, game *logic) {
	t.Helper()
	h.in(func() {
		game = listenLogic(t)
		gw = serveUDP(t, game.env(append([]string{
			"STRAIT_TCP_ADDR=" + net.JoinHostPort(address, "7777"), "STRAIT_UDP_ADDR=" + net.JoinHostPort(address, "7778"),
		}, env...)...)...)
	})
	return gw, game
}

// A client with two addresses: the second one is challenged before it is used.
func TestOutsideNetnsRoaming(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	server := w.plug("10.77.0.1/24", "fd77::1/64")
	client := w.plug("10.77.0.2/24", "10.77.0.3/24", "fd77::2/64", "fd77::3/64")
	for _, c := range []struct{ gateway, home, away string }{{"10.77.0.1", "10.77.0.2", "10.77.0.3"}, {"fd77::1", "fd77::2", "fd77::3"}} {
		t.Run(c.gateway, func(t *testing.T) {
			gw, _ := serveOn(t, server, c.gateway)
			client.in(func() {
				l := offered(t, gw)
				l.sock = l.open(netip.MustParseAddr(c.home))
				l.bind()
				roamsToNewAddress(t, l, l.sock, l.open(netip.MustParseAddr(c.away)))
			})
		})
	}
}

// Another host that has fresh packets of the client, and one that sends them in the
// name of a third: the lane stays where it is, and nobody gets more than was sent in
// his name.
func TestOutsideNetnsTakeover(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	server, client := w.plug("10.77.0.1/24"), w.plug("10.77.0.2/24")
	thief, victim := w.plug("10.77.0.66/24"), w.plug("10.77.0.99/24")
	gw, game := serveOn(t, server, "10.77.0.1", "STRAIT_UDP_RETRY=off")
	client.in(func() {
		l := bound(t, gw)
		s := game.announced(t, l.p)
		<-time.After(moveEvery)

		var stolen *socket
		thief.in(func() { stolen = l.open(netip.MustParseAddr("10.77.0.66")) })
		stolen.mute.Store(true)
		for range 5 {
			assert.Same(t, l.sock, l.saysFrom(stolen, "stolen"))
		}
		l.fence()
		for _, a := range l.in.all() {
			assert.False(t, a.on == stolen && a.has(fMsg) != nil, "a message to the thief")
		}
		assert.Positive(t, stolen.received.Load(), "he is challenged")

		// In the name of a victim, on a port that is open and one that is not.
		var there *socket
		victim.in(func() { there = l.open(netip.MustParseAddr("10.77.0.99")) })
		there.mute.Store(true)
		liar := thief.spoofer()
		for _, from := range []netip.AddrPort{there.local(), netip.MustParseAddrPort("10.77.0.99:9")} {
			for i := range 20 {
				packet := l.seal(msg(2, uint16(i), []byte("in the name of another")))
				if from == there.local() {
					there.sent.Add(int64(len(packet)))
				}
				liar.send(from, l.sock.to, packet)
				c := reply(make([]byte, 1000), s.Session)
				c.GetSend().Delivery = 1
				s.on.command(t, c)
			}
			<-time.After(moveEvery)
			assert.Same(t, l.sock, l.saysFrom(l.sock, "mine"))
			for _, a := range l.in.all() {
				assert.False(t, a.on == there && a.has(fMsg) != nil, "a message to the victim")
			}
		}
		// And in the name of the client, who is where he was.
		liar.send(l.sock.local(), l.sock.to, make([]byte, 100))
		liar.send(l.sock.local(), l.sock.to, l.seal(msg(3, 0, []byte("sent for me"))))
		assert.Same(t, l.sock, l.hears([]byte("sent for me")).on)
		l.fence()

		// A lane that is not bound yet: HELLOs in the name of the victim.
		fresh := offered(t, gw)
		fresh.mute.Store(true)
		var dark *socket
		victim.in(func() { dark = fresh.open(netip.MustParseAddr("10.77.0.99")) })
		for range 4 {
			hello := fresh.greet(nil)
			dark.sent.Add(int64(len(hello)))
			liar.send(dark.local(), dark.to, hello)
			<-time.After(300 * time.Millisecond)
		}
		fresh.in.await(t, "ACCEPT to the victim", accepts(dark))
		assert.LessOrEqual(t, dark.received.Load(), dark.sent.Load())
		fresh.mute.Store(false)
		fresh.bind()
		fresh.tell(msg(0, 0, []byte("home")))
		assert.Same(t, fresh.sock, fresh.hears([]byte("home")).on)
	})
}

// A NAT that forgets its client gives him another port, then another address. He
// does not notice, and his lane follows.
func TestOutsideNetnsRebinding(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	server, client := w.plug("10.77.0.1/24"), w.plug("10.77.0.2/24")
	router := w.plug("10.77.0.50/24", "10.77.0.51/24", "10.77.0.52/24")
	gw, _ := serveOn(t, server, "10.77.0.1")
	client.in(func() {
		l := offered(t, gw)
		n := newNAT(t, router, netip.MustParseAddr("10.77.0.50"), l.gateway())
		first := n.rebind(netip.MustParseAddr("10.77.0.51"))
		l.sock.to = n.at()
		l.bind()
		plays := func() {
			t.Helper()
			for range 10 {
				l.saysFrom(l.sock, "as always")
			}
		}
		plays()
		<-time.After(moveEvery)
		for _, address := range []string{"10.77.0.51", "10.77.0.51", "10.77.0.52", "10.77.0.51"} {
			m := n.rebind(netip.MustParseAddr(address))
			began := time.Now()
			for heard := false; !heard; {
				require.Less(t, time.Since(began), 5*time.Second, "the lane does not follow to %s", address)
				mark := []byte(fenceMark())
				l.tell(msg(40, 0, mark), make([]byte, 300))
				_, heard = l.said.within(100*time.Millisecond, 0, func(s said) bool { return string(s.payload) == string(mark) })
			}
			t.Logf("a new mapping on %s: %v until the first echo", address, time.Since(began))
			assert.LessOrEqual(t, m.worst.Load(), int64(0), "bytes to a new mapping beyond those from it")
			plays()
			assert.Positive(t, m.in.Load())
			<-time.After(moveEvery)
		}
		assert.Positive(t, first.in.Load())
		l.plays()
	})
}

// IP fragmentation is off, and a path that carries less than 1200 bytes loses the
// long packets alone.
func TestOutsideNetnsFragmentationIsOff(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	server, client := w.plug("10.77.0.1/24"), w.plug("10.77.0.2/24")
	for _, batch := range []string{"on", "off"} {
		t.Run("batch "+batch, func(t *testing.T) {
			gw, _ := serveOn(t, server, "10.77.0.1", "STRAIT_UDP_BATCH="+batch)
			client.in(func() {
				headers, err := net.ListenPacket("ip4:udp", "10.77.0.2")
				require.NoError(t, err)
				defer headers.Close()
				raw, err := headers.(*net.IPConn).SyscallConn()
				require.NoError(t, err)

				l := bound(t, gw)
				l.tell(msg(0, 0, make([]byte, 1100)))
				l.hears(make([]byte, 1100))
				for _, p := range fragments(0, 1, make([]byte, 4000), 1000) {
					l.tell(p)
				}
				l.hears(make([]byte, 4000))
				seen := 0
				for buffer := make([]byte, 2000); seen < 5; {
					require.NoError(t, headers.SetReadDeadline(time.Now().Add(patience)))
					require.NoError(t, raw.Read(func(fd uintptr) bool {
						n, err := readIP(fd, buffer)
						if err != nil {
							return false
						}
						if n > 28 && binary.BigEndian.Uint16(buffer[20:]) == 7778 {
							seen++
							assert.Equal(t, byte(0x40), buffer[6]&0x60, "don't fragment is set, more fragments is not")
							assert.LessOrEqual(t, n-28, helloBytes)
						}
						return true
					}))
				}

				server.mtu(900)
				defer server.mtu(1500)
				long := make([]byte, 1099)
				l.tell(msg(0, 5, long))
				for range 20 {
					l.saysFrom(l.sock, "short")
				}
				assert.NotContains(t, l.said.all(), said{l.sock, 0, 5, long, 1}, "a packet that does not fit arrives whole")
				server.mtu(1500)
				long[0] = 1
				l.tell(msg(0, 6, long))
				l.hears(long)
			})
		})
	}
}
