package lab

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// device is what each namespace calls its end of the link.
	device = "strait0"
	// deviceQueue is how many packets wait in a TUN device to be read. The default of
	// 500 is one burst of a fast sender; what overflows would be lost by the lab and
	// not by the link.
	deviceQueue = 8192
	// ofThread is the namespace that the calling thread is in.
	ofThread = "/proc/thread-self/ns/net"
)

// namespace is a network namespace and the thread that is in it. The thread does all
// that must be done inside, and starts the programs.
type namespace struct {
	*thread

	// static once made
	ident string // as in net:[4026531840]
	tun   int    // a descriptor that does not block
	ipv6  bool

	// owned by the thread
	outside *os.File // the namespace that the thread came from
	inside  bool
	netlink *netlink.Handle
	link    netlink.Link
}

// newNamespace makes a namespace with a TUN device that is up and has no address.
func newNamespace(mtu int) (*namespace, error) {
	n := &namespace{tun: -1}
	var err error
	n.thread, err = newThread(func() error { return n.furnish(mtu) }, n.leave)
	if err != nil {
		return nil, err
	}
	return n, nil
}

func (n *namespace) leave() bool {
	if n.netlink != nil {
		n.netlink.Close()
	}
	if n.tun >= 0 {
		_ = unix.Close(n.tun)
	}
	back := !n.inside || unix.Setns(int(n.outside.Fd()), unix.CLONE_NEWNET) == nil
	if n.outside != nil {
		_ = n.outside.Close()
	}
	return back
}

func (n *namespace) furnish(mtu int) (err error) {
	if n.outside, err = os.Open(ofThread); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return refused("making a network namespace", os.NewSyscallError("unshare", err))
	}
	n.inside = true
	if n.ident, err = os.Readlink(ofThread); err != nil {
		return err
	}
	if n.tun, err = openTUN(); err != nil {
		return err
	}
	if n.netlink, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	loopback, err := n.netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	if err := n.netlink.LinkSetUp(loopback); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	if n.link, err = n.netlink.LinkByName(device); err != nil {
		return fmt.Errorf("the TUN device: %w", err)
	}
	if err := n.quiet(); err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return n.netlink.LinkSetMTU(n.link, mtu) },
		func() error { return n.netlink.LinkSetTxQLen(n.link, deviceQueue) },
		func() error { return n.netlink.LinkSetUp(n.link) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("the TUN device: %w", err)
		}
	}
	return nil
}

// openTUN makes the device in the namespace of the calling thread. It goes when the
// descriptor is closed.
func openTUN() (int, error) {
	const path = "/dev/net/tun"
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, refused("making a TUN device", &os.PathError{Op: "open", Path: path, Err: err})
	}
	request, err := unix.NewIfreq(device)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = os.NewSyscallError("TUNSETIFF", unix.IoctlIfreq(fd, unix.TUNSETIFF, request))
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, refused("making a TUN device", err)
	}
	return fd, nil
}

// quiet turns off what the kernel sends of its own accord or remembers of earlier
// connections.
func (n *namespace) quiet() error {
	const root = "/proc/sys/net" // that of the thread's namespace
	if _, err := os.Stat(filepath.Join(root, "ipv6")); err == nil {
		n.ipv6 = true
	}
	settings := [][2]string{
		// Else the second transport of a comparison starts with what the first one
		// found out about the path.
		{"ipv4/tcp_no_metrics_save", "1"},
	}
	if n.ipv6 {
		settings = append(settings,
			[2]string{"ipv6/conf/all/disable_ipv6", "0"},
			[2]string{"ipv6/conf/" + device + "/disable_ipv6", "0"},
			[2]string{"ipv6/conf/" + device + "/addr_gen_mode", "1"}, // no link-local address
			[2]string{"ipv6/conf/" + device + "/accept_ra", "0"},
			[2]string{"ipv6/conf/" + device + "/router_solicitations", "0"},
		)
	}
	for _, s := range settings {
		if err := os.WriteFile(filepath.Join(root, s[0]), []byte(s[1]), 0); err != nil {
			return fmt.Errorf("setting net.%s to %s: %w", strings.ReplaceAll(s[0], "/", "."), s[1], err)
		}
	}
	return nil
}

// address adds addresses. On the thread.
func (n *namespace) address(a Addrs) error {
	for _, addr := range a.list() {
		if err := n.netlink.AddrReplace(n.link, address(addr)); err != nil {
			return fmt.Errorf("the address %v: %w", addr, err)
		}
	}
	return nil
}

// route routes everything over the link, for each kind of address that there is.
// congestion is TCP's congestion control; empty is the default. It goes with the route
// because only the first namespace of a machine may choose its default freely
// (tcp_set_default_congestion_control). On the thread.
func (n *namespace) route(a Addrs, congestion string) error {
	for _, addr := range a.list() {
		bits := addr.BitLen()
		everywhere := &net.IPNet{IP: make(net.IP, bits/8), Mask: net.CIDRMask(0, bits)}
		route := &netlink.Route{LinkIndex: n.link.Attrs().Index, Dst: everywhere, Scope: netlink.SCOPE_LINK, Congctl: congestion}
		err := n.netlink.RouteReplace(route)
		switch {
		case err != nil && congestion != "":
			return fmt.Errorf("the route for %v, with congestion control %s (the sysctl net.ipv4.tcp_available_congestion_control lists what there is): %w", addr, congestion, err)
		case err != nil:
			return fmt.Errorf("the route for %v: %w", addr, err)
		}
	}
	return nil
}

// unaddress removes addresses. On the thread.
func (n *namespace) unaddress(a Addrs) error {
	for _, addr := range a.list() {
		if err := n.netlink.AddrDel(n.link, address(addr)); err != nil {
			return fmt.Errorf("the address %v: %w", addr, err)
		}
	}
	return nil
}

func (a Addrs) list() (out []netip.Addr) {
	for _, addr := range []netip.Addr{a.V4, a.V6} {
		if addr.IsValid() {
			out = append(out, addr)
		}
	}
	return out
}

func address(a netip.Addr) *netlink.Addr {
	out := &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}}
	if a.Is6() {
		out.Flags = unix.IFA_F_NODAD // there is nobody else, and waiting takes a second
	}
	return out
}

// missed returns how many packets the device has dropped because nobody read them. On
// the thread.
func (n *namespace) missed() (uint64, error) {
	l, err := n.netlink.LinkByIndex(n.link.Attrs().Index)
	if err != nil {
		return 0, err
	}
	if s := l.Attrs().Statistics; s != nil {
		return s.TxDropped, nil
	}
	return 0, nil
}
