package sealed

import "encoding/binary"

// The frame types of WIRE.md section 6.3.
const (
	framePad       = 0x00
	framePing      = 0x05
	framePong      = 0x06
	frameClose     = 0x0A
	frameMessage   = 0x10
	frameFragment  = 0x11
	frameAccept    = 0x12
	frameChallenge = 0x13
	frameResponse  = 0x14
	frameReport    = 0x15
)

// Lengths of whole frames, of those with a payload without it.
const (
	opaqueLen   = 1 + 8 // PING, PATH_CHALLENGE, PATH_RESPONSE, REPORT
	pongLen     = 1 + 8 + 4
	closeLen    = 1 + 2
	acceptLen   = 1 + 8 + 4
	messageLen  = 1 + 1 + 2 + 2
	fragmentLen = 1 + 1 + 2 + 1 + 1 + 2
)

const (
	minPieces = 2
	maxPieces = 16
)

// check judges the frames of one packet as a whole, before any of them takes effect.
func check(b []byte, d Direction) Drop {
	if len(b) == 0 {
		return DropEmpty
	}
	for len(b) > 0 {
		if b[0] == framePad {
			if !allZero(b) {
				return DropPadding
			}
			return DropNone
		}
		n, drop := frameLen(b, d)
		if drop != DropNone {
			return drop
		}
		if n > len(b) {
			return DropOverrun
		}
		b = b[n:]
	}
	return DropNone
}

// frameLen is the length of the frame at the start of b, which may be above len(b).
func frameLen(b []byte, d Direction) (n int, drop Drop) {
	switch b[0] {
	case framePing, frameChallenge, frameResponse, frameReport:
		return opaqueLen, DropNone
	case framePong:
		return pongLen, DropNone
	case frameClose:
		return closeLen, DropNone
	case frameAccept:
		if d == ToGateway {
			return 0, DropDirection
		}
		return acceptLen, DropNone
	case frameMessage:
		if len(b) < messageLen {
			return 0, DropOverrun
		}
		return messageLen + int(binary.BigEndian.Uint16(b[4:])), DropNone
	case frameFragment:
		if len(b) < fragmentLen {
			return 0, DropOverrun
		}
		if index, count := b[4], b[5]; count < minPieces || count > maxPieces || index >= count {
			return 0, DropField
		}
		return fragmentLen + int(binary.BigEndian.Uint16(b[6:])), DropNone
	}
	return 0, DropFrame
}

// cut takes the first frame off b, which check has passed. PAD ends the packet.
func cut(b []byte, d Direction) (frame, rest []byte) {
	if b[0] == framePad {
		return b, nil
	}
	n, _ := frameLen(b, d)
	return b[:n], b[n:]
}

func allZero(b []byte) bool {
	var or byte
	for _, v := range b {
		or |= v
	}
	return or == 0
}
