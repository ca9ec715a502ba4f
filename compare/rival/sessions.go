package rival

import (
	"net"
	"sync"
)

// Sessions are those of a server, with the goroutines that serve them. The zero
// value is ready.
type Sessions struct {
	mu     sync.Mutex
	open   map[*Session]struct{}
	closed bool
	all    sync.WaitGroup
}

// Serve runs a session until it has ended: read on this goroutine, until it returns,
// beside the writer. handler hears of the end. After Close it refuses.
func (s *Sessions) Serve(one *Session, handler Handler, write func([][]byte) error, read func()) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		one.Close()
		return net.ErrClosed
	}
	if s.open == nil {
		s.open = make(map[*Session]struct{})
	}
	s.open[one] = struct{}{}
	s.all.Add(1)
	s.mu.Unlock()
	defer s.all.Done()

	var writer sync.WaitGroup
	writer.Go(func() { one.Write(write) })
	read()
	one.Close()
	writer.Wait()
	handler.Closed(one)
	s.mu.Lock()
	delete(s.open, one)
	s.mu.Unlock()
	return nil
}

// Len is how many sessions are open.
func (s *Sessions) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// Close ends all sessions and returns when their goroutines have ended.
func (s *Sessions) Close() {
	s.mu.Lock()
	s.closed = true
	var open []*Session
	for one := range s.open {
		open = append(open, one)
	}
	s.mu.Unlock()
	for _, one := range open {
		one.Close()
	}
	s.all.Wait()
}
