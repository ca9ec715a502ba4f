package session

import (
	"errors"
	"sync"
	"time"

	quicgo "github.com/quic-go/quic-go"
)

// chunk is about how much is encoded for one write of the control stream.
const chunk = 16 << 10

// buffers hold what one write takes; a longer message makes its own.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, chunk+512); return &b }}

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

// leftover is what was encoded and not written, as it would have blocked.
type leftover struct {
	b      *[]byte // nil: nothing
	opened bool    // SERVER_HELLO was written before, or is in it
	done   bool    // CLOSE is in it
}

// writeControl writes the control stream until nothing is left, or CLOSE and FIN were
// written, or writing failed.
func (s *Session) writeControl() {
	defer s.crew.leave()
	stream := s.control.Load()
	left := s.left
	s.left = leftover{}
	for {
		if left.b == nil {
			if s.core.Closing() {
				s.drain()
			}
			left = s.fill(chunk)
		}
		if left.b == nil {
			if s.writer.rest() {
				return
			}
			continue
		}
		if left.done {
			s.drain() // again: the end may have been asked for after the look above
			s.finishChannels()
		}
		_, err := stream.Write(*left.b)
		s.ahead.confirmed()
		putBuffer(left.b)
		switch {
		case err != nil:
			s.core.Idle()
			s.writeFailed(stream, err)
			return
		case left.done:
			s.core.Idle()
			s.finish(stream)
			return
		}
		if left.opened && s.greeted.CompareAndSwap(false, true) {
			s.wake()
		}
		left = leftover{}
	}
}

// fill encodes what there is to write, about limit bytes. By the writer.
func (s *Session) fill(limit int) leftover {
	b := getBuffer()
	opened := s.core.Opened()
	out, done := s.core.Fill((*b)[:0], limit, time.Now())
	*b = out
	if len(out) > 0 || done {
		return leftover{b, opened, done}
	}
	s.core.Idle()
	putBuffer(b)
	return leftover{}
}

// writeNow is the writer as far as it does not block.
func (s *Session) writeNow() bool {
	stream := s.control.Load()
	for s.ahead.room() && !s.core.Closing() {
		left := s.fill(directChunk)
		switch {
		case left.b == nil:
			if s.writer.rest() {
				return true
			}
		case left.done || !s.ahead.write(stream, *left.b):
			s.left = left
			return false
		default:
			putBuffer(left.b)
		}
	}
	return false
}

// drain lets the channels' writers send what is queued before CLOSE says that nothing
// follows, and the peer hear of each stream. A channel that the peer does not read holds
// it up for half of Linger.
func (s *Session) drain() {
	if s.discard.Load() || !s.greeted.Load() {
		return
	}
	timer := time.NewTimer(s.config.Linger / 2)
	defer timer.Stop()
	for {
		s.wake()
		var heardOf <-chan time.Time
		if s.rested() {
			wait := s.unheardOf(time.Now())
			if wait <= 0 {
				return
			}
			heardOf = time.After(wait)
		}
		select {
		case <-s.drained:
		case <-heardOf:
		case <-timer.C:
			s.discard.Store(true) // once is enough
			return
		case <-s.conn.Context().Done():
			return
		}
	}
}

// unheardOf is how long the newest channel stream may still be one that the peer has not
// heard of, as all packets with a part of it were lost. The peer waits, after CLOSE, for
// the streams that it knows, and quic-go does not tell what was acknowledged. So there is
// time for one loss to be noticed by its timeout and mended (RFC 9002 section 6.2.1).
func (s *Session) unheardOf(now time.Time) time.Duration {
	s.mu.Lock()
	newest := s.newest
	s.mu.Unlock()
	if newest.IsZero() {
		return 0
	}
	stats := s.conn.ConnectionStats()
	timeout := stats.SmoothedRTT + max(4*stats.MeanDeviation, timerGranularity) + ackDelay
	return timeout + 2*stats.SmoothedRTT - now.Sub(newest)
}

// timerGranularity is the least that RFC 9002 gives a timer to be late.
const timerGranularity = time.Millisecond

// rested reports whether no channel stream is being written.
func (s *Session) rested() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.outs {
		if o.worker.working() {
			return false
		}
	}
	return true
}

// finishChannels ends the channels' streams on which nothing waits. That comes before
// CLOSE: whoever reads CLOSE waits for the streams that he knows of, and where a packet
// with all of a stream so far was lost, its FIN tells of it.
func (s *Session) finishChannels() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.outs {
		if o.worker.state.CompareAndSwap(idle, stopped) {
			_ = o.stream.Close()
		}
	}
}

// finish ends this end's side of every stream: CLOSE was written.
func (s *Session) finish(control *quicgo.Stream) {
	_ = control.Close()
	s.finishChannels()
	s.mu.Lock()
	for _, o := range s.outs {
		if o.worker.working() {
			_ = o.stream.SetWriteDeadline(longAgo)
		}
	}
	s.mu.Unlock()
	s.stopControl(control)
}

// stopControl ends the writing of the control stream for good and tells the reader.
func (s *Session) stopControl(control *quicgo.Stream) {
	s.writer.stop()
	if s.core.Closing() {
		_ = control.SetReadDeadline(longAgo)
	}
	s.poke()
}

// writeFailed notes that nothing can be written to the control stream any more.
func (s *Session) writeFailed(control *quicgo.Stream, err error) {
	s.broken.Store(true)
	var stop *quicgo.StreamError
	if errors.As(err, &stop) && stop.Remote {
		s.breach("%s stopped the control stream: it reads until CLOSE", s.sender())
	}
	s.stopControl(control)
}
