//go:build !linux

package tcp

import "errors"

// Without epoll every connection keeps its goroutine.

type loops struct{}

func newLoops() (*loops, error) { return nil, errors.ErrUnsupported }

func (*loops) close() {}

type moved struct{}

func (*moved) wake() {}

func (*moved) write() {}

func (*moved) reschedule() {}

func (*Conn) move() bool { return false }
