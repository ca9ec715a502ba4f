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
	// room is the longest message in bytes that the peer's max_datagram_frame_size has
	// room for, if that is less than every path carries; else it is noLimit. Static.
	room int
	// detour has those that are longer. Wake of the control stream's writer follows.
	detour detour
}

// noLimit is the room of a peer that takes datagrams of any size.
const noLimit = 1<<31 - 1

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
	for {
		*ms = d.s.peer.Pull((*ms)[:0], transport.Unreliable, transport.AnyChannel, datagramBudget)
		if len(*ms) == 0 {
			putPull(ms)
			return false
		}
		if d.room != noLimit {
			*ms = d.divert(*ms)
		}
		if len(*ms) > 0 {
			d.pulled = ms
			return true
		}
	}
}

// divert sends what no datagram to this peer has room for by the control stream, and
// returns the rest.
func (d *datagramLane) divert(ms []transport.Message) []transport.Message {
	kept := ms[:0]
	dropped := 0
	for _, m := range ms {
		if len(m.Buf.B) > d.room {
			dropped += d.detour.push(m)
			continue
		}
		kept = append(kept, m)
	}
	if len(kept) < len(ms) {
		clear(ms[len(kept):])
		d.s.config.Counters.dropped[DropStale].Add(uint64(dropped))
		d.s.writer.wake()
	}
	return kept
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

// limitOf is the longest datagram that can be sent now if err says that one was longer.
func limitOf(err error) (n int, ok bool) {
	large, ok := errors.AsType[*quicgo.DatagramTooLargeError](err)
	if !ok {
		return 0, false
	}
	return int(large.MaxDatagramPayloadSize), true
}

// tooLarge reports whether err says that a datagram was longer than the path carries,
// and notes what that is.
func (d *datagramLane) tooLarge(err error) bool {
	n, ok := limitOf(err)
	if ok {
		d.max.Store(int32(max(n-packetOverhead-bodyHeader, MinMaxUnreliable)))
	}
	return ok
}

// whale is longer than any datagram.
var whale = make([]byte, 1<<16)

// begin finds out, before anything is sent, what a datagram can carry. quic-go tells
// the lesser of what the path and the peer take. Every path that QUIC works on carries
// MinMaxUnreliable, so that less than that is the peer's limit, for good.
func (d *datagramLane) begin() {
	d.room = noLimit
	if !d.s.datagrams {
		return
	}
	err := d.s.conn.SendDatagram(whale)
	d.tooLarge(err)
	if n, ok := limitOf(err); ok && n-bodyHeader < MinMaxUnreliable {
		d.room = n - bodyHeader
	}
}

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
