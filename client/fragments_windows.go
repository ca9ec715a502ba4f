package client

import (
	"net"

	"golang.org/x/sys/windows"
)

// forbidFragments turns IP fragmentation off (WIRE.md section 6.3); the two options
// are those of ws2ipdef.h, IP_DONTFRAGMENT and IPV6_DONTFRAG.
func forbidFragments(u *net.UDPConn) {
	raw, err := u.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		// One of the two is of the other family.
		_ = windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IP, 14, 1)
		_ = windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IPV6, 14, 1)
	})
}
