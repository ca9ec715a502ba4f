//go:build unix

package quic

import (
	"runtime"
	"syscall"
)

// bufferSizes asks the system. Linux tells twice what it grants, because it counts its
// own bookkeeping (socket(7)).
func bufferSizes(raw syscall.RawConn) (read, write int) {
	err := raw.Control(func(fd uintptr) {
		read, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF)
		write, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF)
	})
	if err != nil {
		return 0, 0
	}
	if runtime.GOOS == "linux" {
		return read / 2, write / 2
	}
	return read, write
}
