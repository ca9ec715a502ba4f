package client

import (
	"context"
	"fmt"
	"time"
)

// moveAgain is the least time between two sockets because sending failed.
const moveAgain = time.Second

// change opens a new socket for a lane that is bound, or about to be.
func (s *sealedLane) change() error {
	s.mu.Lock()
	to, wanted := s.to, s.socket != nil
	s.mu.Unlock()
	if !wanted {
		return nil
	}
	socket, err := s.open(to)
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if !s.move { // else it is tried again already
			s.stuck = err
			s.arrive()
		}
		return err
	}
	if s.stopped || s.socket == nil {
		return socket.Close()
	}
	s.moves++
	s.moved = now
	s.swap(socket, to)
	s.core.Rebind(now)
	s.after(now)
	return nil
}

// failed asks for another socket, because this one does not get through, and
// reports whether there will be one: not again so soon. mu is held.
func (s *sealedLane) failed(now time.Time) bool {
	if now.Sub(s.moved) < moveAgain {
		return false
	}
	s.moved = now
	s.move = true
	s.mover.wake()
	return true
}

// rebind moves a bound lane to a new socket and returns when the gateway was heard
// there.
func (s *sealedLane) rebind(ctx context.Context) error {
	s.mu.Lock()
	if !s.bound {
		s.mu.Unlock()
		return errUnbound
	}
	moves := s.moves
	s.move, s.stuck = true, nil
	s.mu.Unlock()
	s.mover.wake()
	for {
		s.mu.Lock()
		if s.arrived == nil {
			s.arrived = make(chan struct{})
		}
		arrived, bound, moved, stuck := s.arrived, s.bound, s.moves > moves, s.stuck
		heard := s.heard.Load() > s.moved.UnixNano()
		s.mu.Unlock()
		switch {
		case moved && heard:
			return nil
		case !bound:
			return errUnbound
		case s.life.Err() != nil:
			return errEnded
		case !moved && stuck != nil:
			return fmt.Errorf("no other socket: %w", stuck)
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.life.Done():
			return errEnded
		}
	}
}

// arrive wakes who waits for the lane. mu is held.
func (s *sealedLane) arrive() {
	if s.arrived != nil {
		close(s.arrived)
		s.arrived = nil
	}
}
