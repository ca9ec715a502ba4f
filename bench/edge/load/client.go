//go:build linux

package load

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"strait/proto/wire"
)

// MinSize is the least payload of a message: its number.
const MinSize = 8

// client is one session. After it was opened only the loop touches it.
type client struct {
	link *link
	tls  *tls.Conn

	in      frames
	opened  bool
	hello   []byte     // SERVER_HELLO's payload
	dg      *datagrams // where messages go; nil: through tls
	payload []byte
	lost    int64  // datagrams
	pending []byte // ciphertext that the socket did not take
	writing bool   // waits for writability

	sent     uint64 // messages, numbered from 0
	received uint64
	waiting  fifo // the times of those on the way, as the load counts them
	owed     int  // messages to send when all input was looked at
}

// close ends the client without a word.
func (c *client) close() error {
	err := c.link.Close()
	if c.dg != nil {
		err = errors.Join(err, unix.Close(c.dg.fd))
		c.dg = nil
	}
	return err
}

// fifo is a queue that keeps its memory.
type fifo struct {
	at   []int64
	head int
}

func (q *fifo) len() int { return len(q.at) - q.head }

func (q *fifo) push(v int64) {
	if q.head > 0 && len(q.at) == cap(q.at) {
		q.at = q.at[:copy(q.at, q.at[q.head:])]
		q.head = 0
	}
	q.at = append(q.at, v)
}

// pop must not be called on an empty queue.
func (q *fifo) pop() int64 {
	v := q.at[q.head]
	if q.head++; q.head == len(q.at) {
		q.at, q.head = q.at[:0], 0
	}
	return v
}

// frames cuts a byte stream into frames without keeping the payload of DATA.
type frames struct {
	head    [wire.HeaderLen]byte
	headLen int
	h       wire.Header
	left    uint32 // of the payload, when the header is whole
	kept    []byte // of a control frame all, of DATA the first MinSize bytes
}

// next takes from b what belongs to the frame that is under way. done is true with
// a frame's last byte; then f.h and f.kept tell what it was, until the next call.
func (f *frames) next(b []byte) (rest []byte, done bool, err error) {
	if f.headLen < wire.HeaderLen {
		n := copy(f.head[f.headLen:], b)
		f.headLen += n
		b = b[n:]
		if f.headLen < wire.HeaderLen {
			return nil, false, nil
		}
		f.h, _ = wire.ParseHeader(f.head[:])
		if f.h.Type != wire.Data && f.h.Length > wire.MaxControl {
			return nil, false, fmt.Errorf("a frame of type %v with %d bytes, %d are allowed", f.h.Type, f.h.Length, wire.MaxControl)
		}
		f.left, f.kept = f.h.Length, f.kept[:0]
	}
	n := min(uint32(min(len(b), wire.MaxFrameLen)), f.left)
	if f.h.Type != wire.Data {
		f.kept = append(f.kept, b[:n]...)
	} else if missing := MinSize - len(f.kept); missing > 0 {
		f.kept = append(f.kept, b[:min(int(n), missing)]...)
	}
	f.left -= n
	if f.left > 0 {
		return nil, false, nil
	}
	f.headLen = 0
	return b[n:], true, nil
}

// ClosedError is a CLOSE that the gateway sent.
type ClosedError struct {
	Code   uint32
	Reason string
}

func (e *ClosedError) Error() string {
	return fmt.Sprintf("the gateway closed a session: %s (code %d)", e.Reason, e.Code)
}

var errOutOfOrder = errors.New("an echo is not the message that was due")

// feed takes plaintext, which is borrowed until return. Of DATA it checks the
// length and the number and calls echoed with the time that waited for it;
// control is called with each other frame that asks for an answer.
func (c *client) feed(b []byte, size int, echoed func(at int64), ping func(payload []byte) error) error {
	for len(b) > 0 {
		rest, done, err := c.in.next(b)
		if err != nil {
			return err
		}
		b = rest
		if !done {
			return nil
		}
		switch c.in.h.Type {
		case wire.Data:
			if c.waiting.len() == 0 || int(c.in.h.Length) != size || binary.LittleEndian.Uint64(c.in.kept) != c.received {
				return fmt.Errorf("%w: %d bytes, %d messages on the way, each of %d bytes", errOutOfOrder, c.in.h.Length, c.waiting.len(), size)
			}
			c.received++
			echoed(c.waiting.pop())
		case wire.ServerHello:
			c.opened, c.hello = true, bytes.Clone(c.in.kept)
		case wire.Ping:
			if err := ping(c.in.kept); err != nil {
				return err
			}
		case wire.Close:
			code, reason, _, err := wire.ParseClose(c.in.kept)
			if err != nil {
				return err
			}
			return &ClosedError{Code: code, Reason: reason}
		case wire.Pong, wire.Ack, wire.GoAway, wire.UDPOffer:
		default:
			if !c.in.h.Type.Skippable() {
				return fmt.Errorf("a frame that nobody sends here, of type %v", c.in.h.Type)
			}
		}
	}
	return nil
}

// message appends the frame of the next message, of size bytes, to buf and counts
// it as on the way since at. What follows the number is whatever buf's memory held.
func (c *client) message(buf []byte, size int, at int64) []byte {
	n := len(buf)
	buf = slices.Grow(buf, wire.HeaderLen+size)
	buf = wire.AppendHeader(buf, wire.Header{Length: uint32(size), Type: wire.Data})
	buf = buf[:n+wire.HeaderLen+size]
	binary.LittleEndian.PutUint64(buf[n+wire.HeaderLen:], c.sent)
	c.sent++
	c.waiting.push(at)
	return buf
}
