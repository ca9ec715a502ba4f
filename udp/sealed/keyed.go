package sealed

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
)

// keyed is a hash under a key, with the room that keeps it from allocating.
type keyed struct {
	mu   sync.Mutex
	hash hash.Hash
	in   [64]byte
	out  [sha256.Size]byte
}

func newKeyed(key [32]byte, use string) keyed {
	k := hmac.New(sha256.New, key[:])
	k.Write([]byte(use))
	return keyed{hash: hmac.New(sha256.New, k.Sum(nil))}
}

func (k *keyed) sum(b []byte) []byte {
	k.hash.Reset()
	k.hash.Write(b)
	return k.hash.Sum(k.out[:0])
}
