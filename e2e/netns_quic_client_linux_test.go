package e2e

import (
	"context"
	"encoding/hex"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"strait/client"
	"strait/proto/straitv1"
)

// crossroads are a client and a gateway in networks of their own, with a router
// between them that may keep UDP to the gateway from passing.
type crossroads struct {
	client, router, server *host
}

const beyond = "10.77.2.2" // the gateway's address

func newCrossroads(t testing.TB) *crossroads {
	t.Helper()
	w := newWire(t)
	c := &crossroads{w.plug("10.77.1.2/24"), w.plug("10.77.1.1/24", "10.77.2.1/24"), w.plug(beyond + "/24")}
	c.router.in(func() {
		for name, value := range map[string]string{"ip_forward": "1", "conf/all/send_redirects": "0", "conf/eth0/send_redirects": "0"} {
			require.NoError(t, os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0o644))
		}
	})
	c.client.via("10.77.1.1")
	c.server.via("10.77.2.1")
	return c
}

// via sets the default route.
func (h *host) via(gateway string) {
	h.t.Helper()
	require.NoError(h.t, h.links.RouteAdd(&netlink.Route{LinkIndex: h.eth0().Attrs().Index, Gw: net.ParseIP(gateway)}))
}

// blocks makes the router discard UDP to the gateway, in silence or with an ICMP error,
// by the kind of a route; the result ends that.
func (c *crossroads) blocks(kind int) (unblock func()) {
	t, links := c.router.t, c.router.links
	t.Helper()
	const table = 77
	_, all, err := net.ParseCIDR("10.77.2.0/24")
	require.NoError(t, err)
	route := &netlink.Route{Table: table, Type: kind, Dst: all}
	require.NoError(t, links.RouteAdd(route))
	rule := netlink.NewRule()
	rule.Family, rule.Priority, rule.Table, rule.IPProto, rule.Dst = unix.AF_INET, 1, table, unix.IPPROTO_UDP, all
	require.NoError(t, links.RuleAdd(rule))
	return func() {
		t.Helper()
		require.NoError(t, links.RuleDel(rule))
		require.NoError(t, links.RouteDel(route))
	}
}

// dials opens a session of the Go SDK from a host.
func dials(t testing.TB, h *host, gw *process, o client.Options) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), gw.addr, sdk(h, gw, o))
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// sdk makes an SDK's sockets be of a host, which its goroutines are not.
func sdk(h *host, gw *process, o client.Options) client.Options {
	o.Pin = hex.EncodeToString(gw.pin)
	o.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return openedOn(h.ns, func() (net.Conn, error) { return new(net.Dialer).DialContext(ctx, network, addr) })
	}
	o.ListenPacket = func(ctx context.Context, network string) (net.PacketConn, error) {
		return openedOn(h.ns, func() (net.PacketConn, error) { return new(net.ListenConfig).ListenPacket(ctx, network, ":0") })
	}
	return o
}

func openedOn[T any](ns netns.NsHandle, open func() (T, error)) (none T, _ error) {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		return none, err
	}
	defer home.Close()
	if err := netns.Set(ns); err != nil {
		return none, err
	}
	v, err := open()
	if netns.Set(home) == nil { // else the thread ends with the goroutine
		runtime.UnlockOSThread()
	}
	return v, err
}

// echoes does a round trip, reliable or not.
func echoes(t testing.TB, c *client.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	mark := fenceMark()
	require.NoError(t, c.Send(ctx, client.Reliable, 4, []byte(mark)))
	for {
		m, err := c.Receive(ctx)
		require.NoError(t, err)
		if string(m.Payload) == mark {
			return
		}
	}
}

// Where UDP vanishes on its way, Auto is there with TCP after its delay, and knows it
// the next time; when UDP passes again, QUIC opens.
func TestOutsideNetnsAutoWhereUDPIsBlocked(t *testing.T) {
	t.Parallel()
	x := newCrossroads(t)
	gw, game := serveQUICOn(t, x.server, beyond)
	const delay = 400 * time.Millisecond
	unblock := x.blocks(unix.RTN_BLACKHOLE)
	began := time.Now()
	c := dials(t, x.client, gw, client.Options{FallbackDelay: delay})
	took := time.Since(began)
	assert.Equal(t, client.TCP, c.Info().Transport)
	assert.GreaterOrEqual(t, took, delay)
	assert.Less(t, took, patience/2) // when QUIC gives up by itself
	echoes(t, c)
	assert.Equal(t, 1, game.events.count(func(e event) bool { return e.GetOpened().GetTransport() == straitv1.Transport_TRANSPORT_TCP }))

	began = time.Now()
	c = dials(t, x.client, gw, client.Options{FallbackDelay: patience})
	assert.Less(t, time.Since(began), patience/2, "it begins with what has worked")
	assert.Equal(t, client.TCP, c.Info().Transport)
	echoes(t, c)

	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := client.Dial(ctx, gw.addr, sdk(x.client, gw, client.Options{Transport: client.QUIC}))
	require.ErrorIs(t, err, context.DeadlineExceeded)

	unblock()
	c = dials(t, x.client, gw, client.Options{Transport: client.QUIC})
	assert.Equal(t, client.QUIC, c.Info().Transport)
	echoes(t, c)
	// The name of the address is what is remembered: under another one nothing is known.
	c = dials(t, x.client, gw, client.Options{FallbackDelay: patience, QUICAddr: beyond + ":7777"})
	t.Logf("Auto after UDP passes again: %v", c.Info().Transport)
	echoes(t, c)
}

