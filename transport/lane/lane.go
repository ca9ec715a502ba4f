// Package lane is the core of every reliable lane: WIRE.md section 2 as a state
// machine between a byte stream and a [transport.Peer], the same for TLS, QUIC
// streams and WebSocket, for the gateway's end and the client's.
//
// It owns frame parsing, the order of the opening, PING and PONG, the form of
// CLOSE, and what is waiting to be written besides messages. It does no I/O,
// starts no goroutine and reads no clock: the transport moves the bytes and
// says what time it is.
//
// Reading (one goroutine at a time):
//
//  1. The transport reads into [Core.Space] and reports with [Core.Advance], or
//     hands what it has read elsewhere to [Core.Feed].
//  2. A header is judged before its payload is waited for; the payload goes
//     straight into a pooled buffer that grows as bytes arrive.
//  3. Whole messages go to Peer.Deliver. What it does not take waits here and
//     Space is nil until [Core.Resume].
//
// Writing (one goroutine at a time, beside the reader):
//
//  4. [Core.Fill] appends control frames, then pulls messages, then, once closing,
//     CLOSE. Ping, Control and Close are followed by waking the writer, and so is
//     what the reader read if [Core.Owes] says so.
package lane

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"strait/proto/wire"
	"strait/transport"
)

// Role is the end of the connection that a Core plays.
type Role uint8

const (
	Gateway Role = iota
	Client
)

const (
	// firstPiece is the most memory that a header alone can claim; a longer frame's
	// buffer doubles as its bytes arrive.
	firstPiece = 4096
	// maxPings bounds the PINGs that wait for their PONG to be written. A peer that
	// sends more without reading is not read from.
	maxPings = 64
	// maxBatch is the most messages handed to Deliver in one call.
	maxBatch = 32
	// probeAgain is after how long an unanswered PING no longer stands in the way of
	// another.
	probeAgain = 5 * time.Second
)

// Config says how a Core behaves. Pool is required.
type Config struct {
	Role Role
	// MaxMessage is the longest DATA payload in bytes that may arrive. A client sets
	// what SERVER_HELLO says with SetMaxMessage; 0 is 16384, the least it can say.
	MaxMessage int
	Pool       *transport.Pool
	// Pong is called, from the reader, with the 12 bytes of each PONG, borrowed; nil:
	// not. For who queues PINGs of its own with Control.
	Pong func(payload []byte, now time.Time)
	// Resume is called, from the writer, when reading was held up by PINGs and can
	// go on. It must not block.
	Resume func()
}

var (
	// batches are the backing arrays of pending while several messages are collected.
	batches = sync.Pool{New: func() any { return new([maxBatch]transport.Message) }}
	// pulls are what Pull appends to.
	pulls = sync.Pool{New: func() any { s := make([]transport.Message, 0, maxBatch); return &s }}
)

type state uint8

const (
	waiting  state = iota // for the first frame
	judging               // CLIENT_HELLO was handed over, its answer is not out yet
	open                  // messages flow
	finished              // nothing is read any more
)

// Core is one end of a reliable lane.
type Core struct {
	// static
	role   Role
	pool   *transport.Pool
	resume func()
	ponged func(payload []byte, now time.Time)
	peer   transport.Peer

	// owned by the reader
	state  state
	limits wire.Limits
	have   uint8 // bytes of hdr
	hdr    [wire.HeaderLen]byte
	frame  wire.Header
	buf    *transport.Buf // payload of frame; nil while the header is incomplete
	got    int            // bytes of the payload that have arrived
	// pending are whole messages, in order, that the session has not taken. It is
	// nil, or lies in one, or, while several are collected, in batch.
	pending []transport.Message
	one     [1]transport.Message
	batch   *[maxBatch]transport.Message
	feeding bool // collect messages into pending until the input is used up
	// What came behind pending and waits for it to be taken: a frame, whose
	// header is in frame, or the end because of a breach of the protocol.
	nextFrame *transport.Buf
	nextErr   error
	complete  bool // a whole frame arrived since the last note
	marked    bool // partial is set

	// owned by the writer; nil after Idle
	pulled *[]transport.Message

	// guarded by mu
	mu        sync.Mutex
	ctl       []byte // encoded control frames
	pings     []ping // to be answered
	closing   []byte // the CLOSE frame, once the end was asked for
	discard   bool   // closing without sending what is queued
	closeSent bool
	held      bool // the reader waits for pings to be answered
	nonce     uint64
	probe     time.Time // when the PING with nonce was written; zero: none under way
	wantPing  bool
	rtt       time.Duration
	jitter    time.Duration

	// atomic
	opened   atomic.Bool  // SERVER_HELLO is queued or was received
	heard    atomic.Int64 // Unix nanoseconds
	partial  atomic.Int64 // Unix nanoseconds; 0 without a partial frame
	buffered atomic.Int32
	// unanswered is len(pings), so that the reader needs no lock to see it small.
	unanswered atomic.Int32
}

type ping struct {
	data [8]byte
	at   time.Time
}

// New returns a Core that hands everything to peer.
func New(c Config, peer transport.Peer) *Core {
	max := c.MaxMessage
	if max == 0 {
		max = wire.MinMaxMessage
	}
	return &Core{
		role: c.Role, pool: c.Pool, resume: c.Resume, ponged: c.Pong, peer: peer,
		limits: wire.Limits{MaxMessage: uint32(max), FromClient: c.Role == Gateway},
	}
}

// SetMaxMessage sets the longest DATA payload that may arrive; from the reader,
// in Peer.Hello.
func (c *Core) SetMaxMessage(n int) { c.limits.MaxMessage = uint32(n) }

// Opened reports whether the session is open on this lane.
func (c *Core) Opened() bool { return c.opened.Load() }

// Owes reports whether what was read asks for something to be written: PONGs, or
// the end. The reader asks after Advance, Feed and Resume, and wakes the writer.
func (c *Core) Owes() bool { return c.unanswered.Load() > 0 || c.state == finished }

// Finished reports whether reading has ended; from the reader.
func (c *Core) Finished() bool { return c.state == finished }

// Path is what the lane has measured. Any goroutine.
func (c *Core) Path() transport.Path {
	c.mu.Lock()
	p := transport.Path{RTT: c.rtt, Jitter: c.jitter}
	c.mu.Unlock()
	if ns := c.heard.Load(); ns != 0 {
		p.Heard = time.Unix(0, ns)
	}
	if ns := c.partial.Load(); ns != 0 {
		p.PartialSince = time.Unix(0, ns)
	}
	p.Buffered = int(c.buffered.Load())
	return p
}

// measured takes one round-trip sample, as RFC 6298 section 2 smooths it. mu is held.
func (c *Core) measured(sample time.Duration) {
	sample = max(sample, 0)
	if c.rtt == 0 {
		c.rtt, c.jitter = sample, sample/2
		return
	}
	diff := c.rtt - sample
	if diff < 0 {
		diff = -diff
	}
	c.jitter += (diff - c.jitter) / 4
	c.rtt += (sample - c.rtt) / 8
}

func micros(d time.Duration) uint32 {
	us := d.Microseconds()
	return uint32(min(max(us, 0), math.MaxUint32))
}
