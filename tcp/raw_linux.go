package tcp

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawPoll is epoll_wait without waiting, and like the reads and writes of package
// direct without telling Go's scheduler.
func rawPoll(epoll int, events []unix.EpollEvent) (n int, err error) {
	r, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}