// Where UDP is refused, by the network or by the gateway's host, Auto does not wait.
func TestOutsideNetnsAutoWhereUDPIsRefused(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]int{"unreachable": unix.RTN_UNREACHABLE, "prohibited": unix.RTN_PROHIBIT, "no listener": 0} {
		t.Run(name, func(t *testing.T) {
			x := newCrossroads(t)
			var env []string
			if kind != 0 {
				x.blocks(kind)
			} else {
				env = append(env, "STRAIT_QUIC_ADDR="+beyond+":7") // elsewhere
			}
			gw, _ := serveQUICOn(t, x.server, beyond, env...)
			began := time.Now()
			c := dials(t, x.client, gw, client.Options{FallbackDelay: patience})
			assert.Less(t, time.Since(began), patience/2)
			assert.Equal(t, client.TCP, c.Info().Transport)
			echoes(t, c)
		})
	}
}

// Where UDP stops passing in the middle of a session, that is lost, and the next one
// is on TCP.
func TestOutsideNetnsAutoWhereUDPStops(t *testing.T) {
	t.Parallel()
	x := newCrossroads(t)
	gw, game := serveQUICOn(t, x.server, beyond, "STRAIT_IDLE_TIMEOUT=2s")
	var states journal[client.StateKind]
	c := dials(t, x.client, gw, client.Options{
		OnState: func(s client.State) { states.add(s.Kind) }, Reconnect: client.Reconnect{Min: time.Millisecond},
	})
	assert.Equal(t, client.QUIC, c.Info().Transport)
	echoes(t, c)
	x.blocks(unix.RTN_BLACKHOLE)
	states.await(t, "Lost", func(k client.StateKind) bool { return k == client.Lost })
	states.await(t, "Reopened", func(k client.StateKind) bool { return k == client.Reopened })
	assert.Equal(t, client.TCP, c.Info().Transport)
	echoes(t, c)
	game.event(t, "the end of the lost one", func(e event) bool { return e.GetClosed() != nil })
}

// The machine changes its address, and an SDK on QUIC that does nothing about it keeps
// its session; Rebind does it on demand.
func TestOutsideNetnsQUICClientRoams(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	server := w.plug("10.77.0.1/24", "fd77::1/64")
	for _, a := range []struct{ gateway, home, away, bits string }{
		{"10.77.0.1", "10.77.0.2", "10.77.0.3", "/24"}, {"fd77::1", "fd77::2", "fd77::3", "/64"},
	} {
		t.Run(a.gateway, func(t *testing.T) {
			h := w.plug(a.home + a.bits)
			gw, game := serveQUICOn(t, server, a.gateway)
			c := dials(t, h, gw, client.Options{Transport: client.QUIC, Reconnect: client.Reconnect{Off: true}})
			echoes(t, c)
			s := game.event(t, "Opened", func(e event) bool { return e.GetOpened() != nil })
			first, port, err := net.SplitHostPort(s.GetOpened().Remote)
			require.NoError(t, err)
			assert.Equal(t, a.home, first)

			h.remove(a.home + a.bits)
			h.add(a.away + a.bits)
			for range 20 {
				echoes(t, c)
			}
			game.hearsOfAddress(t, s.Session, net.JoinHostPort(a.away, port))

			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			require.NoError(t, c.Rebind(ctx))
			for range 20 {
				echoes(t, c)
			}
			game.event(t, "LinkChanged to another port", func(e event) bool {
				host, p, _ := net.SplitHostPort(e.GetLink().GetRemote())
				return e.Session == s.Session && host == a.away && p != port
			})
			assert.Equal(t, 1, game.events.count(func(e event) bool { return e.GetOpened() != nil }), "one session throughout")
		})
	}
}
