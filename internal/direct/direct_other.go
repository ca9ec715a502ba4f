//go:build !linux

package direct

import (
	"io"
	"net"
	"syscall"
)

// TryWrite writes nothing.
func TryWrite(syscall.RawConn, []byte) int { return 0 }

// Socket returns nil.
func Socket(net.Conn) syscall.RawConn { return nil }

// Reader returns conn.
func Reader(conn net.Conn) io.Reader { return conn }
