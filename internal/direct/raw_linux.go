//go:build linux && !race

package direct

import (
	"syscall"
	"unsafe"
)

// raw is read or write on a descriptor that does not block; b is not empty.
func raw(call, fd uintptr, b []byte) (n int, errno syscall.Errno) {
	r, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(r), errno
}
