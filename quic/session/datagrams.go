package session

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"strait/transport"
)

const (
	// A datagram's body is the type, channel and sequence, then the message.
	bodyMessage = 0x10
	bodyHeader  = 4
	// packetOverhead is what quic-go's estimate of a datagram's payload leaves out: the
	// frame's type and length, and a packet number.
	packetOverhead = 3 + 4
	// datagramBudget is what one Pull takes: about a packet, because what is still
	// queued with the session can give way to newer messages, and what was pulled cannot.
	datagramBudget = 1200
)

// datagramLane is the lane of QUIC DATAGRAM frames. It implements [transport.Lane].
//
// quic-go's SendDatagram blocks while 32 are queued, so that a goroutine sends them, one
// that lives as long as there are any. What waits meanwhile waits with the session,
// whose queue drops the oldest.
type datagramLane struct {
	s      *Session
	worker worker
	pulled *[]transport.Message // owned by the worker
	max    atomic.Int32
}

// Wake says that there may be unreliable messages to pull.
func (d *datagramLane) Wake() {
	if !d.s.greeted.Load() || !d.s.crew.enter() {
		return
	}
	d.wake()
	d.s.crew.leave()
}

// Max is the longest message in bytes that the path carries now, at least 1100.
func (d *datagramLane) Max() int { return int(d.max.Load()) }

// Path is that of the connection.
func (d *datagramLane) Path() transport.Path { return d.s.Path() }

// Ping is that of the connection.
func (d *datagramLane) Ping() { d.s.Ping() }

// Close closes the connection: its datagrams have no end of their own.
func (d *datagramLane) Close(r transport.Reason) { d.s.Close(r) }

// wake starts the sender if there is something to send, and pulls to find out: most
// wakes are for reliable messages alone and need no goroutine. From inside the crew.
func (d *datagramLane) wake() {
	for {
		switch d.worker.state.Load() {
		case idle:
			if !d.worker.state.CompareAndSwap(idle, busy) {
				continue
			}
			for !d.pull() {
				if d.worker.rest() {
					return
				}
			}
			if d.s.crew.enter() {
				go d.worker.body()
				return
			}
			d.unsent(0)
			d.worker.stop()
			return
		case busy:
			if d.worker.state.CompareAndSwap(busy, again) {
				return
			}
		default:
			return
		}
	}
}

// pull takes what is queued, about one packet; false: nothing. By who made the worker busy.
func (d *datagramLane) pull() bool {
	if d.s.discard.Load() {
		return false
	}
	ms := pulls.Get().(*[]transport.Message)
	*ms = d.s.peer.Pull((*ms)[:0], transport.Unreliable, transport.AnyChannel, datagramBudget)
	if len(*ms) == 0 {
		putPull(ms)
		return false
	}
	d.pulled = ms
	return true
}

// unsent drops the pulled messages from the i-th on.
func (d *datagramLane) unsent(i int) {
	for _, m := range (*d.pulled)[i:] {
		m.Buf.Release()
	}
	d.s.config.Counters.dropped[DropUnsent].Add(uint64(len(*d.pulled) - i))
	putPull(d.pulled)
	d.pulled = nil
}

// bodies hold one datagram.
var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 1500); return &b }}

// send is the sender: it begins with what was pulled.
func (d *datagramLane) send() {
	defer d.s.crew.leave()
	counters := d.s.config.Counters
	b := bodies.Get().(*[]byte)
	defer bodies.Put(b)
	for {
		for i, m := range *d.pulled {
			body := append((*b)[:0], bodyMessage, m.Channel)
			body = binary.BigEndian.AppendUint16(body, m.Seq)
			body = append(body, m.Buf.B...)
			*b = body[:0]
			err := d.s.conn.SendDatagram(body)
			switch {
			case err == nil:
				counters.datagramsOut.Add(1)
			case d.tooLarge(err):
				counters.dropped[DropTooLarge].Add(1)
			default:
				d.unsent(i)
				d.worker.stop()
				return
			}
			m.Buf.Release()
		}
		putPull(d.pulled)
		d.pulled = nil
		for !d.pull() {
			if d.worker.rest() {
				return
			}
		}
	}
}

// tooLarge reports whether err says that a datagram was longer than the path carries,
// and notes what that is.
func (d *datagramLane) tooLarge(err error) bool {
	var large *quicgo.DatagramTooLargeError
	if !errors.As(err, &large) {
		return false
	}
	d.max.Store(int32(max(large.MaxDatagramPayloadSize-packetOverhead-bodyHeader, MinMaxUnreliable)))
	return true
}

// whale is longer than any datagram.
var whale = make([]byte, 1<<16)

// measure asks quic-go what the path carries now: it tells only who sends too much.
func (d *datagramLane) measure() {
	if d.s.datagrams {
		d.tooLarge(d.s.conn.SendDatagram(whale))
	}
}

// receive hands on the datagrams that arrive.
func (d *datagramLane) receive() {
	s := d.s
	defer s.crew.leave()
	one := make([]transport.Message, 1)
	for {
		b, err := s.conn.ReceiveDatagram(context.Background())
		if err != nil {
			return
		}
		now := time.Now()
		s.take(b, one, now)
		s.countStreams(now)
	}
}

// take delivers one datagram's message. one is room for it.
func (s *Session) take(b []byte, one []transport.Message, now time.Time) {
	dropped := &s.config.Counters.dropped
	switch {
	case s.phase.Load() != opened:
		dropped[DropEarly].Add(1)
		return
	case len(b) < bodyHeader || b[0] != bodyMessage:
		dropped[DropMalformed].Add(1)
		return
	}
	s.heard.Store(now.UnixNano())
	one[0] = transport.Message{
		Delivery: transport.Unreliable, Channel: b[1], Seq: binary.BigEndian.Uint16(b[2:]),
		Buf: s.config.Pool.Copy(b[bodyHeader:]),
	}
	if taken, over := s.hand(one); taken == 0 {
		one[0].Buf.Release()
		if over {
			dropped[DropClosed].Add(1)
		} else {
			dropped[DropFull].Add(1)
		}
	} else {
		s.config.Counters.datagramsIn.Add(1)
	}
	one[0] = transport.Message{}
}
