package wire

import (
	"encoding/binary"
	"fmt"
)

const (
	// HeaderLen is the length of a frame's header in bytes.
	HeaderLen = 6
	// MaxFrameLen is the longest payload that the header's u24 length can tell.
	MaxFrameLen = 1<<24 - 1

	sequenceLen = 2 // in front of the message of a DATA_UNRELIABLE
	pingLen     = 8
	pongLen     = pingLen + 4
)

// Header is the header of a frame. The flags are sent as 0 and ignored on
// receipt, so they have no field.
type Header struct {
	Length  uint32 // of the payload, in bytes; at most MaxFrameLen
	Type    Type
	Channel uint8 // of Data and DataUnreliable; else sent as 0 and ignored on receipt
}

// ParseHeader reads the header at the start of b, which is borrowed until
// return. ok is false where b is shorter than HeaderLen. It judges nothing:
// Limits.Check does.
func ParseHeader(b []byte) (h Header, ok bool) {
	if len(b) < HeaderLen {
		return Header{}, false
	}
	return Header{
		Length:  uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]),
		Type:    Type(b[3]),
		Channel: b[4],
	}, true
}

// AppendHeader appends h to dst. See PutHeader.
func AppendHeader(dst []byte, h Header) []byte {
	var b [HeaderLen]byte
	PutHeader(b[:], h)
	return append(dst, b[:]...)
}

// PutHeader writes h to the first HeaderLen bytes of b. It panics where b is
// shorter, and where Length is above MaxFrameLen: the sender refuses such a
// message long before, and a length cut to 24 bits would turn the rest of the
// stream into garbage.
func PutHeader(b []byte, h Header) {
	_ = b[HeaderLen-1]
	if h.Length > MaxFrameLen {
		panicTooLong(int(h.Length))
	}
	b[0], b[1], b[2] = byte(h.Length>>16), byte(h.Length>>8), byte(h.Length)
	b[3], b[4], b[5] = byte(h.Type), h.Channel, 0
}

// AppendFrame appends a whole frame to dst. payload is borrowed until return
// and at most MaxFrameLen bytes long, else it panics as PutHeader does.
func AppendFrame(dst []byte, t Type, channel uint8, payload []byte) []byte {
	if len(payload) > MaxFrameLen {
		panicTooLong(len(payload))
	}
	dst = AppendHeader(dst, Header{Length: uint32(len(payload)), Type: t, Channel: channel})
	return append(dst, payload...)
}

// AppendUnreliable appends a whole DATA_UNRELIABLE frame to dst. message is
// borrowed until return and at most MaxFrameLen-2 bytes long, else it panics as
// PutHeader does.
func AppendUnreliable(dst []byte, channel uint8, seq uint16, message []byte) []byte {
	n := sequenceLen + len(message)
	if n > MaxFrameLen {
		panicTooLong(n)
	}
	dst = AppendHeader(dst, Header{Length: uint32(n), Type: DataUnreliable, Channel: channel})
	dst = binary.BigEndian.AppendUint16(dst, seq)
	return append(dst, message...)
}

// ParseUnreliable reads the payload of a DATA_UNRELIABLE frame. message is a
// part of payload, not a copy. ok is false where payload has no room for the
// sequence.
func ParseUnreliable(payload []byte) (seq uint16, message []byte, ok bool) {
	if len(payload) < sequenceLen {
		return 0, nil, false
	}
	return binary.BigEndian.Uint16(payload), payload[sequenceLen:], true
}

// AppendPong appends a whole PONG frame to dst: the answer to ping,
// delayMicros after its receipt.
func AppendPong(dst []byte, ping [8]byte, delayMicros uint32) []byte {
	dst = AppendHeader(dst, Header{Length: pongLen, Type: Pong})
	dst = append(dst, ping[:]...)
	return binary.BigEndian.AppendUint32(dst, delayMicros)
}

// ParsePong reads the payload of a PONG frame, which is borrowed until return.
// ok is false where it has another length than a PONG's.
func ParsePong(payload []byte) (ping [8]byte, delayMicros uint32, ok bool) {
	if len(payload) != pongLen {
		return ping, 0, false
	}
	return [8]byte(payload[:pingLen]), binary.BigEndian.Uint32(payload[pingLen:]), true
}

func panicTooLong(n int) {
	panic(fmt.Sprintf("wire: a frame of %d bytes was to be sent, the header can tell at most %d", n, MaxFrameLen))
}
