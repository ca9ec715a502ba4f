package upstreamtest

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/transport"
	"strait/upstream"
)

// Patience is how long tests wait for what must happen.
const Patience = 20 * time.Second

// Received is a message as a player got it.
type Received struct {
	Delivery transport.Delivery
	Channel  uint8
	Payload  string
}

// Session is an upstream.Session for tests, with the player at its other end.
type Session struct {
	gateway      *Gateway
	handle       uint64
	announcement upstream.Announcement
	shard        *shard
	slot         upstream.Slot
	gone         bool // guarded by gateway.mu

	in struct {
		sync.Mutex
		held []upstream.Event // behind a shut gate
		over bool
	}

	mu       sync.Mutex
	queued   []Received // sent, not flushed
	received []Received
	flushes  int

	discard   bool
	pending   int // counted, not flushed
	discarded int
	goal      int // of AwaitDiscarded
	inFlight  int
	items     int
	info      transport.Info
	end       *transport.Reason
	change    chan struct{}
}

// Say hands over a message of the player, as far as the gate lets it through.
func (s *Session) Say(d transport.Delivery, channel uint8, payload string) {
	e := s.Event(d, channel, payload)
	s.in.Lock()
	s.in.held = append(s.in.held, e)
	s.in.Unlock()
	s.ResumeReading()
}

// SayReliable is Say of a reliable message on channel 0.
func (s *Session) SayReliable(payload string) { s.Say(transport.Reliable, 0, payload) }

// SetLink changes the session's path and tells the driver.
func (s *Session) SetLink(info transport.Info) {
	s.mu.Lock()
	s.info = info
	s.mu.Unlock()
	s.push(upstream.Event{Session: s, Kind: upstream.Link})
}

// Leave is the end of the session by the player.
func (s *Session) Leave() { s.Close(transport.Reason{Code: transport.Normal, Remote: true}) }

// Held is the number of messages that the gate holds back.
func (s *Session) Held() int {
	s.in.Lock()
	defer s.in.Unlock()
	return len(s.in.held)
}

func (s *Session) push(e upstream.Event) { s.shard.push(e) }

// ResumeReading implements [upstream.Session].
func (s *Session) ResumeReading() {
	s.in.Lock()
	defer s.in.Unlock()
	for len(s.in.held) > 0 && !s.in.over {
		if g := s.slot.Gate(); g != nil && !g.Pass(s) {
			return
		}
		s.push(s.in.held[0])
		s.in.held = s.in.held[1:]
	}
}

// Consumed implements [upstream.Session].
func (s *Session) Consumed(n int) {
	s.mu.Lock()
	s.inFlight -= n
	s.items--
	s.mu.Unlock()
}

// ID implements [transport.Session].
func (s *Session) ID() transport.ID { return s.announcement.ID }

// Handle implements [transport.Session].
func (s *Session) Handle() uint64 { return s.handle }

// Info implements [transport.Session].
func (s *Session) Info() transport.Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.info
	if i.Kind == transport.KindUnspecified {
		i.Kind, i.Remote = s.announcement.Transport, s.announcement.Remote
	}
	i.InFlight = s.inFlight
	if s.items != 0 {
		i.InFlight += s.items
	}
	return i
}

// Send implements [transport.Session].
func (s *Session) Send(m transport.Message) error {
	defer m.Buf.Release()
	limit := MaxReliable
	if m.Delivery == transport.Unreliable {
		limit = MaxUnreliable
	}
	if n := len(m.Buf.B); n > limit {
		s.gateway.Drop(upstream.DropTooLarge, 1)
		return &transport.TooLargeError{Size: n, Max: limit, Delivery: m.Delivery}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		s.gateway.Drop(upstream.DropSessionClosed, 1)
		return *s.end
	}
	if s.discard {
		s.pending++
		return nil
	}
	s.queued = append(s.queued, Received{m.Delivery, m.Channel, string(m.Buf.B)})
	return nil
}

// Flush implements [transport.Session].
func (s *Session) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushes++
	if s.discard {
		s.discarded, s.pending = s.discarded+s.pending, 0
		if s.goal != 0 && s.discarded >= s.goal {
			s.goal = 0
			s.notify()
		}
		return
	}
	s.received = append(s.received, s.queued...)
	s.queued = s.queued[:0]
	s.notify()
}

