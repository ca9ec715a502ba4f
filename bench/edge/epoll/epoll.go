//go:build linux

// Package epoll is the system calls of a loop on one thread, which the load
// generator and the plain echo share.
//
// It owns the epoll descriptor, not those that are watched, and never starts a
// goroutine.
//
// The calls are raw: the Go scheduler is not told of them. To it the loop is one
// goroutine that always runs, for which it neither takes the processor away at
// each wait nor keeps its monitor awake. Between two processes on two cores that
// was a third of the round trips. A collection interrupts the wait by a signal.
package epoll

import (
	"errors"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrKernel is a kernel that is too old.
var ErrKernel = errors.New("this kernel has no epoll_pwait2: Linux 5.11 or later is needed")

// Poll is an epoll instance whose events carry an index that the caller chose.
type Poll struct {
	fd     int
	events []unix.EpollEvent
}

// New returns a Poll that watches nothing.
func New() (*Poll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	return &Poll{fd: fd, events: make([]unix.EpollEvent, 512)}, nil
}

// Close ends p. It is idempotent.
func (p *Poll) Close() error {
	if p.fd < 0 {
		return nil
	}
	fd := p.fd
	p.fd = -1
	return os.NewSyscallError("close", unix.Close(fd))
}

// Add begins to watch fd for events, level-triggered. Closing fd ends it.
func (p *Poll) Add(fd, index int, events uint32) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, index, events)
}

// Set changes what fd is watched for.
func (p *Poll) Set(fd, index int, events uint32) error {
	return p.control(unix.EPOLL_CTL_MOD, fd, index, events)
}

func (p *Poll) control(op, fd, index int, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(index)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.fd, op, fd, &ev))
}

// Wait returns what is ready, at the latest after timeout, to the nanosecond:
// epoll_wait's milliseconds are longer than the time between two messages. In the
// events Fd is the index. They are valid until the next call, and none may come
// before the timeout.
func (p *Poll) Wait(timeout time.Duration) ([]unix.EpollEvent, error) {
	ts := unix.NsecToTimespec(int64(max(timeout, 0)))
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])),
		uintptr(len(p.events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	switch errno {
	case 0:
		return p.events[:n], nil
	case unix.EINTR:
		return nil, nil
	case unix.ENOSYS:
		return nil, ErrKernel
	}
	return nil, os.NewSyscallError("epoll_pwait2", errno)
}

// Read is read(2) on a descriptor that does not block. b is borrowed until return.
func Read(fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// Write is write(2), likewise.
func Write(fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
