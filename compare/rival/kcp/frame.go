package kcp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"strait/compare/rival"
)

// A length, 16 bits little-endian, precedes every frame. One of length 0 opens a
// session and is sent back.
const lengthLen = 2

var errLength = errors.New("kcp: frame is longer than any message")

// appendFramed appends frame, which is borrowed, behind its length.
func appendFramed(dst, frame []byte) []byte {
	return append(binary.LittleEndian.AppendUint16(dst, uint16(len(frame))), frame...)
}

// readFrame returns the next frame, in memory of its own.
func readFrame(r *bufio.Reader) ([]byte, error) {
	var length [lengthLen]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint16(length[:]))
	if n > rival.HeaderLen+rival.MaxPayload {
		return nil, fmt.Errorf("%w: %d bytes", errLength, n)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}
