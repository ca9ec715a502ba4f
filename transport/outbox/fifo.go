package outbox

import "strait/transport"

// fifo is a growing circular buffer of unreliable messages. An idle one holds little
// memory.
type fifo struct {
	ring  []transport.Message // length is 0 or a power of two
	head  int
	n     int
	bytes int // payload and Overhead
}

func (f *fifo) at(i int) *transport.Message { return &f.ring[(f.head+i)&(len(f.ring)-1)] }

func (f *fifo) push(m transport.Message) {
	if f.n == len(f.ring) {
		grown := make([]transport.Message, max(4, 2*len(f.ring)))
		for i := range f.n {
			grown[i] = *f.at(i)
		}
		f.ring, f.head = grown, 0
	}
	f.n++
	*f.at(f.n - 1) = m
	f.bytes += len(m.Buf.B) + Overhead
}

// remove takes the i-th message out and closes the gap from the front, where
// removals happen.
func (f *fifo) remove(i int) transport.Message {
	m := *f.at(i)
	for ; i > 0; i-- {
		*f.at(i) = *f.at(i - 1)
	}
	*f.at(0) = transport.Message{}
	f.head = (f.head + 1) & (len(f.ring) - 1)
	f.n--
	f.bytes -= len(m.Buf.B) + Overhead
	if f.n == 0 {
		f.head = 0
		if len(f.ring) > keep {
			f.ring = nil
		}
	}
	return m
}

// find returns the index of the newest message of a channel, or -1.
func (f *fifo) find(channel uint8) int {
	for i := f.n - 1; i >= 0; i-- {
		if f.at(i).Channel == channel {
			return i
		}
	}
	return -1
}
