//go:build !unix

package quic

import "syscall"

func bufferSizes(syscall.RawConn) (read, write int) { return 0, 0 }
