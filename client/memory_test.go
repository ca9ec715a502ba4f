package client_test

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// memory is a network inside the process, so that time can be simulated.
type memory struct {
	mu     sync.Mutex
	dialed []string
	refuse error
	queue  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemory() *memory {
	return &memory{queue: make(chan net.Conn), closed: make(chan struct{})}
}

func (m *memory) Dial(ctx context.Context, _, addr string) (net.Conn, error) {
	m.mu.Lock()
	m.dialed = append(m.dialed, addr)
	refuse := m.refuse
	m.mu.Unlock()
	if refuse != nil {
		return nil, refuse
	}
	near, far := pipe()
	select {
	case m.queue <- far:
		return near, nil
	case <-m.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// refusing makes every further dial fail with err, or succeed again with nil.
func (m *memory) refusing(err error) {
	m.mu.Lock()
	m.refuse = err
	m.mu.Unlock()
}

func (m *memory) addrs() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.dialed...)
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.queue:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error   { m.once.Do(func() { close(m.closed) }); return nil }
func (m *memory) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

// pipe is net.Pipe with buffers: as on a network, both ends may write at once.
func pipe() (net.Conn, net.Conn) {
	a, b := newStream(), newStream()
	return &pipeConn{in: a, out: b}, &pipeConn{in: b, out: a}
}

type pipeConn struct{ in, out *stream }

func (c *pipeConn) Read(p []byte) (int, error)         { return c.in.read(p) }
func (c *pipeConn) Write(p []byte) (int, error)        { return c.out.write(p) }
func (c *pipeConn) CloseWrite() error                  { c.out.end(io.EOF); return nil }
func (c *pipeConn) Close() error                       { c.in.end(net.ErrClosed); c.out.end(io.EOF); return nil }
func (c *pipeConn) LocalAddr() net.Addr                { return &net.UnixAddr{Name: "memory"} }
func (c *pipeConn) RemoteAddr() net.Addr               { return &net.UnixAddr{Name: "memory"} }
func (c *pipeConn) SetDeadline(t time.Time) error      { return c.SetReadDeadline(t) }
func (c *pipeConn) SetWriteDeadline(t time.Time) error { return nil }
func (c *pipeConn) SetReadDeadline(t time.Time) error  { c.in.until(t); return nil }

// stream is one direction.
type stream struct {
	mu      sync.Mutex
	changed *sync.Cond
	buf     []byte
	err     error // once buf is empty
	late    bool  // the deadline has passed
	timer   *time.Timer
}

func newStream() *stream {
	s := &stream{}
	s.changed = sync.NewCond(&s.mu)
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.buf) == 0 && s.err == nil && !s.late {
		s.changed.Wait()
	}
	switch {
	case s.late:
		return 0, os.ErrDeadlineExceeded
	case s.err == net.ErrClosed || len(s.buf) == 0:
		return 0, s.err
	}
	n := copy(p, s.buf)
	s.buf = s.buf[n:]
	return n, nil
}

func (s *stream) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, io.ErrClosedPipe
	}
	s.buf = append(s.buf, p...)
	s.changed.Broadcast()
	return len(p), nil
}

func (s *stream) end(err error) {
	s.mu.Lock()
	if s.err != net.ErrClosed {
		s.err = err
	}
	s.mu.Unlock()
	s.changed.Broadcast()
}

func (s *stream) until(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.late = false; !t.IsZero() {
		s.timer = time.AfterFunc(time.Until(t), func() {
			s.mu.Lock()
			s.late = true
			s.mu.Unlock()
			s.changed.Broadcast()
		})
	}
}
