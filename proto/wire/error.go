package wire

import (
	"fmt"
	"strings"
)

// Rule names what a frame broke.
type Rule uint8

// The rules that a header, or a payload by itself, can break. Each is a
// protocol error of WIRE.md section 2.
const (
	UnknownType    Rule = iota + 1 // below FirstSkippable and not in the table
	WrongDirection                 // only the other side sends this type
	TooLong                        // above Error.Limit
	TooShort                       // below Error.Limit
	WrongSize                      // another size than Error.Limit
	Malformed                      // the payload does not parse; Error.Err says how
)

// Error is a protocol error: the peer broke WIRE.md section 2. It ends the
// connection with the close code PROTOCOL_ERROR, and its text is fit to be the
// reason: 1 to MaxReason bytes of UTF-8 that tell the peer's author what was
// wrong and what would be right.
type Error struct {
	Rule   Rule
	Header Header
	Limit  uint32 // in bytes, of TooLong, TooShort and WrongSize; else 0
	Err    error  // the cause, of Malformed; else nil
}

func (e *Error) Error() string {
	t, n := e.Header.Type, e.Header.Length
	switch e.Rule {
	case UnknownType:
		return fmt.Sprintf("frame type %s is unknown; only types from %s up are skipped when unknown", t, FirstSkippable)
	case WrongDirection:
		if t == ClientHello {
			return fmt.Sprintf("%s came from the gateway; only a client sends it", t)
		}
		return fmt.Sprintf("%s came from a client; only the gateway sends it", t)
	case TooLong:
		if t == Data || t == DataUnreliable {
			return fmt.Sprintf("%s of %d bytes is above the limit of %d that max_message_bytes sets", t, n, e.Limit)
		}
		return fmt.Sprintf("%s of %d bytes is above the limit of %d", t, n, e.Limit)
	case TooShort:
		return fmt.Sprintf("%s of %d bytes is too short; its sequence alone takes %d", t, n, e.Limit)
	case WrongSize:
		return fmt.Sprintf("%s of %d bytes; it has exactly %d", t, n, e.Limit)
	case Malformed:
		// The protobuf library varies its texts, by build, with spaces that do not break.
		cause := strings.ReplaceAll(fmt.Sprint(e.Err), "\u00a0", " ")
		return fitReason(fmt.Sprintf("payload of %s does not parse: %s", t, cause))
	default:
		return fmt.Sprintf("%s breaks the protocol", t)
	}
}

// Unwrap gives the cause of a Malformed payload.
func (e *Error) Unwrap() error { return e.Err }
