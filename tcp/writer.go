package tcp

import (
	"sync"
	"time"
)

// recordSize is what one TLS record carries at most: one write system call.
const recordSize = 16384

// The states of a connection's writer. Wake and the writer itself move between
// them by compare-and-swap alone, so that no Wake is lost: one that comes while
// the writer runs makes it look again before it may rest.
const (
	idle    uint32 = iota // no goroutine; Wake starts one
	busy                  // it runs, or is held back because there is no peer yet
	again                 // it runs and was woken meanwhile
	stopped               // nothing will be written any more
	blocked               // on an event loop: the socket is full, the loop goes on when it is not
)

// buffers hold what one write takes; a longer message makes its own.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, recordSize+512); return &b }}

// maxBuffer is the capacity up to which a buffer is kept for others.
const maxBuffer = 128 << 10

func getBuffer() *[]byte { return buffers.Get().(*[]byte) }

// putBuffer gives b back; its content is gone.
func putBuffer(b *[]byte) {
	if cap(*b) <= maxBuffer {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

// Wake says that there may be something to write.
func (c *Conn) Wake() {
	if m := c.moved.Load(); m != nil {
		m.wake()
		return
	}
	for {
		switch c.writer.Load() {
		case idle:
			if c.writer.CompareAndSwap(idle, busy) {
				go c.write()
				return
			}
		case busy:
			if c.writer.CompareAndSwap(busy, again) {
				return
			}
		default:
			return
		}
	}
}

// runWriter writes until nothing is left, or the end was written, or writing failed.
func (c *Conn) runWriter() {
	if m := c.moved.Load(); m != nil {
		m.write() // moved after it was started, and with the ownership that it was given
		return
	}
	b := buffers.Get().(*[]byte)
	for {
		out, done := c.core.Fill((*b)[:0], recordSize, time.Now())
		if len(out) > 0 {
			if _, err := c.tls.Write(out); err != nil {
				buffers.Put(b)
				c.stopWriter(true)
				return
			}
		}
		switch {
		case done:
			buffers.Put(b)
			c.stopWriter(c.shut() != nil)
			return
		case len(out) > 0:
			continue
		}
		c.core.Idle()
		buffers.Put(b)
		if c.writer.CompareAndSwap(busy, idle) {
			// The reader, at its end, may be waiting for this.
			if c.ending.Load() != nil {
				c.poke()
			}
			return
		}
		c.writer.Store(busy) // from again, which nobody else leaves
		b = buffers.Get().(*[]byte)
	}
}

// shut sends close_notify and FIN.
func (c *Conn) shut() error {
	if err := c.tls.CloseWrite(); err != nil {
		return err
	}
	if half, ok := c.sock.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// stopWriter ends writing for good and tells the reader.
func (c *Conn) stopWriter(failed bool) {
	c.core.Idle()
	if failed {
		c.broken.Store(true)
	}
	c.writer.Store(stopped)
	// A connection that cannot be written is over, but what the client said last
	// may still be there to be read.
	wait := longAgo
	if failed && c.ending.Load() == nil {
		wait = time.Now().Add(c.l.config.Linger)
	}
	_ = c.sock.Conn.SetReadDeadline(wait)
	c.poke()
}
