package outbox

import (
	"bytes"

	"strait/transport"
)

// channels is the queue of reliable messages: one order over all of them and one
// within each channel, so that taking the next one is O(1) either way. Messages
// lie in a circular buffer in the order in which they came; those of one channel
// are linked from the first time on that somebody asks for one channel: who never
// does pays nothing for it. A message that was taken out of the middle leaves a
// hole, which the head passes over later, or which goes when the buffer is full.
type channels struct {
	ring []linked // length is 0 or a power of two
	// head and tail are positions: the slot of one is its remainder by the length,
	// and it stays the same when the buffer grows. The head is never a hole.
	head, tail uint32
	n          int // messages, without the holes
	bytes      int // payload and Overhead

	// split says that ids and chains are kept. ids are the channels that messages are queued of, in no order, and chains the
	// messages of each.
	split  bool
	ids    []byte
	chains []chain
}

// linked is a message in its channel; buf is nil in a hole.
type linked struct {
	buf     *transport.Buf
	next    uint32 // position of the next one of the channel, if it is not the last
	channel uint8
}

type chain struct{ first, last uint32 } // positions

func (c *channels) at(pos uint32) *linked { return &c.ring[pos&uint32(len(c.ring)-1)] }

func (c *channels) push(channel uint8, b *transport.Buf) {
	if int(c.tail-c.head) == len(c.ring) {
		c.makeRoom()
	}
	*c.at(c.tail) = linked{buf: b, channel: channel}
	if c.split {
		c.link(c.tail)
	}
	c.tail++
	c.n++
	c.bytes += len(b.B) + Overhead
}

// link appends the message at pos to the chain of its channel.
func (c *channels) link(pos uint32) {
	id := c.at(pos).channel
	i := bytes.IndexByte(c.ids, id)
	if i < 0 {
		c.ids = append(c.ids, id)
		c.chains = append(c.chains, chain{first: pos, last: pos})
		return
	}
	c.at(c.chains[i].last).next = pos
	c.chains[i].last = pos
}

// makeRoom doubles the buffer, unless half of it are holes: then it closes them,
// which is no more work for each message than growing.
func (c *channels) makeRoom() {
	if c.n > len(c.ring)/2 || len(c.ring) == 0 {
		old := *c
		c.ring = make([]linked, max(4, 2*len(old.ring)))
		for pos := old.head; pos != old.tail; pos++ {
			*c.at(pos) = *old.at(pos)
		}
		return
	}
	c.ids, c.chains = c.ids[:0], c.chains[:0] // holes are there only if they are kept
	to := c.head
	for pos := c.head; pos != c.tail; pos++ {
		m := *c.at(pos)
		*c.at(pos) = linked{}
		if m.buf != nil {
			*c.at(to) = m
			c.link(to)
			to++
		}
	}
	c.tail = to
}

// chain returns the place of a channel in chains; -1 without a message.
func (c *channels) chain(channel uint8) int {
	if !c.split {
		c.split = true
		for pos := c.head; pos != c.tail; pos++ { // no holes yet
			c.link(pos)
		}
	}
	return bytes.IndexByte(c.ids, channel)
}

// pop takes the oldest message. There must be one.
func (c *channels) pop() (b *transport.Buf) {
	if c.split {
		b, _ = c.popOf(c.chain(c.at(c.head).channel))
		return b
	}
	b = c.take(c.head)
	c.head++
	return b
}

// popOf takes the oldest message of a place in chains; last: it was the only one
// there, and places have changed.
func (c *channels) popOf(i int) (b *transport.Buf, last bool) {
	ch := &c.chains[i]
	at := ch.first
	if last = at == ch.last; last {
		end := len(c.ids) - 1
		c.ids[i], c.chains[i] = c.ids[end], c.chains[end]
		c.ids, c.chains = c.ids[:end], c.chains[:end]
	} else {
		ch.first = c.at(at).next
	}
	b = c.take(at)
	for c.n > 0 && c.at(c.head).buf == nil {
		c.head++
	}
	return b, last
}

// pull appends the oldest messages whatever their channel.
func (c *channels) pull(dst []transport.Message, budget int) []transport.Message {
	for taken := 0; c.n > 0; {
		m := c.at(c.head)
		size := len(m.buf.B) + framing
		if taken > 0 && taken+size > budget {
			break
		}
		taken += size
		dst = append(dst, transport.Message{Channel: m.channel, Buf: c.pop()})
	}
	return dst
}

// pullOf appends the oldest messages of one channel.
func (c *channels) pullOf(dst []transport.Message, channel uint8, budget int) []transport.Message {
	i := c.chain(channel)
	taken := 0
	for last := i < 0; !last; {
		size := len(c.at(c.chains[i].first).buf.B) + framing
		if taken > 0 && taken+size > budget {
			break
		}
		taken += size
		got := transport.Message{Channel: channel}
		got.Buf, last = c.popOf(i)
		dst = append(dst, got)
	}
	return dst
}

// take leaves a hole at pos.
func (c *channels) take(pos uint32) *transport.Buf {
	m := c.at(pos)
	b := m.buf
	m.buf = nil
	c.n--
	c.bytes -= len(b.B) + Overhead
	return b
}

// rest gives back the memory that an empty queue does not keep.
func (c *channels) rest() {
	if c.n > 0 {
		return
	}
	c.head, c.tail = 0, 0
	if len(c.ring) > keep {
		c.ring = nil
	}
	if cap(c.ids) > keep {
		c.ids, c.chains = nil, nil
	}
}
