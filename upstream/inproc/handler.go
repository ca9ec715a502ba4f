package inproc

import (
	"log/slog"
	"runtime/debug"

	"strait/transport"
	"strait/upstream"
)

// Handler is game logic written in Go. Its methods are called on the goroutine of
// a dispatcher shard and must not block. Calls for different shards come
// concurrently, those for one session in order and one at a time. A call that
// panics closes its session with INTERNAL and is logged; the others go on.
//
// A handler may send to the session with its own Send; what it sent is flushed at
// the end of the batch. Sessions other than the one of the call are flushed by
// whoever sends to them.
type Handler interface {
	Opened(s upstream.Session)
	// Message is a message of the player. m.Buf is borrowed until return; Retain it
	// to keep it, or to send it on.
	Message(s upstream.Session, m transport.Message)
	// Closed is the last call for s.
	Closed(s upstream.Session, r transport.Reason)
}

// Starter is a Handler that wants the gateway, for groups and for sessions other
// than the one it is called for. Start is called once, before everything else.
type Starter interface {
	Start(g upstream.Gateway)
}

// LinkHandler is a Handler that wants to know when a session's transport, address
// or quality changed; Session.Info tells.
type LinkHandler interface {
	Link(s upstream.Session)
}

// New is a driver for game logic in this process.
func New(h Handler) *Driver {
	link, _ := h.(LinkHandler)
	d := newDriver("inproc", func(d *Driver, e *upstream.Event) {
		defer d.survive(e)
		switch e.Kind {
		case upstream.Opened:
			h.Opened(e.Session)
		case upstream.Message:
			h.Message(e.Session, e.Message)
		case upstream.Closed:
			h.Closed(e.Session, reason(e))
		case upstream.Link:
			if link != nil {
				link.Link(e.Session)
			}
		}
	})
	if s, ok := h.(Starter); ok {
		d.start = s.Start
	}
	return d
}

func reason(e *upstream.Event) transport.Reason {
	if e.Reason == nil {
		return transport.Reason{}
	}
	return *e.Reason
}

func (d *Driver) survive(e *upstream.Event) {
	p := recover()
	if p == nil {
		return
	}
	log := d.Logger
	if log == nil {
		log = slog.Default()
	}
	log.Error("game logic panicked; its session is closed",
		"session", e.Session.ID(), "panic", p, "stack", string(debug.Stack()))
	d.gateway.CloseSession(e.Session, transport.Because(transport.Internal, "game logic failed"))
}
