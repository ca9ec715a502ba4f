package session

import (
	"runtime"

	"strait/transport"
	"strait/transport/lane"
)

// relay is the peer as the control stream's core sees it. It serialises the calls with
// those of channel streams and datagrams, stands in for the peer of a refused
// connection, and gives the core only what belongs on the control stream.
type relay struct{ s *Session }

func (r relay) Hello(b []byte) {
	s := r.s
	s.delivery.Lock()
	defer s.delivery.Unlock()
	s.peer.Hello(b)
	if s.config.Role == lane.Client && s.ending.Load() == nil && s.open() {
		s.greeted.Store(true)
		s.Wake()
	}
}

func (r relay) Control(t transport.Control, payload []byte) error {
	r.s.delivery.Lock()
	defer r.s.delivery.Unlock()
	return r.s.peer.Control(t, payload)
}

func (r relay) Deliver(ms []transport.Message) int {
	taken, _ := r.s.hand(ms)
	return taken
}

func (r relay) Channels(dst []uint8) []uint8 { return r.s.peer.Channels(dst) }

// Pull gives channel 0, the channels without a stream of their own, and unreliable
// messages where there are no datagrams, or none that have room for them.
func (r relay) Pull(dst []transport.Message, d transport.Delivery, _, budget int) []transport.Message {
	s := r.s
	if d == transport.Unreliable {
		if s.datagrams {
			if s.lane.room == noLimit {
				return dst
			}
			return s.lane.detour.pull(dst, budget)
		}
		return s.peer.Pull(dst, d, transport.AnyChannel, budget)
	}
	dst = s.pull(dst, 0, &budget)
	for word := range s.shared {
		bits := s.shared[word].Load()
		for ch := word * 64; bits != 0 && budget > 0; ch, bits = ch+1, bits>>1 {
			if bits&1 != 0 {
				dst = s.pull(dst, ch, &budget)
			}
		}
	}
	return dst
}

// pull is Peer.Pull of reliable messages, and takes what it got off budget.
func (s *Session) pull(dst []transport.Message, channel int, budget *int) []transport.Message {
	if *budget <= 0 {
		return dst
	}
	had := len(dst)
	dst = s.peer.Pull(dst, transport.Reliable, channel, *budget)
	for _, m := range dst[had:] {
		*budget -= len(m.Buf.B) + frameOverhead
	}
	return dst
}

// frameOverhead is what each message costs of a budget beside its payload.
const frameOverhead = 8

// Closing is told at once, except after the peer's own CLOSE: what it sent on other
// streams before may still be on its way.
func (r relay) Closing(reason transport.Reason) {
	r.s.reason = reason
	if reason.Remote {
		r.s.settle()
	}
	r.s.tell(reason)
}

func (relay) Gone(transport.Reason) {}

// tell says Closing, after which nothing is delivered.
func (s *Session) tell(reason transport.Reason) {
	s.delivery.Lock()
	if !s.told {
		s.told = true
		if s.peer != nil {
			s.peer.Closing(reason)
		}
	}
	s.delivery.Unlock()
}

// hand delivers messages as a turn: what follows from it is done here, if nobody else is
// at that, and nobody is woken for it. Whoever can run does so first: under load that is
// other sessions' readers, whose messages then go along with these (measured with 200
// sessions in lockstep: 0.06 writes to game logic for each message instead of 0.8); else
// there is nobody, and nothing is delayed. over: Closing was said.
func (s *Session) hand(ms []transport.Message) (taken int, over bool) {
	turns := s.config.Turns
	s.delivery.Lock()
	over = s.told
	if over {
		turns = nil
	} else {
		if turns != nil && !turns.BeginTurn(s.config.Loop) {
			turns = nil
		}
		taken = s.peer.Deliver(ms)
	}
	s.delivery.Unlock()
	if turns != nil {
		runtime.Gosched()
		turns.EndTurn(s.config.Loop)
	}
	return taken, over
}

// deliver hands in.one, a message of a channel stream, to the peer and waits while that
// is full. It takes the buffer in every case; false: the session has ended.
func (s *Session) deliver(in *inbound) bool {
	for {
		s.mu.Lock()
		epoch := s.epoch
		s.mu.Unlock()
		taken, over := s.hand(in.one[:])
		switch {
		case taken > 0:
			return true
		case over || !s.await(epoch):
			in.one[0].Buf.Release()
			return false
		}
	}
}

// await waits for a Resume after epoch; false: the session has ended.
func (s *Session) await(epoch uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting++
	defer func() { s.waiting-- }()
	for s.epoch == epoch {
		if s.ending.Load() != nil {
			return false
		}
		s.resumed.Wait()
	}
	return true
}
