package tcp

import (
	"time"

	"golang.org/x/sys/unix"

	"strait/internal/direct"
)

// wake takes the write ownership and writes, in the caller's goroutine, unless
// somebody has it: then he will look again. It never waits: what the socket does
// not take is written by the loop when it does.
func (m *moved) wake() {
	c := m.c
	for {
		switch c.writer.Load() {
		case idle:
			if c.writer.CompareAndSwap(idle, busy) {
				m.write()
				return
			}
		case busy:
			if c.writer.CompareAndSwap(busy, again) {
				return
			}
		default: // again, blocked or stopped
			return
		}
	}
}

// writable goes on writing where the socket was full. By the loop.
func (m *moved) writable() {
	if m.finished || !m.c.writer.CompareAndSwap(blocked, busy) {
		return
	}
	m.want(0, unix.EPOLLOUT)
	m.write()
}

// write writes until nothing is left, the socket is full, the end was written, or
// writing failed. Its caller has the write ownership, and has it no longer when it
// returns.
func (m *moved) write() {
	c := m.c
	b := getBuffer()
	defer putBuffer(b)
	for {
		full, err := m.send()
		if err != nil {
			m.stop(true)
			return
		}
		if full {
			c.core.Idle()
			m.want(unix.EPOLLOUT, 0) // while the descriptor is surely ours
			c.writer.Store(blocked)
			return
		}
		if m.outDone {
			m.stop(unix.Shutdown(m.fd, unix.SHUT_WR) != nil)
			return
		}
		out, done := c.core.Fill((*b)[:0], recordSize, time.Now())
		if cap(out) > cap(*b) {
			*b = out[:0]
		}
		if len(out) > 0 {
			_, err = c.tls.Write(out)
		}
		if done && err == nil {
			m.outDone = true
			err = c.tls.CloseWrite()
		}
		if err != nil {
			m.stop(true)
			return
		}
		if len(out) > 0 || done || c.sock.pendingOut() {
			continue
		}
		c.core.Idle()
		if c.writer.CompareAndSwap(busy, idle) {
			return
		}
		c.writer.Store(busy) // from again, which nobody else leaves
	}
}

// send gives the socket what is waiting; full: it did not take all.
func (m *moved) send() (full bool, err error) {
	for {
		if len(m.out) == 0 {
			m.sent()
			if m.outBuf = m.c.sock.takeOutput(); m.outBuf == nil {
				return false, nil
			}
			m.out = *m.outBuf
		}
		n, err := direct.Write(m.fd, m.out)
		switch err {
		case nil:
			m.c.l.counters.bytesOut.Add(uint64(n))
			m.out = m.out[n:]
		case unix.EINTR:
		case unix.EAGAIN:
			return true, nil
		default:
			return false, err
		}
	}
}

// sent gives back the buffer that was written.
func (m *moved) sent() {
	if m.outBuf != nil {
		putBuffer(m.outBuf)
		m.out, m.outBuf = nil, nil
	}
}

// stop ends writing for good and tells the loop.
func (m *moved) stop(failed bool) {
	m.c.core.Idle()
	if failed {
		m.c.broken.Store(true)
	}
	m.c.writer.Store(stopped)
	m.loop.schedule(m)
}
