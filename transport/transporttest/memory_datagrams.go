package transporttest

import (
	"encoding/binary"
	"net"
	"sync"

	"strait/transport"
)

// datagramsWaiting is how many datagrams wait in one direction of a connection in
// memory; what a client sends beyond it is lost.
const datagramsWaiting = 64

// memoryDatagrams is the unreliable lane inside a connection in memory. It
// implements [transport.Lane]; what it does not say itself the connection does.
type memoryDatagrams struct {
	transport.Lane // the connection
	conn           *memoryConn

	// owned by the connection's goroutine
	ids []uint8
	ms  []transport.Message

	mu       sync.Mutex
	arrived  sync.Cond // down or ended
	up, down [][]byte
	ended    bool
}

func newMemoryDatagrams(c *memoryConn) *memoryDatagrams {
	d := &memoryDatagrams{Lane: c, conn: c}
	d.arrived.L = &d.mu
	return d
}

// Max implements [transport.Lane].
func (d *memoryDatagrams) Max() int { return leastMax + 100 }

func (d *memoryDatagrams) end() {
	d.mu.Lock()
	d.ended = true
	d.arrived.Broadcast()
	d.mu.Unlock()
}

// turn delivers what has arrived and sends what there is room for; false: nothing
// was done.
func (d *memoryDatagrams) turn() bool {
	d.mu.Lock()
	up := d.up
	d.up = nil
	room := datagramsWaiting - len(d.down)
	d.mu.Unlock()
	open := d.conn.core.Opened()
	if open && !d.conn.core.Finished() {
		d.deliver(up)
	}
	sent := false
	for ; open && !d.conn.written && room > 0; room-- {
		d.ms = d.conn.peer.Pull(d.ms[:0], transport.Unreliable, transport.AnyChannel, 1)
		if len(d.ms) == 0 {
			break
		}
		sent = true
		m := d.ms[0]
		d.mu.Lock()
		d.down = append(d.down, appendBody(nil, m.Channel, m.Seq, string(m.Buf.B)))
		d.arrived.Broadcast()
		d.mu.Unlock()
		m.Buf.Release()
	}
	return sent || len(up) > 0
}

func (d *memoryDatagrams) deliver(up [][]byte) {
	for _, b := range up {
		if len(b) < 4 || b[0] != 0x10 {
			continue
		}
		m := transport.Message{
			Delivery: transport.Unreliable, Channel: b[1], Seq: binary.BigEndian.Uint16(b[2:]),
			Buf: d.conn.memory.setup.Pool.Copy(b[4:]),
		}
		if d.conn.peer.Deliver([]transport.Message{m}) == 0 {
			m.Buf.Release()
		}
	}
}

// pull is the stream's Pull: of each channel a little, and nothing unreliable.
func (d *memoryDatagrams) pull(dst []transport.Message, class transport.Delivery, budget int) []transport.Message {
	if class == transport.Unreliable {
		return dst
	}
	d.ids = d.conn.peer.Channels(d.ids[:0])
	if len(d.ids) == 0 { // the peer is to know that it was asked
		return d.conn.peer.Pull(dst, class, transport.AnyChannel, budget)
	}
	for _, id := range d.ids {
		dst = d.conn.peer.Pull(dst, class, int(id), max(1, budget/len(d.ids)))
	}
	return dst
}

// datagramStream is the client's end.
type datagramStream struct {
	memoryStream
	d *memoryDatagrams
}

// SendDatagram implements Datagrams.
func (s datagramStream) SendDatagram(b []byte) error {
	s.d.mu.Lock()
	ended := s.d.ended
	if !ended && len(s.d.up) < datagramsWaiting {
		s.d.up = append(s.d.up, append([]byte(nil), b...))
	}
	s.d.mu.Unlock()
	if ended {
		return net.ErrClosed
	}
	s.d.conn.poke()
	return nil
}

// ReceiveDatagram implements Datagrams.
func (s datagramStream) ReceiveDatagram() ([]byte, error) {
	s.d.mu.Lock()
	for len(s.d.down) == 0 && !s.d.ended {
		s.d.arrived.Wait()
	}
	if len(s.d.down) == 0 {
		s.d.mu.Unlock()
		return nil, net.ErrClosed
	}
	b := s.d.down[0]
	s.d.down = s.d.down[1:]
	s.d.mu.Unlock()
	s.d.conn.poke() // there is room again
	return b, nil
}

// Close implements Stream.
func (s datagramStream) Close() error {
	s.d.end()
	return s.memoryStream.Close()
}

// Reset implements Stream.
func (s datagramStream) Reset() {
	s.d.end()
	s.memoryStream.Reset()
}
