package udp

import (
	"time"

	"strait/udp/sealed"
)

// The states of a socket's writer, moved between by compare-and-swap alone: whoever
// makes it busy writes, and who comes meanwhile makes him look again.
const (
	idle uint32 = iota
	busy
	again
)

const (
	// maxPieces is into how many datagrams one message is cut at most.
	maxPieces = 16
	// maxOut is what may be sealed and not sent: a batch, and the message that did
	// not fit into its last place.
	maxOut = batchSize + maxPieces
)

// add puts l on the list of lanes that may have something to send.
func (s *socket) add(l *Lane) {
	s.mu.Lock()
	s.pending = append(s.pending, l)
	s.waiting.Store(true)
	s.mu.Unlock()
}

// flush writes what is pending, in the caller's goroutine, unless another does: then
// that one looks again. It never waits.
func (s *socket) flush() {
	for {
		switch s.writer.Load() {
		case idle:
			if s.writer.CompareAndSwap(idle, busy) {
				if s.port.waits() {
					s.kick <- struct{}{} // has room: only who is busy sends
				} else {
					s.run(false)
				}
				return
			}
		case busy:
			if s.writer.CompareAndSwap(busy, again) {
				return
			}
		default:
			return
		}
	}
}

// stand is the goroutine that writes where waiting is needed: when the socket is
// full, and on a port that cannot but wait.
func (s *socket) stand(stop <-chan struct{}) {
	for {
		select {
		case <-s.kick:
			s.run(true)
		case <-stop:
			s.finish()
			return
		}
	}
}

// finish writes the last that there is to write, or sees that another does, who is
// done soon: nobody waits for long any more (port.hurry).
func (s *socket) finish() {
	s.flush()
	for end := time.Now().Add(lastWords); s.writer.Load() != idle && time.Now().Before(end); {
		select {
		case <-s.kick:
			s.run(true)
		default:
			time.Sleep(100 * time.Microsecond)
		}
	}
}

// run writes until nothing is left. Its caller made the writer busy, and it is
// that no longer on return. Without wait, what a full socket does not take is left
// to stand; sessions keep, or drop, what nobody pulls meanwhile.
func (s *socket) run(wait bool) {
	for {
		if s.sent < len(s.out) {
			n := s.port.write(s.out[s.sent:], wait)
			s.wrote(s.out[s.sent:][:n])
			if s.sent += n; s.sent < len(s.out) {
				if !wait {
					s.kick <- struct{}{}
				}
				return // or it is closed
			}
		}
		clear(s.out)
		s.out, s.sent = s.out[:0], 0
		s.fill(s.service.config.inner.now())
		if len(s.out) > 0 {
			continue
		}
		if s.writer.CompareAndSwap(busy, idle) {
			return
		}
		s.writer.Store(busy) // from again, which nobody else leaves
	}
}

func (s *socket) wrote(out []datagram) {
	size := 0
	for i := range out {
		size += len(out[i].b)
	}
	s.datagramsOut.add(len(out))
	s.bytesOut.add(size)
}

// fill puts what is pending into out, up to a batch.
func (s *socket) fill(now time.Time) {
	for !s.full() {
		if s.next == len(s.turn) {
			if !s.fetch() {
				return
			}
			continue
		}
		if !s.turn[s.next].fill(s, now) {
			return
		}
		s.turn[s.next] = nil
		s.next++
	}
}

func (s *socket) full() bool { return len(s.out) >= batchSize }

// fetch moves what others left into the writer's hands; false: there is nothing.
func (s *socket) fetch() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.replies), batchSize-len(s.out))
	for i := range n {
		r := &s.replies[i]
		s.emit(datagram{b: append(s.slot()[:0], r.b[:r.n]...), remote: r.remote, local: r.local})
	}
	s.replies = s.replies[:copy(s.replies, s.replies[n:])]
	s.turn, s.pending, s.next = s.pending, s.turn[:0], 0
	s.waiting.Store(len(s.replies) > 0)
	return n > 0 || len(s.turn) > 0
}

// slot is the memory for the next of out; nil: there is none.
func (s *socket) slot() []byte {
	at := len(s.out) * sealed.MaxPacket
	if at == len(s.memory) {
		return nil
	}
	return s.memory[at:][:sealed.MaxPacket:sealed.MaxPacket]
}

// emit adds a datagram that lies in slot.
func (s *socket) emit(d datagram) { s.out = append(s.out, d) }
