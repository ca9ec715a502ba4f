//go:build !unix

package link

import "syscall"

// tryWrite writes nothing: the writer's goroutine does.
func tryWrite(syscall.RawConn, []byte) int { return 0 }
