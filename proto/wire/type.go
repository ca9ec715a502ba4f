package wire

// Version is the protocol version of WIRE.md, as the hellos carry it.
const Version = 1

// Type is the type of a frame.
type Type uint8

// The frame types of WIRE.md section 2.
const (
	ClientHello    Type = 0x01
	ServerHello    Type = 0x02
	Data           Type = 0x03
	DataUnreliable Type = 0x04
	Ping           Type = 0x05
	Pong           Type = 0x06
	Ack            Type = 0x07
	UDPOffer       Type = 0x08
	GoAway         Type = 0x09
	Close          Type = 0x0A

	// FirstSkippable is the lowest type that a receiver skips when it does not
	// know it.
	FirstSkippable Type = 0x80
)

var typeNames = [...]string{
	ClientHello:    "CLIENT_HELLO",
	ServerHello:    "SERVER_HELLO",
	Data:           "DATA",
	DataUnreliable: "DATA_UNRELIABLE",
	Ping:           "PING",
	Pong:           "PONG",
	Ack:            "ACK",
	UDPOffer:       "UDP_OFFER",
	GoAway:         "GOAWAY",
	Close:          "CLOSE",
}

// String gives the name of WIRE.md, or the number as 0x7F for an unknown type.
func (t Type) String() string {
	if t.known() {
		return typeNames[t]
	}
	const digits = "0123456789ABCDEF"
	return string([]byte{'0', 'x', digits[t>>4], digits[t&0xF]})
}

// Skippable reports whether the type is unknown and to be skipped.
func (t Type) Skippable() bool { return t >= FirstSkippable }

func (t Type) known() bool { return t >= ClientHello && t <= Close }
