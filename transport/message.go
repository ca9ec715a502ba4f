package transport

import "fmt"

// Delivery is the class of service that a message asks for (WIRE.md section 1).
type Delivery uint8

const (
	// Reliable messages arrive once and in order within their channel while the
	// session lives.
	Reliable Delivery = iota
	// Unreliable messages arrive at most once and may be lost or reordered.
	Unreliable
)

// String returns "reliable" or "unreliable".
func (d Delivery) String() string {
	switch d {
	case Reliable:
		return "reliable"
	case Unreliable:
		return "unreliable"
	}
	return fmt.Sprintf("Delivery(%d)", uint8(d))
}

// Message is one application message and the reference to its payload.
type Message struct {
	Delivery Delivery
	Channel  uint8
	// Seq is the sequence number of an unreliable message as it stood on the
	// wire. Senders leave it 0: it is given out when a lane takes the message.
	Seq uint16
	Buf *Buf
}

// Kind names a transport; the numbers are those of upstream.proto's Transport.
type Kind uint8

const (
	KindUnspecified Kind = iota
	KindTCP
	KindTCPUDP
	KindQUIC
	KindWebTransport
	KindWebSocket
)

// Kinds lists every kind that a client can be on, in order of their numbers.
var Kinds = [...]Kind{KindTCP, KindTCPUDP, KindQUIC, KindWebTransport, KindWebSocket}

// String returns the name used in logs, metrics and flags.
func (k Kind) String() string {
	switch k {
	case KindTCP:
		return "tcp"
	case KindTCPUDP:
		return "tcp+udp"
	case KindQUIC:
		return "quic"
	case KindWebTransport:
		return "webtransport"
	case KindWebSocket:
		return "websocket"
	}
	return "unspecified"
}

// TooLargeError refuses a message that is longer than its lane carries. The
// message was not sent; the session goes on.
type TooLargeError struct {
	Size, Max int // bytes
	Delivery  Delivery
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s message of %d bytes: the limit is %d", e.Delivery, e.Size, e.Max)
}
