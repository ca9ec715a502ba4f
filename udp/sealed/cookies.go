package sealed

import (
	"crypto/subtle"
	"encoding/binary"
	"net/netip"
	"time"
)

// cookieSlot is the coarseness of a cookie's time: one is good for the rest of its
// slot and for the next one.
const cookieSlot = 5 * time.Second

// Cookies makes and checks the cookies of RETRY (WIRE.md section 6.3): a keyed hash of
// address, port, cid and a coarse time, so that no state is kept. Safe for concurrent
// use.
type Cookies struct{ keyed keyed }

// NewCookies takes the key; a random one for each process serves.
func NewCookies(key [32]byte) *Cookies { return &Cookies{keyed: newKeyed(key, "cookie")} }

// Make returns the cookie for a HELLO from that address. It is good for 5 to 10 s.
func (c *Cookies) Make(from netip.AddrPort, cid CID, now time.Time) [CookieLen]byte {
	return c.at(from, cid, now.UnixNano()/int64(cookieSlot))
}

// Valid reports whether Make gave the cookie, which is borrowed until return, for the
// same address and cid not long ago. It compares in constant time.
func (c *Cookies) Valid(cookie []byte, from netip.AddrPort, cid CID, now time.Time) bool {
	slot := now.UnixNano() / int64(cookieSlot)
	for _, s := range [...]int64{slot, slot - 1} {
		want := c.at(from, cid, s)
		if subtle.ConstantTimeCompare(cookie, want[:]) == 1 {
			return true
		}
	}
	return false
}

func (c *Cookies) at(from netip.AddrPort, cid CID, slot int64) [CookieLen]byte {
	k := &c.keyed
	k.mu.Lock()
	defer k.mu.Unlock()
	b := binary.BigEndian.AppendUint64(k.in[:0], uint64(slot))
	b = appendAddr(b, from)
	b = append(b, cid[:]...)
	return [CookieLen]byte(k.sum(b))
}
