package wire

// The limits of WIRE.md section 2 on the length of a payload, in bytes.
const (
	MaxHello      = 16384 // CLIENT_HELLO
	MaxControl    = 4096  // every other control frame, also one that is skipped
	MinMaxMessage = 16384 // the least that a gateway may set as max_message_bytes
)

// Limits are the rules for the frames that arrive at one end of a lane.
type Limits struct {
	// MaxMessage is ServerHello.max_message_bytes: the longest DATA, and the
	// longest message of a DATA_UNRELIABLE. Zero means MinMaxMessage, which every
	// gateway takes.
	MaxMessage uint32
	// FromClient says who sends the frames: the client, so that they arrive at
	// the gateway; or, when false, the gateway.
	FromClient bool
}

// Check judges a frame by its header alone. What it returns is nil or an
// *Error. A header it passes may still be out of turn.
func (l Limits) Check(h Header) error {
	limit := uint32(MaxControl)
	switch h.Type {
	case Data:
		limit = l.maxMessage()
	case DataUnreliable:
		if h.Length < sequenceLen {
			return &Error{Rule: TooShort, Header: h, Limit: sequenceLen}
		}
		limit = l.maxMessage() + sequenceLen
	case Ping:
		if h.Length != pingLen {
			return &Error{Rule: WrongSize, Header: h, Limit: pingLen}
		}
	case Pong:
		if h.Length != pongLen {
			return &Error{Rule: WrongSize, Header: h, Limit: pongLen}
		}
	case ClientHello:
		if !l.FromClient {
			return &Error{Rule: WrongDirection, Header: h}
		}
		limit = MaxHello
	case ServerHello, UDPOffer, GoAway:
		if l.FromClient {
			return &Error{Rule: WrongDirection, Header: h}
		}
	case Ack, Close:
	default:
		if !h.Type.Skippable() {
			return &Error{Rule: UnknownType, Header: h}
		}
	}
	if h.Length > limit {
		return &Error{Rule: TooLong, Header: h, Limit: limit}
	}
	return nil
}

func (l Limits) maxMessage() uint32 {
	if l.MaxMessage == 0 {
		return MinMaxMessage
	}
	// No header tells more; the bound keeps the two bytes of a sequence from
	// overflowing.
	return min(l.MaxMessage, MaxFrameLen)
}
