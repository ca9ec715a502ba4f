//go:build unix

package link

import "syscall"

// tryWrite writes what the socket takes without waiting; an error, which will
// come again, counts as nothing.
func tryWrite(c syscall.RawConn, b []byte) (n int) {
	_ = c.Write(func(fd uintptr) bool {
		for n < len(b) {
			k, err := syscall.Write(int(fd), b[n:])
			if err == syscall.EINTR {
				continue
			}
			if err != nil || k <= 0 {
				break
			}
			n += k
		}
		return true
	})
	return n
}
