package link

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// On a socket that does not block, a system call is over in microseconds. Told of
// each, Go's scheduler wakes its monitor, which in a process that sleeps and wakes
// thousands of times a second costs a sixth of its CPU (see docs/performance.md).

// tryWrite writes what the socket takes without waiting; an error, which will
// come again, counts as nothing.
func tryWrite(c syscall.RawConn, b []byte) (n int) {
	_ = c.Write(func(fd uintptr) bool {
		for n < len(b) {
			k, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&b[n])), uintptr(len(b)-n))
			if errno == syscall.EINTR {
				continue
			}
			if errno != 0 || k == 0 {
				break
			}
			n += int(k)
		}
		return true
	})
	return n
}

// reader reads from conn, through direct if that is not nil.
func reader(conn net.Conn, direct syscall.RawConn) io.Reader {
	if direct == nil {
		return conn
	}
	r := &directReader{conn: direct}
	r.once = r.read
	return r
}

// directReader waits in Go's poller and reads without the scheduler's knowledge.
type directReader struct {
	conn  syscall.RawConn
	once  func(fd uintptr) bool
	into  []byte
	n     int
	errno syscall.Errno
}

func (r *directReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r.into = p
	err := r.conn.Read(r.once)
	r.into = nil
	switch {
	case err != nil:
		return 0, err
	case r.errno != 0:
		return 0, os.NewSyscallError("read", r.errno)
	case r.n == 0:
		return 0, io.EOF
	}
	return r.n, nil
}

// read reads once; false: there is nothing yet.
func (r *directReader) read(fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&r.into[0])), uintptr(len(r.into)))
		switch errno {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		}
		r.n, r.errno = int(n), errno
		return true
	}
}
