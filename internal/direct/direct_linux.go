package direct

import (
	"io"
	"net"
	"os"
	"syscall"
)

// TryWrite writes what the socket takes of b, which is borrowed, without waiting;
// an error, which will come again, counts as nothing. c may be nil.
func TryWrite(c syscall.RawConn, b []byte) (n int) {
	if c == nil {
		return 0
	}
	_ = c.Write(func(fd uintptr) bool {
		for n < len(b) {
			k, err := Write(int(fd), b[n:])
			if err == syscall.EINTR {
				continue
			}
			if err != nil || k == 0 {
				break
			}
			n += k
		}
		return true
	})
	return n
}

// Socket returns the socket of a connection that is one; nil for any other, such as
// a TLS connection, whose bytes are not the socket's.
func Socket(conn net.Conn) syscall.RawConn {
	switch c := conn.(type) {
	case *net.TCPConn:
		return socket(c)
	case *net.UnixConn:
		return socket(c)
	}
	return nil
}

func socket(c syscall.Conn) syscall.RawConn {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil // it is closed, as reading will tell
	}
	return raw
}

// Reader reads from conn, directly if it is a socket.
func Reader(conn net.Conn) io.Reader {
	raw := Socket(conn)
	if raw == nil {
		return conn
	}
	r := &reader{conn: raw}
	r.once = r.read
	return r
}

// reader waits in Go's poller and reads raw. For one goroutine at a time.
type reader struct {
	conn syscall.RawConn
	once func(fd uintptr) bool
	into []byte
	n    int
	err  error
}

func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r.into = p
	err := r.conn.Read(r.once)
	r.into = nil
	switch {
	case err != nil:
		return 0, err
	case r.err != nil:
		return 0, os.NewSyscallError("read", r.err)
	case r.n == 0:
		return 0, io.EOF
	}
	return r.n, nil
}

// read reads once; false: there is nothing yet.
func (r *reader) read(fd uintptr) bool {
	for {
		n, err := Read(int(fd), r.into)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		}
		r.n, r.err = n, err
		return true
	}
}
