package sealed

import (
	"encoding/binary"
	"time"
)

const (
	reassemblyTime     = 250 * time.Millisecond
	reassembliesOf     = 2  // of one channel (WIRE.md section 6.7)
	reassemblies       = 32 // of one lane: what one packet of many fragments may cost to look up
	reassemblyOverhead = 192
)

// partial is a message of which pieces are missing.
type partial struct {
	channel, count uint8
	seq            uint16
	have           uint16 // bit i: piece i came
	began          instant
	came           uint8 // pieces, in the order of from
	from           [maxPieces]uint8
	ends           [maxPieces]uint16 // in buf, by order of arrival
	buf            []byte
}

// reassembly is the partial messages of one lane, oldest first. It holds what arrived
// and no more.
type reassembly struct {
	all   []*partial
	bytes int
}

// add takes the FRAGMENT frame f, which check has passed and which is borrowed, and
// returns the message that it completed; the caller owns it.
func (r *reassembly) add(f []byte, at instant, s *settings) (m []byte, done bool) {
	channel, seq, index, count := f[1], binary.BigEndian.Uint16(f[2:]), f[4], f[5]
	piece := f[fragmentLen:]
	i := r.find(channel, seq)
	if i >= 0 && (r.all[i].count != count || r.all[i].have&(1<<index) != 0) {
		s.counters.Add(DropFragment)
		return nil, false
	}
	held := 0
	if i >= 0 {
		held = len(r.all[i].buf)
	}
	if held+len(piece) > s.maxMessage {
		s.counters.Add(DropTooLarge)
		if i >= 0 {
			r.remove(i)
		}
		return nil, false
	}
	var p *partial
	if i < 0 {
		r.room(channel, s)
		p = &partial{channel: channel, count: count, seq: seq, began: at}
		r.all = append(r.all, p)
		r.bytes += reassemblyOverhead
	} else {
		p = r.all[i]
	}
	p.buf = append(p.buf, piece...)
	r.bytes += len(piece)
	p.have |= 1 << index
	p.from[p.came], p.ends[p.came] = index, uint16(len(p.buf))
	p.came++
	if p.came == p.count {
		r.remove(r.find(channel, seq))
		return p.whole(), true
	}
	for r.bytes > s.reassemblyBytes {
		s.counters.Add(DropEvicted)
		r.remove(0)
	}
	return nil, false
}

// room makes place for one more reassembly of the channel.
func (r *reassembly) room(channel uint8, s *settings) {
	oldest, n := 0, 0
	for i, p := range r.all {
		if p.channel == channel {
			if n == 0 {
				oldest = i
			}
			n++
		}
	}
	if n < reassembliesOf && len(r.all) < reassemblies {
		return
	}
	if n < reassembliesOf {
		oldest = 0
	}
	s.counters.Add(DropEvicted)
	r.remove(oldest)
}

// expire drops what did not complete in time.
func (r *reassembly) expire(at instant, s *settings) {
	for len(r.all) > 0 && at-r.all[0].began >= reassemblyTime {
		s.counters.Add(DropIncomplete)
		r.remove(0)
	}
}

func (r *reassembly) find(channel uint8, seq uint16) int {
	for i, p := range r.all {
		if p.seq == seq && p.channel == channel {
			return i
		}
	}
	return -1
}

func (r *reassembly) remove(i int) {
	r.bytes -= reassemblyOverhead + len(r.all[i].buf)
	copy(r.all[i:], r.all[i+1:])
	r.all[len(r.all)-1] = nil
	r.all = r.all[:len(r.all)-1]
}

// whole is the message in order. What came in order is in place already.
func (p *partial) whole() []byte {
	inOrder := true
	for i := range p.count {
		inOrder = inOrder && p.from[i] == i
	}
	if inOrder {
		return p.buf
	}
	var place [maxPieces]uint8
	for arrival, index := range p.from[:p.count] {
		place[index] = uint8(arrival)
	}
	m := make([]byte, 0, len(p.buf))
	for _, arrival := range place[:p.count] {
		begin := uint16(0)
		if arrival > 0 {
			begin = p.ends[arrival-1]
		}
		m = append(m, p.buf[begin:p.ends[arrival]]...)
	}
	return m
}
