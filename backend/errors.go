package backend

import (
	"errors"
	"fmt"
	"net"
)

var (
	// ErrSessionClosed refuses a command for a session that is closed. It matches
	// net.ErrClosed.
	ErrSessionClosed = fmt.Errorf("backend: the session is closed: %w", net.ErrClosed)
	// ErrDetached refuses a command for a session whose stream was lost and that was
	// not announced again yet.
	ErrDetached = errors.New("backend: the session's stream was lost; it may be announced again")
	// ErrServerClosed is what Serve returns after Close. It matches net.ErrClosed.
	ErrServerClosed = fmt.Errorf("backend: the server is closed: %w", net.ErrClosed)
	// ErrNoGateway refuses a publish while no gateway is attached.
	ErrNoGateway = errors.New("backend: no gateway is attached")
)

// FullError refuses a command because the gateway does not read what is queued for
// it already.
type FullError struct {
	Queued, Limit int // bytes
}

func (e *FullError) Error() string {
	return fmt.Sprintf("backend: %d bytes are queued for the gateway, the limit is %d; send less, or again later", e.Queued, e.Limit)
}

// TooLargeError refuses a command that does not fit into a batch.
type TooLargeError struct {
	Size, Max int // bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("backend: a command of %d bytes: the limit is %d", e.Size, e.Max)
}

// ArgumentError refuses a command that the gateway would refuse.
type ArgumentError struct{ Want string }

func (e *ArgumentError) Error() string { return "backend: " + e.Want }
