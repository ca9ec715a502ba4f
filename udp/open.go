package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
)

// socketOptions are what all sockets of a service are bound with.
type socketOptions struct {
	shared      bool // several on one port
	wild        bool // to every address
	read, write int  // sizes of buffers in bytes; 0: the system's
}

// opened is one bound socket.
type opened struct {
	conn        *net.UDPConn
	raw         syscall.RawConn
	wild, v6    bool
	share       bool // with QUIC
	read, write int  // sizes of buffers that were granted; 0: not known
}

// open binds n sockets to addr, all to the same port.
func open(ctx context.Context, addr string, n int, read, write int) (all []opened, err error) {
	defer func() {
		if err != nil {
			for _, o := range all {
				_ = o.conn.Close()
			}
			all = nil
		}
	}()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("udp: %w", err)
	}
	if n > 1 && !shards {
		return nil, fmt.Errorf("udp: %d sockets on one port: %w on this system, use 1", n, errors.ErrUnsupported)
	}
	network := "udp"
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
	case ip.Is4():
		network = "udp4"
	case !ip.IsUnspecified():
		network = "udp6"
	}
	so := socketOptions{shared: n > 1, wild: host == "" || ip.IsUnspecified(), read: read, write: write}
	if n > 1 && port != "0" {
		// Sockets that share a port let another process of the same user in; it would
		// take half of the datagrams in silence.
		alone, err := net.ListenPacket(network, net.JoinHostPort(host, port))
		if err != nil {
			return nil, fmt.Errorf("udp: %w", err)
		}
		_ = alone.Close()
	}
	for range n {
		var optErr error
		lc := net.ListenConfig{Control: func(network, _ string, c syscall.RawConn) error {
			return errors.Join(c.Control(func(fd uintptr) { optErr = options(network, fd, so) }), optErr)
		}}
		pc, err := lc.ListenPacket(ctx, network, net.JoinHostPort(host, port))
		if err != nil {
			return all, fmt.Errorf("udp: %w", err)
		}
		conn := pc.(*net.UDPConn)
		raw, err := conn.SyscallConn()
		if err != nil {
			_ = conn.Close()
			return all, fmt.Errorf("udp: %w", err)
		}
		o := opened{conn: conn, raw: raw, wild: so.wild, v6: isIPv6(raw)}
		o.read, o.write = granted(raw)
		all = append(all, o)
		port = strconv.Itoa(conn.LocalAddr().(*net.UDPAddr).Port)
	}
	if n > 1 {
		if err := steer(all[0].raw); err != nil {
			return all, fmt.Errorf("udp: steering datagrams to %d sockets: %w", n, err)
		}
	}
	return all, nil
}

// transient says that a read failed for this once.
func transient(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && !errors.Is(err, net.ErrClosed) && (errno == syscall.EINTR || errno == syscall.ECONNREFUSED || errno == syscall.ECONNRESET)
}

// closed says that the socket is gone.
func closed(err error) bool { return errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) }