// Flushes is how often the session was flushed.
func (s *Session) Flushes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flushes
}

// MaxUnreliable implements [transport.Session].
func (s *Session) MaxUnreliable() int { return MaxUnreliable }

// Close implements [transport.Session]. Closed follows what was said.
func (s *Session) Close(r transport.Reason) {
	s.mu.Lock()
	if s.end != nil {
		s.mu.Unlock()
		return
	}
	s.end = &r
	s.notify()
	s.mu.Unlock()
	s.gateway.mu.Lock()
	s.gone = true
	s.gateway.mu.Unlock()
	s.in.Lock()
	s.in.over = true
	s.push(upstream.Event{Session: s, Kind: upstream.Closed, Reason: &r})
	s.in.Unlock()
	s.forget()
}

// forget releases what the gate held back.
func (s *Session) forget() {
	s.in.Lock()
	s.in.over = true
	held := s.in.held
	s.in.held = nil
	s.in.Unlock()
	for i := range held {
		held[i].Release()
	}
}

// Announcement implements [upstream.Session].
func (s *Session) Announcement() *upstream.Announcement { return &s.announcement }

// Shard implements [upstream.Session].
func (s *Session) Shard() int { return s.shard.index }

// Slot implements [upstream.Session].
func (s *Session) Slot() *upstream.Slot { return &s.slot }

// notify wakes who waits for the session to change; mu is held.
func (s *Session) notify() {
	close(s.change)
	s.change = make(chan struct{})
}

// Next returns the next message that the player gets.
func (s *Session) Next() Received {
	t := s.gateway.t
	t.Helper()
	for {
		s.mu.Lock()
		if len(s.received) > 0 {
			r := s.received[0]
			s.received = s.received[1:]
			s.mu.Unlock()
			return r
		}
		change := s.change
		s.mu.Unlock()
		await(t, change, "a message for the player")
	}
}

// Expect waits for reliable messages on channel 0, in order.
func (s *Session) Expect(payloads ...string) {
	s.gateway.t.Helper()
	for _, p := range payloads {
		require.Equal(s.gateway.t, Received{transport.Reliable, 0, p}, s.Next())
	}
}

// Unread returns the messages that Next would return without waiting.
func (s *Session) Unread() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.received)
}

// Ended waits until the session was closed and says why.
func (s *Session) Ended() transport.Reason {
	t := s.gateway.t
	t.Helper()
	for {
		s.mu.Lock()
		end, change := s.end, s.change
		s.mu.Unlock()
		if end != nil {
			return *end
		}
		await(t, change, "the end of the session")
	}
}

// IsOpen reports whether nobody closed the session.
func (s *Session) IsOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end == nil
}

func await(t testing.TB, ch <-chan struct{}, what string) {
	t.Helper()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case <-ch:
	case <-timer.C:
		require.FailNow(t, "waited in vain for "+what)
	}
}

// Event is a message of the player that the caller delivers himself.
func (s *Session) Event(d transport.Delivery, channel uint8, payload string) upstream.Event {
	return s.BytesEvent(d, channel, []byte(payload))
}

// BytesEvent is Event for a payload that is copied into a pooled buffer.
func (s *Session) BytesEvent(d transport.Delivery, channel uint8, payload []byte) upstream.Event {
	s.mu.Lock()
	s.inFlight += len(payload)
	s.items++
	s.mu.Unlock()
	return upstream.Event{Session: s, Kind: upstream.Message, Message: transport.Message{
		Delivery: d, Channel: channel, Buf: s.gateway.pool.Copy(payload),
	}}
}

// Discard makes the session count what it is sent instead of keeping it.
func (s *Session) Discard() {
	s.mu.Lock()
	s.discard = true
	s.mu.Unlock()
}

// Discarded is how many messages were counted and flushed.
func (s *Session) Discarded() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.discarded
}

// AwaitDiscarded waits until so many messages were counted.
func (s *Session) AwaitDiscarded(n int) {
	s.gateway.t.Helper()
	for {
		s.mu.Lock()
		if s.discarded >= n {
			s.mu.Unlock()
			return
		}
		s.goal = n
		change := s.change
		s.mu.Unlock()
		await(s.gateway.t, change, "messages to be counted")
	}
}
