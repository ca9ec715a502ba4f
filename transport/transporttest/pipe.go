package transporttest

import (
	"errors"
	"io"
	"net"
	"sync"
)

// pipeSize is how many bytes wait in one direction of a connection in memory.
const pipeSize = 64 << 10

var errReset = errors.New("transporttest: the stream was reset")

// pipe is one direction of a connection in memory. The client's end blocks, the
// gateway's never does and is notified instead.
type pipe struct {
	notify func() // calls the gateway's end; must not block

	mu      sync.Mutex
	changed sync.Cond
	buf     []byte
	ended   bool // everything was written
	deaf    bool // nobody reads any more: what is written is an error
	reset   bool
}

func newPipe(notify func()) *pipe {
	p := &pipe{notify: notify}
	p.changed.L = &p.mu
	return p
}

// update changes p and tells both ends.
func (p *pipe) update(f func()) {
	p.mu.Lock()
	f()
	p.changed.Broadcast()
	p.mu.Unlock()
	p.notify()
}

func (p *pipe) end() { p.update(func() { p.ended = true }) }

func (p *pipe) stopReading() { p.update(func() { p.deaf, p.buf = true, nil }) }

func (p *pipe) sever() { p.update(func() { p.reset, p.buf = true, nil }) }

// Read blocks; from the client.
func (p *pipe) Read(b []byte) (n int, err error) {
	p.update(func() {
		for len(p.buf) == 0 && !p.ended && !p.reset && !p.deaf {
			p.changed.Wait()
		}
		n, err = p.take(b)
	})
	return n, err
}

// tryRead returns 0 and nil when there is nothing to read now.
func (p *pipe) tryRead(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n, err = p.take(b); n > 0 {
		p.changed.Broadcast()
	}
	return n, err
}

func (p *pipe) take(b []byte) (int, error) {
	switch {
	case p.reset:
		return 0, errReset
	case p.deaf:
		return 0, net.ErrClosed
	case len(p.buf) == 0 && p.ended:
		return 0, io.EOF
	}
	n := copy(b, p.buf)
	p.buf = append(p.buf[:0], p.buf[n:]...)
	return n, nil
}

// Write blocks; from the client.
func (p *pipe) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var k int
		p.update(func() {
			for len(p.buf) == pipeSize && !p.deaf && !p.reset && !p.ended {
				p.changed.Wait()
			}
			k, err = p.put(b[n:])
		})
		n += k
	}
	return n, err
}

// tryWrite returns 0 and nil when nothing can be written now.
func (p *pipe) tryWrite(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n, err = p.put(b); n > 0 {
		p.changed.Broadcast()
	}
	return n, err
}

func (p *pipe) put(b []byte) (int, error) {
	switch {
	case p.reset, p.deaf:
		return 0, errReset
	case p.ended:
		return 0, net.ErrClosed
	}
	n := min(len(b), pipeSize-len(p.buf))
	p.buf = append(p.buf, b[:n]...)
	return n, nil
}

// memoryStream is the client's end of a connection in memory.
type memoryStream struct{ up, down *pipe }

func (s memoryStream) Read(b []byte) (int, error) { return s.down.Read(b) }

func (s memoryStream) Write(b []byte) (int, error) { return s.up.Write(b) }

func (s memoryStream) CloseWrite() error {
	s.up.end()
	return nil
}

func (s memoryStream) Close() error {
	s.up.end()
	s.down.stopReading()
	return nil
}

func (s memoryStream) Reset() {
	s.up.sever()
	s.down.sever()
}
