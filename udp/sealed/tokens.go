package sealed

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"time"
)

// Claims is what a token says to the gateway that made it (WIRE.md section 6.1).
type Claims struct {
	Session SessionID
	CID     CID
	Epoch   uint8
	Expires time.Time      // to the microsecond; until its first use
	Remote  netip.AddrPort // the client as its TLS connection showed it; information only
}

const (
	claimsLen = 16 + 8 + 1 + 8 + 16 + 2
	tokenLen  = ivLen + claimsLen + tagLen
)

const tokenLabel = "strait udp token"

// Tokens seals and opens the tokens of offers, by AES-256-GCM with random nonces: a
// sealing key is good for 2^32 tokens. Safe for concurrent use.
type Tokens struct {
	rand func([]byte)

	mu      sync.Mutex // guards scratch
	keys    []cipher.AEAD
	label   []byte
	scratch [tokenLen]byte
	plain   [claimsLen]byte
}

// NewTokens takes the keys: the first seals, all open. random fills its argument; nil
// is crypto/rand.
func NewTokens(keys [][32]byte, random func([]byte)) (*Tokens, error) {
	if len(keys) == 0 {
		return nil, errors.New("sealed: no key for tokens: one is needed to seal them")
	}
	if random == nil {
		random = systemRandom
	}
	t := &Tokens{rand: random, label: []byte(tokenLabel)}
	for i := range keys {
		t.keys = append(t.keys, gcm(keys[i][:]))
	}
	return t, nil
}

// Seal appends a token.
func (t *Tokens) Seal(dst []byte, c Claims) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := append(t.plain[:0], c.Session[:]...)
	b = append(b, c.CID[:]...)
	b = append(b, c.Epoch)
	b = binary.BigEndian.AppendUint64(b, uint64(c.Expires.UnixMicro()))
	b = appendAddr(b, c.Remote)
	nonce := t.scratch[:ivLen]
	t.rand(nonce)
	dst = append(dst, nonce...)
	return t.keys[0].Seal(dst, nonce, b, t.label)
}

// Open reads a token, which is borrowed until return. ok is false where none of the
// keys has sealed it. It does not judge the claims.
func (t *Tokens) Open(token []byte) (c Claims, ok bool) {
	if len(token) != tokenLen {
		return Claims{}, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	copy(t.scratch[:], token)
	for _, key := range t.keys {
		b, err := key.Open(t.plain[:0], t.scratch[:ivLen], t.scratch[ivLen:], t.label)
		if err != nil {
			continue
		}
		return Claims{
			Session: SessionID(b[:16]), CID: CID(b[16:24]), Epoch: b[24],
			Expires: time.UnixMicro(int64(binary.BigEndian.Uint64(b[25:]))),
			Remote:  netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[33:])).Unmap(), binary.BigEndian.Uint16(b[49:])),
		}, true
	}
	return Claims{}, false
}

// appendAddr appends 16 bytes of address and 2 of port. The zone is left out.
func appendAddr(dst []byte, a netip.AddrPort) []byte {
	var ip [16]byte
	if a.IsValid() {
		ip = a.Addr().As16()
	}
	dst = append(dst, ip[:]...)
	return binary.BigEndian.AppendUint16(dst, a.Port())
}
