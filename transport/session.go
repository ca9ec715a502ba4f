package transport

import (
	"encoding/hex"
	"net/netip"
	"time"
)

// ID is the random name of a session; client and game logic see the same.
type ID [16]byte

// String returns the ID in lower-case hex.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Session is what game logic, dispatcher and admin see of one player. It
// outlives connections. All methods are safe for concurrent use; none blocks.
type Session interface {
	ID() ID
	// Handle names the session within this process; never 0, never reused.
	Handle() uint64
	Info() Info
	// Send queues a message on the lane that its delivery class asks for. It takes
	// m.Buf in every case, also when it returns an error: a *TooLargeError for a
	// message above the limit of its class, a Reason once the session has ended.
	Send(m Message) error
	// Flush wakes the lanes that have work: the end of a batch of Sends.
	Flush()
	// MaxUnreliable is the longest unreliable message in bytes that can be sent now.
	MaxUnreliable() int
	// Close ends the session after what is queued has been sent. Idempotent: the
	// first reason counts.
	Close(Reason)
}

// Info is a snapshot of a session.
type Info struct {
	Kind   Kind
	Remote netip.AddrPort // of the client itself
	Opened time.Time
	// Path is the reliable lane's way, but heard is what any lane heard, and while an
	// unreliable lane carries messages round trip, jitter and loss are that lane's, all
	// of them, once it has measured a round trip: they belong together, and a stream
	// hides its loss as delay.
	Path Path
	// Bound is since when an unreliable lane carries messages; zero: none does.
	Bound time.Time
	// Datagrams is the way of that lane; zero without one.
	Datagrams Path
	// Queued is the number of bytes waiting for the client to read.
	Queued int
	// InFlight is the number of bytes received that game logic has not taken yet.
	InFlight int
}

// Path is what a lane knows of its way to the peer. Zero means not known.
type Path struct {
	Remote  netip.AddrPort
	RTT     time.Duration // smoothed, RFC 6298
	Jitter  time.Duration // mean deviation of the RTT, RFC 6298
	LossPPM uint32
	// Heard is when the last whole frame or authenticated packet arrived.
	Heard time.Time
	// PartialSince is when the frame that is now arriving began; zero without one.
	PartialSince time.Time
	// Buffered is the number of bytes held for frames not yet complete and, over QUIC,
	// for open streams, as the Pool counts them.
	Buffered int
}
