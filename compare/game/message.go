package game

import (
	"encoding/binary"
	"errors"
)

// header begins every message, little-endian: flow (1 byte), 3 bytes of zero,
// player (4), sequence within the flow (4), time at which it was due (8). What
// follows is filler.
type header struct {
	flow   uint8
	player uint32
	seq    uint32
	due    int64 // ns of Clock
}

const headerLen = 20

var errNotOurs = errors.New("not a message of this game")

// put writes h to the beginning of b, which is at least headerLen long.
func (h header) put(b []byte) {
	b[0], b[1], b[2], b[3] = h.flow, 0, 0, 0
	binary.LittleEndian.PutUint32(b[4:], h.player)
	binary.LittleEndian.PutUint32(b[8:], h.seq)
	binary.LittleEndian.PutUint64(b[12:], uint64(h.due))
}

func parse(b []byte) (header, error) {
	if len(b) < headerLen || b[0] >= flowCount || b[1]|b[2]|b[3] != 0 {
		return header{}, errNotOurs
	}
	return header{
		flow:   b[0],
		player: binary.LittleEndian.Uint32(b[4:]),
		seq:    binary.LittleEndian.Uint32(b[8:]),
		due:    int64(binary.LittleEndian.Uint64(b[12:])),
	}, nil
}

// filler makes payloads that do not compress, the same in every run.
func filler(n int) []byte {
	b := make([]byte, n)
	x := uint64(0x9e3779b97f4a7c15)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 32)
	}
	return b
}
