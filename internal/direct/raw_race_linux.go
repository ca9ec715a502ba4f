//go:build linux && race

package direct

import "syscall"

// raw is read or write in a way that the race detector follows: what happened
// before a write happened before the read of what was written.
func raw(call, fd uintptr, b []byte) (n int, errno syscall.Errno) {
	f := syscall.Read
	if call == syscall.SYS_WRITE {
		f = syscall.Write
	}
	n, err := f(int(fd), b)
	if err != nil {
		errno, _ = err.(syscall.Errno)
	}
	return n, errno
}
