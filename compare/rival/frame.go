package rival

import (
	"errors"
	"fmt"

	"strait/compare/game"
	"strait/transport"
)

// MaxPayload is the longest payload in bytes.
const MaxPayload = 16 << 10

// HeaderLen is how many bytes a frame has before its payload: delivery class and
// channel.
const HeaderLen = 2

// AppendFrame appends a message to dst; payload is borrowed.
func AppendFrame(dst []byte, d transport.Delivery, channel uint8, payload []byte) []byte {
	return append(append(dst, byte(d), channel), payload...)
}

var errFrame = errors.New("frame is no message")

// ParseFrame takes a frame apart. The payload is part of b.
func ParseFrame(b []byte) (game.Message, error) {
	if len(b) < HeaderLen || b[0] > byte(transport.Unreliable) {
		return game.Message{}, errFrame
	}
	return game.Message{Delivery: transport.Delivery(b[0]), Channel: b[1], Payload: b[HeaderLen:]}, nil
}

// Fits refuses a payload that is too long.
func Fits(d transport.Delivery, payload []byte) error {
	if len(payload) > MaxPayload {
		return fmt.Errorf("rival: %w", &transport.TooLargeError{Size: len(payload), Max: MaxPayload, Delivery: d})
	}
	return nil
}
