package session

import (
	"time"

	quicgo "github.com/quic-go/quic-go"

	"strait/proto/wire"
	"strait/transport"
	"strait/transport/lane"
)

// ALPN is the protocol name of both ends (WIRE.md section 5).
const ALPN = "strait/1"

// The defaults of Config.
const (
	DefaultLinger      = time.Second
	DefaultLingerBytes = 256 << 10
)

// The windows of [QUICConfig] in bytes. A game's stream carries a few kilobytes a
// second; 128 KiB in flight is 20 Mbit/s at 50 ms, and the sum is what one peer can make
// this end hold.
const (
	DefaultInitialWindow = 32 << 10
	DefaultStreamWindow  = 128 << 10
	DefaultConnWindow    = 512 << 10
	// DefaultStreams is one stream for every channel but 0, which is the control
	// stream's, and one to spare for telling who opens a second one.
	DefaultStreams = 256
)

// bidirectional is the credit for bidirectional streams: the control stream, and one
// more, so that a second one is answered with a reason and not by the QUIC stack.
const bidirectional = 2

// MinMaxUnreliable is the least that SERVER_HELLO may say, and what every path carries
// in one datagram (WIRE.md section 6.7).
const MinMaxUnreliable = 1100

// Config says how a Session behaves. Pool is required; zero is the documented default
// for everything else.
type Config struct {
	// Role is the end that is played: the gateway's, or the client's.
	Role lane.Role
	// Pool is where received messages lie.
	Pool *transport.Pool
	// MaxMessage is the longest DATA payload in bytes that may arrive; 0 is 16384. A
	// client sets what SERVER_HELLO says with Session.SetMaxMessage.
	MaxMessage int
	// MaxUnreliable is what Max reports in bytes where there are no datagrams; 0 is
	// 1100, which is also the least.
	MaxUnreliable int
	// Linger is how long the end of a connection may take to be written, and then how
	// long the peer's end is waited for; 0 is 1 s.
	Linger time.Duration
	// LingerBytes is how much of the control stream is then discarded at most; 0 is
	// 256 KiB.
	LingerBytes int
	// OpenBy is when a session that is not open ends with TIMEOUT; zero is never.
	OpenBy time.Time
	// Opened is called, once, when SERVER_HELLO is queued or has arrived. It must not
	// block; nil is nobody.
	Opened func()
	// Pong is called with the payload of each PONG, 12 bytes that are borrowed, one call
	// at a time; nil: not. For who sends PINGs of its own with Session.Control.
	Pong func(payload []byte, now time.Time)
	// Turns is told of each turn in which messages are delivered, with Loop as its shard;
	// nil: nobody.
	Turns transport.Turns
	Loop  int
	// Counters are shared by many sessions; nil: the session has its own.
	Counters *Counters
}

func (c Config) withDefaults() Config {
	if c.MaxMessage == 0 {
		c.MaxMessage = wire.MinMaxMessage
	}
	if c.MaxUnreliable == 0 {
		c.MaxUnreliable = MinMaxUnreliable
	}
	if c.Linger == 0 {
		c.Linger = DefaultLinger
	}
	if c.LingerBytes == 0 {
		c.LingerBytes = DefaultLingerBytes
	}
	if c.Counters == nil {
		c.Counters = new(Counters)
	}
	return c
}

// QUICConfig returns what a connection of a Session needs of quic-go: windows sized for
// games, credit for every channel's stream, datagrams on, 0-RTT off. quic-go neither
// offers nor uses grease_quic_bit. The caller owns it and may change it.
func QUICConfig() *quicgo.Config {
	return &quicgo.Config{
		InitialStreamReceiveWindow:     DefaultInitialWindow,
		MaxStreamReceiveWindow:         DefaultStreamWindow,
		InitialConnectionReceiveWindow: 2 * DefaultInitialWindow,
		MaxConnectionReceiveWindow:     DefaultConnWindow,
		MaxIncomingStreams:             bidirectional,
		MaxIncomingUniStreams:          DefaultStreams,
		EnableDatagrams:                true,
	}
}
