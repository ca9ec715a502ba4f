package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// AEAD is an authenticated cipher; the numbers are those of UdpOffer.aead.
type AEAD uint8

const (
	AES128GCM        AEAD = 1
	ChaCha20Poly1305 AEAD = 2
)

// String returns the cipher's name.
func (a AEAD) String() string {
	switch a {
	case AES128GCM:
		return "AES-128-GCM"
	case ChaCha20Poly1305:
		return "ChaCha20-Poly1305"
	}
	return fmt.Sprintf("AEAD(%d)", uint8(a))
}

// Known reports whether WIRE.md section 6.2 defines a.
func (a AEAD) Known() bool { return a == AES128GCM || a == ChaCha20Poly1305 }

// Choose returns the first of the client's ciphers, in its order of preference, that
// is among allowed; no allowed means all. ok is false where there is none: then there
// is no offer (WIRE.md section 6.1).
func Choose(client []uint32, allowed ...AEAD) (a AEAD, ok bool) {
	for _, c := range client {
		a = AEAD(c)
		if uint32(a) == c && a.Known() && (len(allowed) == 0 || slices.Contains(allowed, a)) {
			return a, true
		}
	}
	return 0, false
}

func (a AEAD) keyLen() int {
	if a == ChaCha20Poly1305 {
		return chacha20poly1305.KeySize
	}
	return 16
}

func (a AEAD) cipher(key []byte) cipher.AEAD {
	if a == ChaCha20Poly1305 {
		c, err := chacha20poly1305.New(key)
		if err != nil {
			panic("sealed: " + err.Error()) // only for lengths that cannot be
		}
		return c
	}
	return gcm(key)
}

func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err == nil {
		var c cipher.AEAD
		if c, err = cipher.NewGCM(block); err == nil {
			return c
		}
	}
	panic("sealed: " + err.Error()) // only for lengths that cannot be
}

const ivLen = 12

// half is one direction's key and iv.
type half struct {
	aead cipher.AEAD
	iv   [ivLen]byte
}

// derive cuts the keys of one epoch as WIRE.md section 6.2 says; the results are by
// Direction.
func derive(a AEAD, secret *[32]byte, session SessionID, epoch uint8) (out [2]half) {
	k := a.keyLen()
	info := "strait/1 udp" + string(session[:]) + string([]byte{epoch})
	okm, err := hkdf.Key(sha256.New, secret[:], nil, info, 2*(k+ivLen))
	if err != nil {
		panic("sealed: " + err.Error()) // only for lengths that cannot be
	}
	for i := range out {
		out[i] = half{aead: a.cipher(okm[:k]), iv: [ivLen]byte(okm[k:])}
		okm = okm[k+ivLen:]
	}
	return out
}
