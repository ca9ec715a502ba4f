package udp

import (
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
	if l.carries.Load() && l.woken.Swap(false) {
		for {
			if s.full() {
				l.woken.Store(true)
				return false
			}
			s.pulled = l.peer.Pull(s.pulled[:0], pullBudget)
			if len(s.pulled) == 0 {
				break
			}
			l.pack(s, now)
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

// pack seals s.pulled into datagrams and releases it.
func (l *Lane) pack(s *socket, now time.Time) {
	p := &s.packet
	p.Start(s.slot(), sealed.ToClient)
	sent, lost, inside := 0, 0, 0 // messages
	seal := func() {
		if p.Empty() {
			return
		}
		if l.seal(s, now) {
			sent += inside
		} else {
			lost += inside
		}
		inside = 0
		if b := s.slot(); b != nil {
			p.Start(b, sealed.ToClient)
		}
	}
	for i := range s.pulled {
		m := &s.pulled[i]
		if !p.Message(m.Channel, m.Seq, m.Buf.B) {
			seal()
			switch pieces := sealed.Pieces(len(m.Buf.B), sealed.ToClient); {
			case pieces == 0 || len(s.out)+pieces > maxOut:
				lost++
			case pieces == 1:
				p.Message(m.Channel, m.Seq, m.Buf.B)
				inside++
			default:
				for i := range pieces {
					p.Piece(m.Channel, m.Seq, m.Buf.B, i, pieces)
					inside = max(0, i+2-pieces) // the last one makes the message
					seal()
				}
			}
		} else {
			inside++
		}
		m.Buf.Release()
		*m = transport.Message{}
	}
	seal()
	l.service.messagesOut.add(sent)
	if lost > 0 {
		l.service.messagesLost.add(lost)
	}
}

// seal makes a datagram of s.packet; false: it cannot be sent.
func (l *Lane) seal(s *socket, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, to, err := l.core.Seal(&s.packet, now)
	if err != nil {
		return false
	}
	s.emit(datagram{b: b, remote: to, local: l.from(to)})
	return true
}

// bury leaves a stone in the lane's place, so that late packets are not answered
// with RESET and nobody gets the slot meanwhile. Nothing holds the peer after it.
func (l *Lane) bury(now time.Time) {
	sv := l.service
	sv.wheel.remove(l)
	stone := &Lane{service: sv, socket: l.socket, id: l.id, heard: now}
	sv.table.put(stone)
	sv.wheel.by(stone, now.Add(linger))
	sv.lanes.Add(-1)
	l.socket.lanes.Add(-1)
}
