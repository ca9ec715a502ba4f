//go:build !linux

package tcp

import (
	"errors"

	"strait/transport"
)

// Without epoll every connection keeps its goroutine.

type loops struct{}

func newLoops() (*loops, error) { return nil, errors.ErrUnsupported }

func (*loops) start(transport.Turns) {}

func (*loops) pick() int { return 0 }

func (*loops) close() {}

type moved struct{}

func (*moved) wake() {}

func (*moved) write() {}

func (*moved) reschedule() {}

func (*Conn) move() bool { return false }
