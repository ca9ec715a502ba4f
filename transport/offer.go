package transport

import (
	"errors"
	"net/netip"
	"time"
)

// Offer is what a client needs to bind an unreliable lane of its own to a session
// (WIRE.md section 6.1). It is secret: it travels inside TLS only.
type Offer struct {
	// Address is "host:port", or ":port" for the host that the client dialled.
	Address    string
	CID        [8]byte
	Token      []byte // at most 256 bytes
	Secret     [32]byte
	Epoch      uint8
	AEAD       uint8
	Lifetime   time.Duration // of the token, until its first use
	ResetValue [16]byte
}

// ErrLanesFull is why there is no lane now: there may be one later.
var ErrLanesFull = errors.New("the limit of lanes is reached")

// Offerer makes unreliable lanes for sessions whose connection carries none.
type Offerer interface {
	// Offer makes a lane that is not bound yet, with its first offer. The error says
	// why there is none: the session goes on without, and asks again in vain unless it
	// matches ErrLanesFull. It never blocks.
	Offer(Attachment) (Lane, Offer, error)
	// Close ends every lane and returns when all goroutines have ended. Idempotent.
	Close() error
}

// Attachment is what a lane of an Offerer is attached to.
type Attachment struct {
	Session ID
	// Shard is the dispatcher shard of the session: lanes of one shard are best
	// served by one reader.
	Shard int
	// Remote is the client as its connection shows it. Information only: the address
	// of the lane may be another one.
	Remote netip.AddrPort
	// AEADs are those that the client takes, in its order of preference.
	AEADs []uint32
	Peer  OfferPeer
}

// OfferPeer is the session's end of a lane of an Offerer. Only the lane calls it,
// with no lock of its own held that its Wake, Path, Max, Ping or Close takes.
type OfferPeer interface {
	// Deliver takes unreliable messages with their buffers, all of them: what finds
	// no room is dropped and counted. From one goroutine at a time.
	Deliver([]Message)
	// Pull is [Peer.Pull] for unreliable messages of any channel. The budget counts
	// 8 bytes for each message beside its payload; the first may be above it.
	Pull(dst []Message, budget int) []Message
	// Offer is a fresh offer for the client: the lane has been unbound for long, or
	// its keys are to be renewed. Any goroutine.
	Offer(Offer)
	// Bound says that the lane carries messages from now on, or no longer does. In
	// order; never two times the same.
	Bound(bool)
}
