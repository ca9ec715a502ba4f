//go:build !linux

package udp

import (
	"errors"
	"net/netip"
	"syscall"
)

const (
	controlSize = 0
	shards      = false
)

// local is always zero: the kernel chooses what address a datagram leaves from.
type local struct{ ip netip.Addr }

func options(string, uintptr, socketOptions) error { return nil }

// enlarge sets the sizes of buffers; 0 leaves one as it is.
func enlarge(o opened, read, write int) error {
	var errs []error
	if read > 0 {
		errs = append(errs, o.conn.SetReadBuffer(read))
	}
	if write > 0 {
		errs = append(errs, o.conn.SetWriteBuffer(write))
	}
	return errors.Join(errs...)
}

func granted(syscall.RawConn) (read, write int) { return 0, 0 }

func isIPv6(syscall.RawConn) bool { return false }

func steer(syscall.RawConn) error { return errors.ErrUnsupported }

func parseLocal([]byte) local { return local{} }

func putLocal([]byte, local, bool) []byte { return nil }

func newFastPort(opened, *portCounters) port { return nil }
