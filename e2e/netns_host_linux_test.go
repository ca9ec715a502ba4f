package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// wire is a switch in a network namespace of its own, which hosts are plugged into.
// No namespace has a name: all of them, and every interface in them, are gone with
// the last descriptor, however the test ends.
type wire struct {
	t      testing.TB
	ns     netns.NsHandle
	links  *netlink.Handle
	bridge *netlink.Bridge
	ports  int
}

// host is a network namespace with one interface, eth0.
type host struct {
	t     testing.TB
	ns    netns.NsHandle
	links *netlink.Handle
}

// needsNamespaces ends a test that may not make network namespaces.
func needsNamespaces(t testing.TB) {
	t.Helper()
	onlyThorough(t, "it makes network namespaces")
	if os.Geteuid() != 0 {
		lacks(t, "network namespaces are for root")
	}
}

// namespace makes one, with its loopback up.
func namespace(t testing.TB) (netns.NsHandle, *netlink.Handle) {
	t.Helper()
	runtime.LockOSThread()
	home, err := netns.Get()
	require.NoError(t, err)
	defer home.Close()
	ns, err := netns.New() // moves this thread there
	require.NoError(t, err, "a network namespace")
	require.NoError(t, netns.Set(home))
	runtime.UnlockOSThread()
	t.Cleanup(func() { ns.Close() })
	links, err := netlink.NewHandleAt(ns)
	require.NoError(t, err)
	t.Cleanup(links.Close)
	lo, err := links.LinkByName("lo")
	require.NoError(t, err)
	require.NoError(t, links.LinkSetUp(lo))
	return ns, links
}

func newWire(t testing.TB) *wire {
	t.Helper()
	needsNamespaces(t)
	w := &wire{t: t, bridge: &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "switch"}}}
	w.ns, w.links = namespace(t)
	require.NoError(t, w.links.LinkAdd(w.bridge))
	require.NoError(t, w.links.LinkSetUp(w.bridge))
	return w
}

// plug makes a host with addresses, as 10.77.0.2/24.
func (w *wire) plug(addresses ...string) *host {
	w.t.Helper()
	h := &host{t: w.t}
	h.ns, h.links = namespace(w.t)
	w.ports++
	port := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: fmt.Sprintf("port%d", w.ports)}, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(h.ns))}
	require.NoError(w.t, w.links.LinkAdd(port))
	require.NoError(w.t, w.links.LinkSetMaster(port, w.bridge))
	require.NoError(w.t, w.links.LinkSetUp(port))
	require.NoError(w.t, h.links.LinkSetUp(h.eth0()))
	for _, a := range addresses {
		h.add(a)
	}
	return h
}

func (h *host) eth0() netlink.Link {
	h.t.Helper()
	link, err := h.links.LinkByName("eth0")
	require.NoError(h.t, err)
	return link
}

func (h *host) add(address string) {
	h.t.Helper()
	a, err := netlink.ParseAddr(address)
	require.NoError(h.t, err)
	a.Flags = unix.IFA_F_NODAD
	require.NoError(h.t, h.links.AddrAdd(h.eth0(), a))
}

// mtu sets how much fits into a packet of the host.
func (h *host) mtu(n int) {
	h.t.Helper()
	require.NoError(h.t, h.links.LinkSetMTU(h.eth0(), n))
}

// in runs f on the host: sockets that it opens, and processes that it starts,
// belong there for good. It is for the goroutine of the test, and may be nested.
func (h *host) in(f func()) {
	h.t.Helper()
	runtime.LockOSThread()
	home, err := netns.Get()
	require.NoError(h.t, err)
	defer func() {
		if netns.Set(home) == nil { // else the thread ends with the goroutine
			runtime.UnlockOSThread()
		}
		home.Close()
	}()
	require.NoError(h.t, netns.Set(h.ns))
	f()
}

// spoofer sends UDP over IPv4 in the name of others.
type spoofer struct {
	t  testing.TB
	fd int
}

func (h *host) spoofer() *spoofer {
	h.t.Helper()
	s := &spoofer{t: h.t}
	h.in(func() {
		var err error
		s.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		require.NoError(h.t, err)
	})
	h.t.Cleanup(func() { unix.Close(s.fd) })
	return s
}

// send sends a datagram that says it comes from an address.
func (s *spoofer) send(from, to netip.AddrPort, packet []byte) {
	s.t.Helper()
	src, dst := from.Addr().As4(), to.Addr().As4()
	n := 28 + len(packet)
	b := []byte{0x45, 0, byte(n >> 8), byte(n), 0, 0, 0x40, 0, 64, unix.IPPROTO_UDP, 0, 0} // the kernel adds the checksum
	b = append(append(b, src[:]...), dst[:]...)
	b = append(b, byte(from.Port()>>8), byte(from.Port()), byte(to.Port()>>8), byte(to.Port()))
	b = append(b, byte((n-20)>>8), byte(n-20), 0, 0) // no checksum: IPv4 allows it
	require.NoError(s.t, unix.Sendto(s.fd, append(b, packet...), 0, &unix.SockaddrInet4{Addr: dst}))
}
