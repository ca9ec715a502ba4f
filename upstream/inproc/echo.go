package inproc

import (
	"strait/transport"
	"strait/upstream"
)

// Echo is game logic that sends each message back to its session, on the same
// channel and with the same delivery, without copying it.
func Echo() *Driver { return newDriver("echo", echo) }

func echo(d *Driver, e *upstream.Event) {
	if e.Kind != upstream.Message {
		return
	}
	// The event keeps its own reference, so that releasing it credits the session.
	m := transport.Message{Delivery: e.Message.Delivery, Channel: e.Message.Channel, Buf: e.Message.Buf.Retain()}
	_ = d.gateway.Send(e.Session, m) // what it refuses it counts
}
