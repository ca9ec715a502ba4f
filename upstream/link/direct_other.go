//go:build !linux

package link

import (
	"io"
	"net"
	"syscall"
)

// tryWrite writes nothing: the writer's goroutine does.
func tryWrite(syscall.RawConn, []byte) int { return 0 }

// reader reads from conn.
func reader(conn net.Conn, _ syscall.RawConn) io.Reader { return conn }
