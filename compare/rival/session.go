package rival

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"strait/compare/game"
	"strait/transport"
)

// Handler is the game. *game.Logic is one. The calls for one session come in order
// and one at a time, those for different sessions concurrently.
type Handler interface {
	// Message is what a player sent; payload is borrowed until return.
	Message(s game.Sender, payload []byte)
	// Closed is the last call for s.
	Closed(s game.Sender)
}

// Queue is how many messages may wait for a session's writer.
const Queue = 1024

// ErrTooSlow ends a session that does not take its reliable messages.
var ErrTooSlow = errors.New("rival: too slow: the outbound queue is full")

// Session is game logic's end of a session: a [game.Sender]. Its owner runs Write
// on a goroutine of its own.
type Session struct {
	end     func() // closes the transport's connection; idempotent
	wake    chan struct{}
	refused atomic.Uint64

	mu     sync.Mutex
	queue  [][]byte
	closed bool
}

// NewSession returns a session; end closes its connection, so that reader and
// writer return. It may be called more than once.
func NewSession(end func()) *Session {
	return &Session{end: end, wake: make(chan struct{}, 1)}
}

// Send implements [game.Sender].
func (s *Session) Send(d transport.Delivery, channel uint8, payload []byte) error {
	if err := Fits(d, payload); err != nil {
		return err
	}
	s.mu.Lock()
	switch {
	case s.closed:
		s.mu.Unlock()
		return net.ErrClosed
	case len(s.queue) >= Queue:
		s.mu.Unlock()
		s.refused.Add(1)
		if d == transport.Reliable {
			s.Close()
		}
		return ErrTooSlow
	}
	s.queue = append(s.queue, AppendFrame(make([]byte, 0, HeaderLen+len(payload)), d, channel, payload))
	s.mu.Unlock()
	return nil
}

// Flush implements [game.Sender].
func (s *Session) Flush() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Refused is how many messages found no room.
func (s *Session) Refused() uint64 { return s.refused.Load() }

// Close ends the session: what is queued is dropped. Idempotent.
func (s *Session) Close() {
	s.mu.Lock()
	s.closed = true
	s.queue = nil
	s.mu.Unlock()
	s.Flush()
	s.end()
}

// Write hands what is queued to write, all that waits at once, until the session is
// closed or write fails; then it closes the session. frames are borrowed until write
// returns.
func (s *Session) Write(write func(frames [][]byte) error) {
	defer s.Close()
	var batch [][]byte
	for range s.wake {
		s.mu.Lock()
		batch, s.queue = s.queue, batch[:0]
		closed := s.closed
		s.mu.Unlock()
		if closed {
			return
		}
		if len(batch) > 0 && write(batch) != nil {
			return
		}
		clear(batch)
	}
}
