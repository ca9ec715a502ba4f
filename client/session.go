package client

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
	"strait/proto/wire"
	"strait/transport"
	"strait/transport/outbox"
)

// buffers is shared by all clients of the process.
var buffers = transport.NewPool(0, nil)

// session is one session on one connection: the [transport.Peer] of its lane.
type session struct {
	// static
	inbox    *inbox
	counters *counters
	tell     func(State)
	offered  func(*straitv1.UdpOffer) error // nil: no lane was asked for
	lane     interface {
		SetMaxMessage(n int)
		Close(transport.Reason)
	}

	// set by the reader in Hello, before open is
	id            transport.ID
	maxReliable   int // bytes
	maxUnreliable int // bytes
	idle          time.Duration
	queue         outbox.Queue
	sendBuffer    int // bytes

	open atomic.Bool // SERVER_HELLO was good
	// room holds a token when reliable messages have left the queue.
	room chan struct{}

	// owned by the stream's reader
	refused  bool   // SERVER_HELLO was bad: nothing more is to be read
	redirect string // of the last GOAWAY

	// datagrams is true while unreliable messages have a lane beside the stream.
	datagrams atomic.Bool
	// unwanted is true once another session was opened in the place of this one.
	unwanted atomic.Bool

	// guarded by mu
	mu     sync.Mutex
	newest []newest

	why atomic.Pointer[transport.Reason] // the first reason for the end
}

// newest is the highest sequence received on a channel.
type newest struct {
	channel uint8
	seq     uint16
}

// defaultIdle stands in for an idle timeout that the gateway does not tell.
const defaultIdle = 30 * time.Second

// Hello takes the SERVER_HELLO.
func (s *session) Hello(b []byte) {
	var m straitv1.ServerHello
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, &m); err != nil {
		s.reject(transport.ProtocolError, "SERVER_HELLO does not parse: %v", err)
		return
	}
	switch {
	case m.GetVersion() != wire.Version:
		s.reject(transport.Version, "the gateway speaks version %d of the protocol; this client speaks %d", m.GetVersion(), wire.Version)
		return
	case len(m.GetSessionId()) != len(s.id):
		s.reject(transport.ProtocolError, "SERVER_HELLO has a session_id of %d bytes; it has exactly %d", len(m.GetSessionId()), len(s.id))
		return
	case m.GetMaxMessageBytes() < wire.MinMaxMessage:
		s.reject(transport.ProtocolError, "SERVER_HELLO has max_message_bytes %d; the least is %d", m.GetMaxMessageBytes(), wire.MinMaxMessage)
		return
	case m.GetMaxUnreliableBytes() < minMaxUnreliable:
		s.reject(transport.ProtocolError, "SERVER_HELLO has max_unreliable_bytes %d; the least is %d", m.GetMaxUnreliableBytes(), minMaxUnreliable)
		return
	}
	s.id = transport.ID(m.GetSessionId())
	// A header cannot tell more, whatever the gateway allows.
	s.maxReliable = int(min(m.GetMaxMessageBytes(), wire.MaxFrameLen-2))
	s.maxUnreliable = min(int(min(m.GetMaxUnreliableBytes(), wire.MaxFrameLen-2)), s.maxReliable)
	s.idle = time.Duration(m.GetIdleTimeoutMs()) * time.Millisecond
	if s.idle == 0 {
		s.idle = defaultIdle
	}
	s.lane.SetMaxMessage(s.maxReliable)
	if o := m.GetUdp(); o != nil && s.offered != nil {
		if err := s.offered(o); err != nil {
			s.reject(transport.ProtocolError, "SERVER_HELLO: %v", err)
			return
		}
	}
	s.queue.Init(outbox.Config{ReliableBytes: max(s.sendBuffer, s.maxReliable+outbox.Overhead)})
	s.open.Store(true)
}

// minMaxUnreliable is the least max_unreliable_bytes, WIRE.md section 6.7.
const minMaxUnreliable = 1100

func (s *session) reject(c transport.Code, format string, args ...any) {
	s.refused = true
	r := transport.Because(c, format, args...)
	s.end(r)
	s.lane.Close(r)
}

// Control takes what the gateway says about the session. Without want_resume ACK
// means nothing to this client, and UDP_OFFER nothing to one that wants no lane.
func (s *session) Control(t transport.Control, payload []byte) error {
	switch t {
	case transport.ControlGoAway:
		var m straitv1.GoAway
		if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(payload, &m); err != nil {
			return fmt.Errorf("GOAWAY does not parse: %w", err)
		}
		s.redirect = m.GetRedirect()
		s.tell(State{
			Kind: GoingAway, Session: s.id, Redirect: s.redirect,
			Deadline: time.Duration(m.GetDeadlineMs()) * time.Millisecond,
			Err:      transport.Reason{Code: transport.Code(min(m.GetCode(), 0xffff)), Remote: true},
		})
	case transport.ControlAck:
		return parses(payload, &straitv1.Ack{}, "ACK")
	case transport.ControlUDPOffer:
		m := &straitv1.UdpOffer{}
		if err := parses(payload, m, "UDP_OFFER"); err != nil || s.offered == nil {
			return err
		}
		return s.offered(m)
	}
	return nil
}

