package client

import (
	"fmt"
	"time"

	"strait/transport"
)

// suspicion is how long a connection has to show that it lives.
const suspicion = 3 * time.Second

// suspect makes the TCP connection prove that it lives, because the lane beside it was
// asked to prove a new address: the lane moves with the player, TCP does not, and with
// the lane alive nobody would miss it until the idle timeout. A connection that stays
// silent is cut, so that the session is opened again. Any goroutine.
func (s *stream) suspect() {
	asked := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.suspected != nil {
		return
	}
	s.suspected = time.AfterFunc(suspicion, func() { s.judge(asked) })
	s.core.Ping()
	s.writer.wake()
}

// judge ends a connection on which nothing came since it was asked.
func (s *stream) judge(asked time.Time) {
	s.mu.Lock()
	s.suspected = nil
	ended := s.ended
	s.mu.Unlock()
	// While the inbox is full nothing is read, and silence says nothing.
	if ended || s.link.reading.Load() == 0 || s.core.Path().Heard.After(asked) {
		return
	}
	s.link.session.end(transport.Reason{
		Code: transport.Idle, Lost: true,
		Text: fmt.Sprintf("the address changed, and the connection was silent for %v", suspicion),
	})
	s.cut()
}
