//go:build linux && !race

package direct

import (
	"syscall"
	"unsafe"
)

// Read is read(2) on a descriptor that does not block.
func Read(fd int, b []byte) (n int, err error) { return raw(syscall.SYS_READ, fd, b) }

// Write is write(2) on a descriptor that does not block.
func Write(fd int, b []byte) (n int, err error) { return raw(syscall.SYS_WRITE, fd, b) }

func raw(call uintptr, fd int, b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	r, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}