func parses(payload []byte, m proto.Message, name string) error {
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(payload, m); err != nil {
		return fmt.Errorf("%s does not parse: %w", name, err)
	}
	return nil
}

// Deliver puts messages into the inbox. Beside the stream's reader those of a
// companion may call it.
func (s *session) Deliver(ms []transport.Message) int {
	for i, m := range ms {
		if s.unwanted.Load() {
			m.Buf.Release()
			continue
		}
		if m.Delivery == transport.Unreliable {
			if s.stale(m.Channel, m.Seq) {
				s.counters.stale.Add(1)
				m.Buf.Release()
				continue
			}
		}
		taken, dropped := s.inbox.put(m)
		s.counters.receiveDropped.Add(uint64(dropped))
		if !taken {
			return i
		}
	}
	return len(ms)
}

// stale reports whether a newer message of the channel came before (RFC 1982, 16
// bits), or the same one.
func (s *session) stale(channel uint8, seq uint16) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.newest {
		if n := &s.newest[i]; n.channel == channel {
			if int16(seq-n.seq) <= 0 {
				return true
			}
			n.seq = seq
			return false
		}
	}
	s.newest = append(s.newest, newest{channel, seq})
	return false
}

// Channels says of which channels reliable messages are queued.
func (s *session) Channels(dst []uint8) []uint8 {
	if !s.open.Load() {
		return dst
	}
	return s.queue.Channels(dst)
}

// Pull gives queued messages to the stream's writer; unreliable ones only while
// they have no other lane.
func (s *session) Pull(dst []transport.Message, d transport.Delivery, channel, budget int) []transport.Message {
	if !s.open.Load() || d == transport.Unreliable && s.datagrams.Load() {
		return dst
	}
	before := len(dst)
	dst = s.pull(dst, d, channel, budget)
	if d == transport.Unreliable {
		dst = s.withoutLong(dst, before)
	}
	return dst
}

// withoutLong drops what was queued for a lane that could carry more than the
// stream may.
func (s *session) withoutLong(ms []transport.Message, from int) []transport.Message {
	kept := ms[:from]
	for _, m := range ms[from:] {
		if len(m.Buf.B) > s.maxUnreliable {
			m.Buf.Release()
			s.counters.sendDropped.Add(1)
			continue
		}
		kept = append(kept, m)
	}
	clear(ms[len(kept):])
	return kept
}

// pull gives queued messages to any writer.
func (s *session) pull(dst []transport.Message, d transport.Delivery, channel, budget int) []transport.Message {
	before := len(dst)
	dst = s.queue.Pull(dst, d, channel, budget)
	for _, m := range dst[before:] {
		s.counters.sent(d, len(m.Buf.B))
	}
	if d == transport.Reliable && len(dst) > before {
		select {
		case s.room <- struct{}{}:
		default:
		}
	}
	return dst
}

// Closing notes why nothing more arrives.
func (s *session) Closing(r transport.Reason) { s.end(r) }

// setDatagrams says whether unreliable messages have a lane beside the stream.
func (s *session) setDatagrams(on bool) {
	s.datagrams.Store(on)
	s.counters.sendDropped.Add(uint64(s.queue.SetDatagrams(on)))
}

// Gone drops what was not written.
func (s *session) Gone(transport.Reason) {
	if !s.open.Load() {
		return
	}
	reliable, unreliable := s.queue.Drop()
	s.counters.lostReliable.Add(uint64(reliable))
	s.counters.sendDropped.Add(uint64(unreliable))
}

// end keeps the first reason. Any goroutine.
func (s *session) end(r transport.Reason) { s.why.CompareAndSwap(nil, &r) }

// push queues a copy of payload, which is borrowed and at most limit bytes long.
// queued is false when there is no room, or the session has ended. The error is a
// *transport.TooLargeError.
func (s *session) push(d transport.Delivery, channel uint8, payload []byte, limit int) (queued bool, err error) {
	if len(payload) > limit {
		return false, &transport.TooLargeError{Size: len(payload), Max: limit, Delivery: d}
	}
	dropped, err := s.queue.Push(transport.Message{Delivery: d, Channel: channel, Buf: buffers.Copy(payload)})
	s.counters.sendDropped.Add(uint64(dropped))
	return err == nil, nil
}
