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

// writeControl writes the control stream until nothing is left, or CLOSE and FIN were
// written, or writing failed.
func (s *Session) writeControl() {
	defer s.crew.leave()
	stream := s.control.Load()
	b := getBuffer()
	for {
		if s.core.Closing() {
			s.drain()
		}
		opened := s.core.Opened()
		out, done := s.core.Fill((*b)[:0], chunk, time.Now())
		*b = out[:0]
		if len(out) > 0 {
			if _, err := stream.Write(out); err != nil {
				putBuffer(b)
				s.core.Idle()
				s.writeFailed(stream, err)
				return
			}
			if opened && s.greeted.CompareAndSwap(false, true) {
				s.wake()
			}
		}
		switch {
		case done:
			putBuffer(b)
			s.core.Idle()
			s.finish(stream)
			return
		case len(out) > 0:
			continue
		}
		s.core.Idle()
		putBuffer(b)
		if s.writer.rest() {
			return
		}
		b = getBuffer()
	}
}

// drain lets the channels' writers send what is queued before CLOSE says that nothing
// follows. A channel that the peer does not read holds it up for half of Linger.
func (s *Session) drain() {
	if s.discard.Load() || !s.greeted.Load() {
		return
	}
	timer := time.NewTimer(s.config.Linger / 2)
	defer timer.Stop()
	for {
		s.wake()
		if s.rested() {
			return
		}
		select {
		case <-s.drained:
		case <-timer.C:
			s.discard.Store(true) // once is enough
			return
		case <-s.conn.Context().Done():
			return
		}
	}
}

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

// finish ends this end's side of every stream: CLOSE was written.
func (s *Session) finish(control *quicgo.Stream) {
	_ = control.Close()
	s.mu.Lock()
	for _, o := range s.outs {
		if o.worker.state.CompareAndSwap(idle, stopped) {
			_ = o.stream.Close()
		} else {
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
