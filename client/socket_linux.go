package client

import (
	"net"
	"syscall"
)

// hearRefusals says whether the socket, which is not connected, shall tell of ICMP
// errors (ip(7), IP_RECVERR). Turned off it also forgets those that wait.
func hearRefusals(u *net.UDPConn, on bool) {
	raw, err := u.SyscallConn()
	if err != nil {
		return
	}
	value := 0
	if on {
		value = 1
	}
	_ = raw.Control(func(fd uintptr) {
		// One of the two is of the other family. Without either a refusal is silence.
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_RECVERR, value)
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_RECVERR, value)
	})
}
