package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// controlSize is the room for the address that a datagram came to, and on a shared
// socket for all that QUIC asks the kernel for.
const controlSize = sharedControl

// local is the address of this host that a datagram came to, on a socket that is
// bound to all of them; zero leaves the choice to the kernel.
type local struct {
	ip    netip.Addr
	iface uint32 // of an IPv6 link-local address
}

// shards says that several sockets can share one port.
const shards = true

// options are set on a socket before it is bound.
func options(network string, fd uintptr, o socketOptions) error {
	s := int(fd)
	var errs []error
	set := func(name string, level, option, value int) {
		if err := unix.SetsockoptInt(s, level, option, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	if o.shared {
		set("SO_REUSEPORT", unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	// Never fragmented, and not made smaller by what routers are said to have said:
	// an ICMP message is easily forged, and 1200 bytes pass wherever games are played.
	if network != "udp4" {
		set("IPV6_MTU_DISCOVER", unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
		set("IPV6_DONTFRAG", unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1)
		if o.wild {
			set("IPV6_RECVPKTINFO", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		}
	}
	if network == "udp4" {
		set("IP_MTU_DISCOVER", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
		if o.wild {
			set("IP_PKTINFO", unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		}
	} else {
		// For the IPv4 that one of IPv6 may carry; one that does not may refuse it.
		_ = unix.SetsockoptInt(s, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
	}
	grow(s, unix.SO_RCVBUF, unix.SO_RCVBUFFORCE, o.read)
	grow(s, unix.SO_SNDBUF, unix.SO_SNDBUFFORCE, o.write)
	return errors.Join(errs...)
}

// grow asks for a buffer of size bytes, also above the system's limit if the
// process may; granted tells what came of it.
func grow(s, option, force, size int) {
	if size == 0 {
		return
	}
	_ = unix.SetsockoptInt(s, unix.SOL_SOCKET, option, size)
	if n, err := unix.GetsockoptInt(s, unix.SOL_SOCKET, option); err != nil || n/2 < size {
		_ = unix.SetsockoptInt(s, unix.SOL_SOCKET, force, size)
	}
}

// enlarge asks for larger buffers, as options does; 0 leaves one as it is.
func enlarge(o opened, read, write int) error {
	return o.raw.Control(func(fd uintptr) {
		grow(int(fd), unix.SO_RCVBUF, unix.SO_RCVBUFFORCE, read)
		grow(int(fd), unix.SO_SNDBUF, unix.SO_SNDBUFFORCE, write)
	})
}

// granted returns the sizes of a socket's buffers in bytes. The kernel says twice
// as much as was asked for, to account for its own.
func granted(raw syscall.RawConn) (read, write int) {
	_ = raw.Control(func(fd uintptr) {
		read, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
		write, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
	})
	return read / 2, write / 2
}

// isIPv6 says of which family a socket is; one of IPv6 may carry IPv4, too.
func isIPv6(raw syscall.RawConn) (v6 bool) {
	_ = raw.Control(func(fd uintptr) {
		domain, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		v6 = err == nil && domain == unix.AF_INET6
	})
	return v6
}

// steer makes the kernel give a datagram to the socket that its connection id names,
// of those that share the port with raw, in the order in which they were bound.
func steer(raw syscall.RawConn) error {
	// What is too short ends the program with 0; a number without a socket is
	// spread by the kernel's own hash.
	program, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 1, Size: 1},
		bpf.RetA{},
	})
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(program))
	for i, in := range program {
		filter[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	fprog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return errors.Join(raw.Control(func(fd uintptr) {
		err = os.NewSyscallError("setsockopt", unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &fprog))
	}), err)
}

// parseLocal reads IP_PKTINFO or IPV6_PKTINFO; anything else is zero.
func parseLocal(control []byte) local {
	for len(control) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
		size := int(h.Len)
		if size < unix.SizeofCmsghdr || size > len(control) {
			return local{}
		}
		data := control[unix.CmsgLen(0):size]
		switch {
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&data[0]))
			l := local{ip: netip.AddrFrom16(info.Addr).Unmap()}
			if l.ip.IsLinkLocalUnicast() && l.ip.Is6() {
				l.iface = info.Ifindex
			}
			return l
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			return local{ip: netip.AddrFrom4((*unix.Inet4Pktinfo)(unsafe.Pointer(&data[0])).Addr)}
		}
		if space := unix.CmsgSpace(size - unix.CmsgLen(0)); space < len(control) {
			control = control[space:]
			continue
		}
		break
	}
	return local{}
}

// putLocal writes what makes a datagram leave from l into b and returns as much of
// it; nothing for the zero local. v6 is the socket's family.
func putLocal(b []byte, l local, v6 bool) []byte {
	if !l.ip.IsValid() {
		return nil
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	if v6 {
		h.Level, h.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
		h.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
		info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&b[unix.CmsgLen(0)]))
		*info = unix.Inet6Pktinfo{Addr: l.ip.As16(), Ifindex: l.iface}
		return b[:unix.CmsgSpace(unix.SizeofInet6Pktinfo)]
	}
	h.Level, h.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
	h.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
	info := (*unix.Inet4Pktinfo)(unsafe.Pointer(&b[unix.CmsgLen(0)]))
	*info = unix.Inet4Pktinfo{Spec_dst: l.ip.As4()}
	return b[:unix.CmsgSpace(unix.SizeofInet4Pktinfo)]
}
