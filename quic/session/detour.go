package session

import (
	"sync"

	"strait/transport"
)

// detourBytes bounds what waits in a detour, payload alone.
const detourBytes = 64 << 10

// detour holds unreliable messages that are longer than any datagram to this peer can
// be, for DATA_UNRELIABLE on the control stream: the newest of each channel (WIRE.md
// section 1). They have their sequence already. For a peer whose max_datagram_frame_size
// is at least 1107 it stays empty.
type detour struct {
	mu    sync.Mutex
	ms    []transport.Message
	bytes int
}

// push takes m; dropped is how many gave way to it.
func (d *detour) push(m transport.Message) (dropped int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.ms {
		if d.ms[i].Channel == m.Channel {
			d.remove(i).Buf.Release()
			dropped++
			break
		}
	}
	for len(d.ms) > 0 && d.bytes+len(m.Buf.B) > detourBytes {
		d.remove(0).Buf.Release()
		dropped++
	}
	d.ms = append(d.ms, m)
	d.bytes += len(m.Buf.B)
	return dropped
}

// remove takes the i-th message out. mu is held.
func (d *detour) remove(i int) transport.Message {
	m := d.ms[i]
	d.bytes -= len(m.Buf.B)
	copy(d.ms[i:], d.ms[i+1:])
	d.ms[len(d.ms)-1] = transport.Message{}
	d.ms = d.ms[:len(d.ms)-1]
	return m
}

// pull appends the oldest to dst, about budget bytes and at least one.
func (d *detour) pull(dst []transport.Message, budget int) []transport.Message {
	d.mu.Lock()
	defer d.mu.Unlock()
	for taken := 0; len(d.ms) > 0 && (taken == 0 || taken+len(d.ms[0].Buf.B)+frameOverhead <= budget); {
		m := d.remove(0)
		taken += len(m.Buf.B) + frameOverhead
		dst = append(dst, m)
	}
	return dst
}

// drop releases what is left and says how many those were.
func (d *detour) drop() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for n = 0; len(d.ms) > 0; n++ {
		d.remove(0).Buf.Release()
	}
	return n
}
