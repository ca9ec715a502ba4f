//go:build linux

package echo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"strait/bench/edge/epoll"
)

// stream is the loop and its connections.
type stream struct {
	poll     *epoll.Poll
	listener int
	stop     int // an eventfd
	buf      []byte
	// pending holds, by descriptor, what a socket did not take. Such a connection is
	// not read.
	pending map[int][]byte
	open    map[int]struct{}
}

// backlog is how many proxies' connections may wait to be accepted.
const backlog = 4096

func listenStream(path string) (s *stream, err error) {
	s = &stream{
		listener: -1, stop: -1,
		buf: make([]byte, 64<<10), pending: make(map[int][]byte), open: make(map[int]struct{}),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.poll, err = epoll.New(); err != nil {
		return s, err
	}
	if s.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return s, os.NewSyscallError("eventfd", err)
	}
	if s.listener, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return s, os.NewSyscallError("socket", err)
	}
	if err = unix.Bind(s.listener, &unix.SockaddrUnix{Name: path}); err != nil {
		return s, fmt.Errorf("binding to %s: %w", path, err)
	}
	if err = unix.Listen(s.listener, backlog); err != nil {
		return s, os.NewSyscallError("listen", err)
	}
	for _, fd := range []int{s.stop, s.listener} {
		if err = s.poll.Add(fd, fd, unix.EPOLLIN); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *stream) close() error {
	var err error
	for fd := range s.open {
		err = errors.Join(err, unix.Close(fd))
	}
	s.open = nil
	if s.poll != nil {
		err = errors.Join(err, s.poll.Close())
	}
	for _, fd := range []*int{&s.listener, &s.stop} {
		if *fd >= 0 {
			err = errors.Join(err, unix.Close(*fd))
			*fd = -1
		}
	}
	return err
}

// serve echoes until ctx is done, and closes everything.
func (s *stream) serve(ctx context.Context) (err error) {
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		_, _ = unix.Write(s.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	})
	defer func() {
		if !stop() {
			<-stopped
		}
		err = errors.Join(err, s.close())
	}()
	for {
		events, err := s.poll.Wait(time.Hour)
		if err != nil {
			return err
		}
		for _, e := range events {
			switch fd := int(e.Fd); {
			case fd == s.stop:
				return nil
			case fd == s.listener:
				if err := s.accept(); err != nil {
					return err
				}
			case e.Events&unix.EPOLLOUT != 0:
				s.write(fd, nil)
			default:
				s.read(fd)
			}
		}
	}
}

// accept takes all connections that wait.
func (s *stream) accept() error {
	for {
		fd, _, err := unix.Accept4(s.listener, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED):
			continue
		case err != nil:
			return os.NewSyscallError("accept4", err)
		}
		s.open[fd] = struct{}{}
		if err := s.poll.Add(fd, fd, unix.EPOLLIN); err != nil {
			return err
		}
	}
}

func (s *stream) read(fd int) {
	n, err := epoll.Read(fd, s.buf)
	switch {
	case n > 0:
		s.write(fd, s.buf[:n])
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
	default:
		s.drop(fd)
	}
}

// write sends what is pending and b, which is borrowed until return.
func (s *stream) write(fd int, b []byte) {
	before := s.pending[fd]
	if before != nil {
		b = append(before, b...)
	}
	n, err := epoll.Write(fd, b)
	if err != nil {
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			s.drop(fd)
			return
		}
		n = 0
	}
	var watching error
	switch rest := b[n:]; {
	case len(rest) > 0:
		s.pending[fd] = append([]byte(nil), rest...)
		if before == nil {
			watching = s.poll.Set(fd, fd, unix.EPOLLOUT)
		}
	case before != nil:
		delete(s.pending, fd)
		watching = s.poll.Set(fd, fd, unix.EPOLLIN)
	}
	if watching != nil {
		s.drop(fd)
	}
}

// drop closes a connection that ended.
func (s *stream) drop(fd int) {
	delete(s.pending, fd)
	delete(s.open, fd)
	_ = unix.Close(fd) // nothing is left to save of it
}
