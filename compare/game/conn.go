package game

import (
	"context"

	"strait/transport"
)

// Message is one that has arrived. Payload belongs to the receiver.
type Message struct {
	Delivery transport.Delivery
	Channel  uint8
	Payload  []byte
}

// Conn is the player's end of a session. Send and Receive may be called from
// different goroutines, Send from several. A context that ends while a call waits may
// end the session with it.
type Conn interface {
	// Send takes a message in the delivery class, or the nearest that the transport
	// has. payload is borrowed. It may wait while the transport is full, until ctx
	// ends; an error means that the message was not taken.
	Send(ctx context.Context, d transport.Delivery, channel uint8, payload []byte) error
	// Receive returns the next message; an error ends the session.
	Receive(ctx context.Context) (Message, error)
	// Close ends the session, and may wait for the peer to agree. Idempotent; Send and
	// Receive then return an error, also those that wait.
	Close() error
}

// Dial opens a session.
type Dial func(context.Context) (Conn, error)

// Sender is game logic's end of a session. Send never waits; payload is borrowed.
// Safe for concurrent use.
type Sender interface {
	Send(d transport.Delivery, channel uint8, payload []byte) error
	// Flush ends what was sent for one moment: transports that batch write it now.
	Flush()
}
