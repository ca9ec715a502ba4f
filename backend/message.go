package backend

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"
)

// Delivery is the class of service of a message.
type Delivery uint8

const (
	// Reliable messages arrive once and in order within their channel while the
	// session lives.
	Reliable Delivery = iota
	// Unreliable messages arrive at most once and may be lost or reordered.
	Unreliable
)

func (d Delivery) String() string {
	switch d {
	case Reliable:
		return "reliable"
	case Unreliable:
		return "unreliable"
	}
	return fmt.Sprintf("Delivery(%d)", uint8(d))
}

// Message is a message of a player.
type Message struct {
	Channel  uint8
	Delivery Delivery
	Sequence uint16 // unreliable only: as the client numbered it
	Payload  []byte // borrowed until the callback returns
}

// Closed says how a session ended.
type Closed struct {
	Code   Code
	Reason string // for a person; may be empty
	// Lost is true when the stream was lost, or this backend was closed, and the
	// session was not announced again: the player may be playing on elsewhere.
	Lost bool
}

// Link is how a player is connected, as of now. Zero means not known. RTT, Jitter and
// LossPPM are of one way, the one that unreliable messages go.
type Link struct {
	Transport Transport
	Remote    netip.AddrPort
	RTT       time.Duration
	Jitter    time.Duration
	LossPPM   uint32
	Queued    int // bytes waiting for the player to read
}

// ID is the random name of a session; the client knows the same.
type ID [16]byte

// String returns the ID in lower-case hex.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Transport is what a player is connected by; the numbers are those of
// upstream.proto.
type Transport uint8

const (
	TransportUnknown Transport = iota
	TCP
	TCPUDP
	QUIC
	WebTransport
	WebSocket
)

var transportNames = [...]string{"unknown", "tcp", "tcp+udp", "quic", "webtransport", "websocket"}

func (t Transport) String() string {
	if int(t) < len(transportNames) {
		return transportNames[t]
	}
	return fmt.Sprintf("Transport(%d)", uint8(t))
}

// Code says why a session ended (WIRE.md section 9).
type Code uint16

const (
	Normal Code = iota
	ProtocolError
	Version
	AuthFailed
	Idle
	Timeout
	Overloaded
	Draining
	Kicked
	Superseded
	TooSlow
	TooBig
	UpstreamLost
	RateLimited
	Internal
)

var codeNames = [...]string{
	"NORMAL", "PROTOCOL_ERROR", "VERSION", "AUTH_FAILED", "IDLE", "TIMEOUT", "OVERLOADED", "DRAINING",
	"KICKED", "SUPERSEDED", "TOO_SLOW", "TOO_BIG", "UPSTREAM_LOST", "RATE_LIMITED", "INTERNAL",
}

func (c Code) known() bool { return int(c) < len(codeNames) }

func (c Code) String() string {
	if c.known() {
		return codeNames[c]
	}
	return fmt.Sprintf("CODE_%d", uint16(c))
}
