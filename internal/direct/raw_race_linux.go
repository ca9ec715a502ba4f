//go:build linux && race

package direct

import "syscall"

// Read is read(2) in a way that the race detector follows: what happened before a
// write happened before the read of what was written.
func Read(fd int, b []byte) (n int, err error) { return syscall.Read(fd, b) }

// Write is write(2), likewise.
func Write(fd int, b []byte) (n int, err error) { return syscall.Write(fd, b) }
