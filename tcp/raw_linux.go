package tcp

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// System calls on descriptors that never block, without telling Go's scheduler: it
// would take note of a call that is over in microseconds, and its monitor would
// find the processor busy in it and hand it to another thread.

func rawRead(fd int, b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	r, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}

func rawWrite(fd int, b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	r, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}

// rawPoll is epoll_wait without waiting.
func rawPoll(epoll int, events []unix.EpollEvent) (n int, err error) {
	r, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}
