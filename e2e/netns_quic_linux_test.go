package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
)

// ports are those of serveQUICOn: each gateway has its own, because the SDK remembers
// for the whole process what has worked at an address.
var ports atomic.Uint32

// serveQUICOn starts a gateway on a host, TCP and QUIC on one port number, with game
// logic that echoes. Its admin endpoints are out of reach.
func serveQUICOn(t testing.TB, h *host, address string, env ...string) (gw *process, game *logic) {
	t.Helper()
	at := net.JoinHostPort(address, fmt.Sprint(7777+ports.Add(1)))
	h.in(func() {
		game = listenLogic(t)
		gw = serveQUIC(t, game.env(append([]string{"STRAIT_TCP_ADDR=" + at, "STRAIT_QUIC_ADDR=" + at}, env...)...)...)
	})
	return gw, game
}

// remove takes an address away from the host.
func (h *host) remove(address string) {
	h.t.Helper()
	a, err := netlink.ParseAddr(address)
	require.NoError(h.t, err)
	require.NoError(h.t, h.links.AddrDel(h.eth0(), a))
}

// A client goes to another network, whose address it has proven first; then the old one
// is gone. Session, streams and datagrams go on, and game logic hears of the address.
func TestOutsideNetnsQUICMigration(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	server := w.plug("10.77.0.1/24", "fd77::1/64")
	for _, c := range []struct{ gateway, home, away, bits string }{
		{"10.77.0.1", "10.77.0.2", "10.77.0.3", "/24"}, {"fd77::1", "fd77::2", "fd77::3", "/64"},
	} {
		t.Run(c.gateway, func(t *testing.T) {
			client := w.plug(c.home+c.bits, c.away+c.bits)
			client.in(func() { // else the second one goes with the first
				require.NoError(t, os.WriteFile("/proc/sys/net/ipv4/conf/all/promote_secondaries", []byte("1"), 0o644))
			})
			gw, game := serveQUICOn(t, server, c.gateway)
			client.in(func() {
				p := joinQUIC(t, gw, quicSetup{from: c.home})
				s := game.sees(t, p)
				assert.Equal(t, p.conn.LocalAddr().String(), s.GetOpened().Remote)
				p.plays()
				p.say(9, []byte("before"))
				p.hears(onStream, 9, []byte("before"))

				moved, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(c.away)})
				require.NoError(t, err)
				away := &quicgo.Transport{Conn: moved}
				t.Cleanup(func() {
					_ = away.Close()
					_ = moved.Close()
				})
				path, err := p.conn.AddPath(away)
				require.NoError(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				require.NoError(t, path.Probe(ctx), "the gateway answers challenges")
				require.NoError(t, path.Switch())
				p.plays()
				client.remove(c.home + c.bits)
				for range 20 {
					p.plays()
					mark := []byte(fenceMark())
					p.throw(3, 0, mark)
					p.hears(byDatagram, 3, mark)
				}
				p.say(9, []byte("after"))
				p.hears(onStream, 9, []byte("after"))
				assert.Equal(t, 2, game.events.count(func(e event) bool { return e.GetMessage().GetChannel() == 9 }))
				game.hearsOfAddress(t, s.Session, moved.LocalAddr().String())
				assert.Equal(t, 1, game.events.count(p.opens), "one session throughout")
				p.plays()
			})
		})
	}
}

// A NAT that forgets its client gives him another port, then another address. He does
// not notice, and his session follows; game logic hears of it.
func TestOutsideNetnsQUICRebinding(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	server := w.plug("10.77.0.1/24", "fd77::1/64")
	client := w.plug("10.77.0.2/24", "fd77::2/64")
	router := w.plug("10.77.0.50/24", "10.77.0.51/24", "10.77.0.52/24", "fd77::50/64", "fd77::51/64", "fd77::52/64")
	for _, c := range []struct{ gateway, home, inside, first, second string }{
		{"10.77.0.1", "10.77.0.2", "10.77.0.50", "10.77.0.51", "10.77.0.52"}, {"fd77::1", "fd77::2", "fd77::50", "fd77::51", "fd77::52"},
	} {
		t.Run(c.gateway, func(t *testing.T) {
			gw, game := serveQUICOn(t, server, c.gateway)
			client.in(func() {
				n := newNAT(t, router, netip.MustParseAddr(c.inside), quicAddr(gw).AddrPort())
				m := n.rebind(netip.MustParseAddr(c.first))
				p := joinQUIC(t, gw, quicSetup{from: c.home, to: net.UDPAddrFromAddrPort(n.at())})
				s := game.sees(t, p)
				assert.Equal(t, m.conn.LocalAddr().String(), s.GetOpened().Remote)
				p.plays()
				for _, outside := range []string{c.first, c.second} { // a new port, a new address
					m = n.rebind(netip.MustParseAddr(outside))
					for range 20 {
						p.plays()
						mark := []byte(fenceMark())
						p.throw(3, 0, mark)
						p.hears(byDatagram, 3, mark)
					}
					assert.Positive(t, m.in.Load())
					game.hearsOfAddress(t, s.Session, m.conn.LocalAddr().String())
				}
				assert.Equal(t, 1, game.events.count(p.opens), "one session throughout")
			})
		})
	}
}
