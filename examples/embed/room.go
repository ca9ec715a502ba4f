package main

import (
	"fmt"
	"sync/atomic"

	"strait/transport"
	"strait/upstream"
)

const (
	chat     uint8 = 0 // reliable: everybody in the room hears it
	position uint8 = 1 // unreliable: everybody but the sender

	group = "room"
)

// room is game logic: players talk to each other and see where the others are. The
// gateway calls it from several goroutines at a time, but for one session from one;
// no method may block.
type room struct {
	gateway upstream.Gateway
	players atomic.Int64
}

func newRoom() *room { return new(room) }

// Start implements [inproc.Starter]: it is called before anything else.
func (r *room) Start(g upstream.Gateway) { r.gateway = g }

// Opened implements [inproc.Handler].
func (r *room) Opened(s upstream.Session) {
	r.gateway.Join("", group, s)
	r.say("%s came, %d here", name(s), r.players.Add(1))
}

// Message implements [inproc.Handler]. m.Buf belongs to the caller: to send it on it
// has to be retained, and Publish takes that reference.
func (r *room) Message(s upstream.Session, m transport.Message) {
	switch {
	case m.Delivery == transport.Unreliable && m.Channel == position:
		r.gateway.Publish("", group, transport.Message{
			Delivery: transport.Unreliable, Channel: position, Buf: m.Buf.Retain(),
		}, []uint64{s.Handle()})
	case m.Delivery == transport.Reliable && m.Channel == chat:
		r.say("%s: %s", name(s), m.Buf.B)
	default:
		s.Close(transport.Because(transport.Kicked, "this room knows chat on channel %d and positions on channel %d", chat, position))
	}
}

// Closed implements [inproc.Handler]. The session has left its groups already.
func (r *room) Closed(s upstream.Session, why transport.Reason) {
	r.say("%s went (%s), %d here", name(s), why.Code.String(), r.players.Add(-1))
}

// say tells everybody in the room, with one payload for all.
func (r *room) say(format string, args ...any) {
	text := fmt.Appendf(nil, format, args...)
	r.gateway.Publish("", group, transport.Message{Channel: chat, Buf: r.gateway.Buffers().Copy(text)}, nil)
}

// name is short for a session; a game would take Announcement().Subject.
func name(s upstream.Session) string { return s.ID().String()[:8] }
