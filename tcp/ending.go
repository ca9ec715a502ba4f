package tcp

import (
	"errors"
	"io"
	"os"
	"time"
)

// discardSize is how much is read and discarded at a time.
const discardSize = 4096

// end finishes a connection whose reading has ended: the last words are written,
// the socket is closed, and the peer hears of it when no goroutine is left.
func (c *Conn) end() {
	if c.held {
		c.letWrite()
	}
	reason := c.reason
	c.ending.CompareAndSwap(nil, &reason)
	if reason.Lost {
		c.l.counters.lostByTheOther.Add(1)
	} else {
		c.linger()
		if c.writer.Load() == stopped && !c.broken.Load() {
			c.l.counters.lingered.Add(1)
		} else {
			c.l.counters.forced.Add(1)
		}
	}
	_ = c.sock.Conn.Close()
	c.joinWriter()
	relay{c}.Gone(reason)
}

// letReadAlert ends the writing of a client that is refused for its certificate and
// discards what it sends until it ends, too: with TLS 1.3 its frames follow its handshake
// at once, and closing a socket with unread input may destroy the alert. The opening's
// deadline goes on, and the client may be made to give way to another.
func (c *Conn) letReadAlert() {
	half, ok := c.sock.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	until := time.Now().Add(c.l.config.Linger)
	if until.After(c.deadline) {
		until = c.deadline
	}
	_ = c.sock.Conn.SetReadDeadline(until)
	n, _ := io.Copy(io.Discard, io.LimitReader(c.sock.Conn, int64(c.l.config.LingerBytes)))
	c.l.counters.bytesIn.Add(uint64(n))
}

// linger waits until everything up to FIN is written, reading and discarding
// meanwhile, and then goes on so until the client ends its side: closing a socket
// with unread input resets the connection and may destroy the CLOSE.
func (c *Conn) linger() {
	until := time.Now().Add(c.l.config.Linger)
	_ = c.sock.Conn.SetWriteDeadline(until)
	c.Wake()
	written := false
	buf := make([]byte, min(discardSize, c.l.config.LingerBytes))
	for left := c.l.config.LingerBytes; left > 0; {
		if !written && c.writer.Load() == stopped {
			if c.broken.Load() {
				return
			}
			written, until = true, time.Now().Add(c.l.config.Linger)
		}
		_ = c.sock.Conn.SetReadDeadline(until)
		n, err := c.sock.Conn.Read(buf[:min(left, len(buf))])
		c.l.counters.bytesIn.Add(uint64(n))
		left -= n
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			// Another deadline than the one set here means that something changed.
			if !time.Now().Before(until) {
				c.awaitWriter()
				return
			}
		default:
			c.awaitWriter()
			return
		}
	}
	c.awaitWriter()
	if !c.broken.Load() {
		c.await(time.Now().Add(c.l.config.Linger))
	}
}

// awaitWriter waits for the end of writing; the write deadline bounds it.
func (c *Conn) awaitWriter() {
	for c.writer.Load() != stopped {
		<-c.signal
	}
}

// await lets time pass, unless the connection is cut.
func (c *Conn) await(until time.Time) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	for !c.severed.Load() {
		select {
		case <-c.signal:
		case <-timer.C:
			return
		}
	}
}

// joinWriter makes sure that no writer runs and none will; the socket is closed,
// so that none can block.
func (c *Conn) joinWriter() {
	for {
		switch c.writer.Load() {
		case stopped:
			return
		case idle:
			if c.writer.CompareAndSwap(idle, stopped) {
				return
			}
		default:
			<-c.signal
		}
	}
}
