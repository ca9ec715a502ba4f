package e2e

import "golang.org/x/sys/unix"

// readIP reads one packet with its IP header, without waiting.
func readIP(fd uintptr, b []byte) (int, error) {
	n, _, err := unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT)
	return n, err
}
