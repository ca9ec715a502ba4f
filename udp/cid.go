package udp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
)

// A connection id is cut so that a datagram finds its lane without a search, and so
// that nobody guesses one (WIRE.md section 6.1):
//
//	| socket (1) | slot (3) | permuted generation (4) |
//
// The first byte steers the datagram to its socket (steer_linux.go).
const (
	maxSockets = 256
	maxSlots   = 1 << 24
)

// cid is a connection id as one number, big-endian.
type cid uint64

func parseCID(b []byte) cid { return cid(binary.BigEndian.Uint64(b)) }

func (c cid) bytes() (b [8]byte) {
	binary.BigEndian.PutUint64(b[:], uint64(c))
	return b
}

func (c cid) slot() uint32 { return uint32(c>>32) & (maxSlots - 1) }

// mint makes connection ids: a slot never has the same one again, and its next one
// tells nothing to who does not have the key.
type mint struct{ block cipher.Block }

func newMint() mint {
	var key [16]byte
	rand.Read(key[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("udp: " + err.Error()) // only for key lengths that cannot be
	}
	return mint{block: block}
}

func (m mint) cid(socket uint8, slot, generation uint32) cid {
	return cid(socket)<<56 | cid(slot)<<32 | cid(m.permute(slot, generation))
}

// permute maps the generations of a slot one to one to 32 bits that look random: a
// Feistel network of eight rounds over AES, with a permutation for each slot.
func (m mint) permute(slot, x uint32) uint32 {
	left, right := uint16(x>>16), uint16(x)
	var b [aes.BlockSize]byte
	for round := range byte(8) {
		clear(b[:])
		b[0] = round
		binary.BigEndian.PutUint32(b[1:], slot)
		binary.BigEndian.PutUint16(b[5:], right)
		m.block.Encrypt(b[:], b[:])
		left, right = right, left^binary.BigEndian.Uint16(b[:])
	}
	return uint32(left)<<16 | uint32(right)
}
