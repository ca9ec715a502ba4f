package udp

import (
	"errors"
	"time"

	"strait/transport"
	"strait/udp/sealed"
)

// pullBudget is what fills a datagram: what [transport.OfferPeer.Pull] counts for
// each message is above what a frame costs, by 2 bytes.
var pullBudget = func() int {
	var p sealed.Packet
	p.Start(make([]byte, sealed.MaxPacket), sealed.ToClient)
	return p.Room() + 8
}()

// fill puts what the lane has to send into s.out; false: there was no room for all
// of it. By the socket's writer.
func (l *Lane) fill(s *socket, now time.Time) (dry bool) {
	l.listed.Store(false)
	if !l.carries.Load() {
		l.lose()
	} else if l.woken.Swap(false) {
		for {
			if s.full() {
				l.woken.Store(true)
				return false
			}
			s.pulled, l.held = append(s.pulled[:0], l.held...), nil
			if len(s.pulled) == 0 {
				s.pulled = l.peer.Pull(s.pulled, pullBudget)
			}
			if len(s.pulled) == 0 {
				break
			}
			if !l.pack(s, now) {
				l.woken.Store(true) // whatever comes from the client looks again
				break
			}
		}
	}
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return true
	}
	end := l.closing.Load()
	if end != nil && !l.core.Ended() {
		l.core.Close(uint16(end.Code), now)
	}
	for {
		if s.full() {
			l.mu.Unlock()
			return false
		}
		b, to, ok := l.core.Control(s.slot()[:0], now)
		if !ok {
			break
		}
		s.emit(datagram{b: b, remote: to, local: l.from(to)})
	}
	n := l.look(now)
	l.ended = end != nil
	l.mu.Unlock()
	l.tell(n)
	if end != nil {
		l.bury(now)
	}
	return true
}

// pack seals s.pulled into datagrams and releases it. false: the client's new address
// may not get as much before it has proven itself; what is left is held back, and the
// session keeps the rest.
func (l *Lane) pack(s *socket, now time.Time) bool {
	p := &s.packet
	p.Start(s.slot(), sealed.ToClient)
	sent, lost, next := 0, 0, 0 // messages; next is the first that is not done with
	done := func(end int, count *int) {
		for ; next < end; next++ {
			s.pulled[next].Buf.Release()
			s.pulled[next] = transport.Message{}
			*count++
		}
	}
	// seal ends the datagram, and with it the messages before end; false: not yet.
	seal := func(end int) bool {
		if p.Empty() {
			return true
		}
		switch err := l.seal(s, now); {
		case err == nil:
			done(end, &sent)
		case errors.Is(err, sealed.ErrBudget):
			l.held = append(l.held, s.pulled[next:]...)
			return false
		default:
			done(end, &lost)
		}
		if b := s.slot(); b != nil {
			p.Start(b, sealed.ToClient)
		}
		return true
	}
	all := func() bool {
		for i := range s.pulled {
			m := &s.pulled[i]
			if p.Message(m.Channel, m.Seq, m.Buf.B) {
				continue
			}
			if !seal(i) {
				return false
			}
			switch pieces := sealed.Pieces(len(m.Buf.B), sealed.ToClient); {
			case pieces == 0 || len(s.out)+pieces > maxOut:
				done(i+1, &lost)
			case pieces == 1:
				p.Message(m.Channel, m.Seq, m.Buf.B)
			default:
				for piece := range pieces {
					p.Piece(m.Channel, m.Seq, m.Buf.B, piece, pieces)
					end := i
					if piece == pieces-1 {
						end++ // the last one makes the message
					}
					if !seal(end) {
						return false
					}
				}
			}
		}
		return seal(len(s.pulled))
	}
	ok := all()
	clear(s.pulled)
	l.service.messagesOut.add(sent)
	if lost > 0 {
		l.service.messagesLost.add(lost)
	}
	return ok
}

// seal makes a datagram of s.packet, or says as the core does why it cannot be sent.
func (l *Lane) seal(s *socket, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, to, err := l.core.Seal(&s.packet, now)
	if err != nil {
		return err
	}
	s.emit(datagram{b: b, remote: to, local: l.from(to)})
	return nil
}

// lose releases what was held back for a client who has not proven his new address.
func (l *Lane) lose() {
	for _, m := range l.held {
		m.Buf.Release()
	}
	l.service.messagesLost.add(len(l.held))
	l.held = nil
}

// bury leaves a stone in the lane's place, so that late packets are not answered
// with RESET and nobody gets the slot meanwhile. Nothing holds the peer after it.
func (l *Lane) bury(now time.Time) {
	sv := l.service
	l.lose()
	sv.wheel.remove(l)
	stone := &Lane{service: sv, socket: l.socket, id: l.id, heard: now}
	sv.table.put(stone)
	sv.wheel.by(stone, now.Add(linger))
	sv.lanes.Add(-1)
	l.socket.lanes.Add(-1)
}
