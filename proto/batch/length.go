package batch

import (
	"encoding/binary"
	"fmt"
)

const (
	// MaxBatch is the longest batch in bytes, without the length in front of it.
	MaxBatch = 4 << 20
	// LengthLen is the length of the length in front of a batch on a byte stream.
	LengthLen = 4
)

// SizeError says that a batch is longer than MaxBatch.
type SizeError struct {
	Size uint64 // in bytes
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("batch of %d bytes is above the limit of %d; split it", e.Size, MaxBatch)
}

// AppendLength appends the length of a batch of n bytes to dst: u32 big-endian.
// With n 0 it reserves the place that PutLength fills in later.
func AppendLength(dst []byte, n int) []byte {
	var b [LengthLen]byte
	PutLength(b[:], n)
	return append(dst, b[:]...)
}

// PutLength writes the length of a batch of n bytes to the first LengthLen
// bytes of b. It panics where n is negative or above MaxBatch: the receiver
// ends the stream on such a batch, so it must not get this far.
func PutLength(b []byte, n int) {
	if n < 0 || n > MaxBatch {
		panic(fmt.Sprintf("batch: a length of %d was to be sent, the limit is %d", n, MaxBatch))
	}
	binary.BigEndian.PutUint32(b, uint32(n))
}

// ParseLength reads what AppendLength wrote. The error is a *SizeError.
func ParseLength(b [LengthLen]byte) (n uint32, err error) {
	n = binary.BigEndian.Uint32(b[:])
	if n > MaxBatch {
		return 0, &SizeError{Size: uint64(n)}
	}
	return n, nil
}
