package client

import (
	"fmt"
	"time"

	"strait/transport"
)

// How long a connection has to show that it lives: several round trips, because the PING
// or its answer may be lost and sent again (RFC 6298 section 2), within these bounds.
const (
	suspicion      = time.Second
	longSuspicion  = 3 * time.Second
	suspicionTrips = 8 // round trips
)

// patience is how long a connection with that round trip may stay silent; 0: not known.
func patience(rtt time.Duration) time.Duration {
	if rtt == 0 {
		return longSuspicion
	}
	return min(max(suspicion, suspicionTrips*rtt), longSuspicion)
}

// suspect makes the TCP connection prove that it lives, because the lane beside it was
// asked to prove a new address: the lane moves with the player, TCP does not, and with
// the lane alive nobody would miss it until the idle timeout. A connection that stays
// silent is cut, so that the session is opened again. rtt is the lane's round trip, 0 if
// it is not known. Any goroutine.
func (s *stream) suspect(rtt time.Duration) {
	asked := time.Now()
	known, _ := s.link.pings.estimate()
	wait := patience(max(known, rtt))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.suspected != nil {
		return
	}
	s.suspected = time.AfterFunc(wait, func() { s.judge(asked) })
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
		Text: fmt.Sprintf("the address changed, and the connection was silent for %v", time.Since(asked).Round(time.Millisecond)),
	})
	s.cut()
}
