package client

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"strait/proto/wire"
)

// probeAgain is after how long an unanswered probe no longer stands in the way of
// another.
const probeAgain = 5 * time.Second

// pings are the PINGs that are under way on one connection: those of Client.Ping,
// and the probe that keeps the session alive. Their bytes are random, so that a
// PONG proves that the PING has arrived. All of them measure the round trip.
type pings struct {
	// waiting is how many were not written yet, so that the writer needs no lock to
	// see that there are none.
	waiting atomic.Int32

	// guarded by mu
	mu      sync.Mutex
	all     map[uint64]*ping
	probing *ping     // nil when the last one was answered
	asked   time.Time // when probing was asked for
	rtt     time.Duration
	jitter  time.Duration
}

type ping struct {
	nonce  uint64
	sent   time.Time          // zero until it is handed to the connection
	answer chan time.Duration // of room 1; nil when nobody waits
}

// add asks for a PING to be written.
func (s *pings) add() *ping {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ask(&ping{answer: make(chan time.Duration, 1)})
}

// probe asks for a PING that nobody waits for, unless one is under way.
func (s *pings) probe(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probing != nil {
		if now.Sub(s.asked) < probeAgain {
			return
		}
		s.drop(s.probing)
	}
	s.probing, s.asked = s.ask(&ping{}), now
}

// ask takes p, with a nonce that no other has. mu is held.
func (s *pings) ask(p *ping) *ping {
	if s.all == nil {
		s.all = make(map[uint64]*ping)
	}
	for {
		p.nonce = rand.Uint64()
		if _, taken := s.all[p.nonce]; !taken {
			break
		}
	}
	s.all[p.nonce] = p
	s.waiting.Add(1)
	return p
}

// forget ends the interest in p, answered or not.
func (s *pings) forget(p *ping) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(p)
}

// drop is forget with mu held.
func (s *pings) drop(p *ping) {
	if _, ok := s.all[p.nonce]; !ok {
		return
	}
	delete(s.all, p.nonce)
	if p.sent.IsZero() {
		s.waiting.Add(-1)
	}
}

// append adds the frames of those that were not written yet to dst.
func (s *pings) append(dst []byte, now time.Time) []byte {
	s.take(now, func(nonce [8]byte) { dst = wire.AppendFrame(dst, wire.Ping, 0, nonce[:]) })
	return dst
}

// take calls write with the payload of each that was not written yet, and counts it
// as written. write takes no lock that answered is called with.
func (s *pings) take(now time.Time, write func(nonce [8]byte)) {
	if s.waiting.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.all {
		if p.sent.IsZero() {
			p.sent = now
			s.waiting.Add(-1)
			write([8]byte(binary.BigEndian.AppendUint64(nil, p.nonce)))
		}
	}
}

// answered takes the payload of a PONG, which is borrowed.
func (s *pings) answered(payload []byte, now time.Time) {
	data, delay, ok := wire.ParsePong(payload)
	if !ok {
		return
	}
	nonce := binary.BigEndian.Uint64(data[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.all[nonce]
	if !ok || p.sent.IsZero() {
		return
	}
	delete(s.all, nonce)
	if p == s.probing {
		s.probing = nil
	}
	sample := max(now.Sub(p.sent)-time.Duration(delay)*time.Microsecond, 0)
	s.measured(sample)
	if p.answer != nil {
		p.answer <- sample
	}
}

// measured smooths one sample into the estimate, RFC 6298 section 2. mu is held.
func (s *pings) measured(sample time.Duration) {
	if s.rtt == 0 {
		s.rtt, s.jitter = sample, sample/2
		return
	}
	s.jitter += ((s.rtt - sample).Abs() - s.jitter) / 4
	s.rtt += (sample - s.rtt) / 8
}

// estimate returns the smoothed round trip and its mean deviation; 0 before the
// first measurement.
func (s *pings) estimate() (rtt, jitter time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rtt, s.jitter
}
