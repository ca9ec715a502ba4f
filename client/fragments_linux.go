package client

import (
	"net"
	"syscall"
)

// forbidFragments turns IP fragmentation off (WIRE.md section 6.3). What ICMP says of
// the path's MTU is not believed: anybody could forge it, to have the kernel refuse the
// lane's packets of 1200 bytes.
func forbidFragments(u *net.UDPConn) {
	raw, err := u.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		// One of the two is of the other family.
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_MTU_DISCOVER, syscall.IP_PMTUDISC_PROBE)
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_MTU_DISCOVER, syscall.IPV6_PMTUDISC_PROBE)
	})
}
