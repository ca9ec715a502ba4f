package client

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"strait/proto/wire"
)

// ownNonce marks the PINGs of Client.Ping: the lane's core counts its own from 1.
const ownNonce = 1 << 63

// pings are the PINGs of Client.Ping that are under way on one connection.
type pings struct {
	// waiting is how many were not written yet, so that the writer needs no lock to
	// see that there are none.
	waiting atomic.Int32

	// guarded by mu
	mu   sync.Mutex
	next uint64
	all  map[uint64]*ping
}

type ping struct {
	nonce  uint64
	sent   time.Time // zero until it is handed to the connection
	answer chan time.Duration
}

func (s *pings) add() *ping {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &ping{nonce: ownNonce | s.next, answer: make(chan time.Duration, 1)}
	s.next++
	if s.all == nil {
		s.all = make(map[uint64]*ping)
	}
	s.all[p.nonce] = p
	s.waiting.Add(1)
	return p
}

// forget ends the interest in p, answered or not.
func (s *pings) forget(p *ping) {
	s.mu.Lock()
	defer s.mu.Unlock()
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
	if s.waiting.Load() == 0 {
		return dst
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.all {
		if p.sent.IsZero() {
			p.sent = now
			s.waiting.Add(-1)
			var nonce [8]byte
			binary.BigEndian.PutUint64(nonce[:], p.nonce)
			dst = wire.AppendFrame(dst, wire.Ping, 0, nonce[:])
		}
	}
	return dst
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
	p.answer <- max(now.Sub(p.sent)-time.Duration(delay)*time.Microsecond, 0)
}
