//go:build linux

package load

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// link is the connection under a client's TLS connection. It begins as an ordinary
// connection, for the handshake; after move, Read takes from in and Write appends
// to out, both of which the loop lends it for the time of a call.
type link struct {
	dialled net.Conn // nil after move
	fd      int      // after move
	in      []byte
	out     []byte
}

// dry says that all input was used up. crypto/tls goes on after a temporary error
// where any other would stay.
type dry struct{}

func (dry) Error() string   { return "no more input" }
func (dry) Timeout() bool   { return true }
func (dry) Temporary() bool { return true }

var errDry net.Error = dry{}

func (l *link) Read(p []byte) (int, error) {
	if l.dialled != nil {
		return l.dialled.Read(p)
	}
	if len(l.in) == 0 {
		return 0, errDry
	}
	n := copy(p, l.in)
	l.in = l.in[n:]
	return n, nil
}

func (l *link) Write(p []byte) (int, error) {
	if l.dialled != nil {
		return l.dialled.Write(p)
	}
	l.out = append(l.out, p...)
	return len(p), nil
}

// move takes the descriptor out of the Go poller.
func (l *link) move() error {
	sc, ok := l.dialled.(syscall.Conn)
	if !ok {
		return fmt.Errorf("%T has no descriptor", l.dialled)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var fd int
	var dup error
	if err := raw.Control(func(old uintptr) { fd, dup = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return err
	}
	if dup != nil {
		return fmt.Errorf("duplicating a descriptor: %w", dup)
	}
	err = l.dialled.Close()
	l.dialled, l.fd = nil, fd
	return err
}

// Close ends the connection without a word, and without waiting: by a reset, so
// that nothing is left in TIME_WAIT to run out of ports on.
func (l *link) Close() error {
	if l.dialled != nil {
		var linger error
		if c, ok := l.dialled.(*net.TCPConn); ok {
			linger = c.SetLinger(0)
		}
		return errors.Join(linger, l.dialled.Close())
	}
	if l.fd < 0 {
		return nil
	}
	err := unix.SetsockoptLinger(l.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	err = errors.Join(err, unix.Close(l.fd))
	l.fd = -1
	return err
}

func (l *link) LocalAddr() net.Addr {
	if l.dialled != nil {
		return l.dialled.LocalAddr()
	}
	return nil
}

func (l *link) RemoteAddr() net.Addr {
	if l.dialled != nil {
		return l.dialled.RemoteAddr()
	}
	return nil
}

// The deadlines hold for the handshake; the loop has its own.
func (l *link) SetDeadline(t time.Time) error {
	if l.dialled != nil {
		return l.dialled.SetDeadline(t)
	}
	return nil
}

func (l *link) SetReadDeadline(t time.Time) error {
	if l.dialled != nil {
		return l.dialled.SetReadDeadline(t)
	}
	return nil
}

func (l *link) SetWriteDeadline(t time.Time) error {
	if l.dialled != nil {
		return l.dialled.SetWriteDeadline(t)
	}
	return nil
}
