package sealed_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"strait/udp/sealed"
)

// raw is the other end of a lane, written a second time from WIRE.md: it seals whatever
// frames a test wants under AES-128-GCM.
type raw struct {
	t             testing.TB
	offer         sealed.Offer
	send, recv    cipher.AEAD
	sendIV, recIV []byte
	pn            uint64
}

// newRaw is a client that took the offer.
func newRaw(t testing.TB, session sealed.SessionID, o sealed.Offer) *raw {
	okm, err := hkdf.Key(sha256.New, o.Secret[:], nil, "strait/1 udp"+string(session[:])+string([]byte{o.Epoch}), 56)
	require.NoError(t, err)
	gcm := func(key []byte) cipher.AEAD {
		block, err := aes.NewCipher(key)
		require.NoError(t, err)
		c, err := cipher.NewGCM(block)
		require.NoError(t, err)
		return c
	}
	require.Equal(t, sealed.AES128GCM, o.AEAD)
	return &raw{t: t, offer: o, send: gcm(okm[:16]), sendIV: okm[16:28], recv: gcm(okm[28:44]), recIV: okm[44:]}
}

// gateway is the gateway's end of the same lane.
func (r *raw) gateway() *raw {
	return &raw{t: r.t, offer: r.offer, send: r.recv, recv: r.send, sendIV: r.recIV, recIV: r.sendIV}
}

func nonce(iv []byte, pn uint64) []byte {
	b := append([]byte(nil), iv...)
	binary.BigEndian.PutUint64(b[4:], binary.BigEndian.Uint64(b[4:])^pn)
	return b
}

func (r *raw) key() byte { return r.offer.Epoch & 1 << 3 }

// hello is a HELLO with the next packet number.
func (r *raw) hello() []byte { return r.helloWith(make([]byte, 24), 0) }

func (r *raw) helloWith(cookie []byte, pad byte) []byte {
	b := append([]byte{0x10 | r.key()}, r.offer.CID[:]...)
	b = binary.BigEndian.AppendUint16(b, 1)
	b = append(b, cookie...)
	b = binary.BigEndian.AppendUint32(b, uint32(r.pn))
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.offer.Token)))
	b = append(b, r.offer.Token...)
	plain := make([]byte, sealed.MaxPacket-16-len(b))
	binary.BigEndian.PutUint64(plain, uint64(noon.UnixMicro()))
	plain[len(plain)-1] = pad
	b = r.send.Seal(b, nonce(r.sendIV, r.pn), plain, b)
	r.pn++
	return b
}

// data is a DATA packet to the gateway with the next packet number.
func (r *raw) data(frames ...byte) []byte { return r.numbered(r.take(), frames...) }

func (r *raw) take() uint64 { r.pn++; return r.pn - 1 }

func (r *raw) numbered(pn uint64, frames ...byte) []byte {
	b := append([]byte{0x12 | r.key()}, r.offer.CID[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(pn))
	return r.send.Seal(b, nonce(r.sendIV, pn), frames, b)
}

// answer is a DATA packet to the client with the next packet number.
func (r *raw) answer(frames ...byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0x12 | r.key()}, uint32(r.pn))
	b = r.send.Seal(b, nonce(r.sendIV, r.pn), frames, append(append([]byte(nil), b...), r.offer.CID[:]...))
	r.pn++
	return b
}

// open reads a packet of the gateway, by frame type; the body of the last one counts.
func (r *raw) open(pkt []byte) map[byte][]byte {
	r.t.Helper()
	require.Equal(r.t, 0x12|r.key(), pkt[0])
	plain, err := r.recv.Open(nil, nonce(r.recIV, uint64(binary.BigEndian.Uint32(pkt[1:]))), pkt[5:], append(append([]byte(nil), pkt[:5]...), r.offer.CID[:]...))
	require.NoError(r.t, err)
	return frames(r.t, plain)
}

// tryOpen is open for a packet that may be of another epoch with the same K.
func (r *raw) tryOpen(pkt []byte) map[byte][]byte {
	plain, err := r.recv.Open(nil, nonce(r.recIV, uint64(binary.BigEndian.Uint32(pkt[1:]))), pkt[5:], append(append([]byte(nil), pkt[:5]...), r.offer.CID[:]...))
	if err != nil {
		return nil
	}
	return frames(r.t, plain)
}

// openUp reads a packet of the client, HELLO aside.
func (r *raw) openUp(pkt []byte) map[byte][]byte {
	r.t.Helper()
	require.Equal(r.t, 0x12|r.key(), pkt[0])
	plain, err := r.recv.Open(nil, nonce(r.recIV, uint64(binary.BigEndian.Uint32(pkt[9:]))), pkt[13:], pkt[:13])
	require.NoError(r.t, err)
	return frames(r.t, plain)
}

func frames(t testing.TB, plain []byte) map[byte][]byte {
	t.Helper()
	out := map[byte][]byte{}
	for len(plain) > 0 {
		n := map[byte]int{0x05: 9, 0x06: 13, 0x0A: 3, 0x12: 13, 0x13: 9, 0x14: 9, 0x15: 9}[plain[0]]
		switch plain[0] {
		case 0x10:
			n = 6 + int(binary.BigEndian.Uint16(plain[4:]))
		case 0x11:
			n = 8 + int(binary.BigEndian.Uint16(plain[6:]))
		}
		require.NotZero(t, n, "frame %#x", plain[0])
		require.GreaterOrEqual(t, len(plain), n)
		out[plain[0]] = plain[1:n]
		plain = plain[n:]
	}
	return out
}

// rawPair is a lane with a raw client.
func rawPair(t testing.TB, s setup) (*pair, *raw) {
	p := newPair(t, s)
	o, err := p.lane.Offer(home, p.now)
	require.NoError(t, err)
	return p, newRaw(t, p.session, o)
}

// boundRaw is a lane that a raw client has bound from home.
func boundRaw(t testing.TB, s setup) (*pair, *raw) {
	p, r := rawPair(t, s)
	require.Equal(t, sealed.DropNone, p.toGateway(r.hello(), home))
	r.prove(p, home)
	require.True(t, p.lane.Bound())
	p.fromGateway()
	return p, r
}

// prove answers the challenge that waits for an address.
func (r *raw) prove(p *pair, at netip.AddrPort) {
	r.t.Helper()
	c, ok := r.challenged(p)[at]
	require.True(r.t, ok, "no challenge to %v", at)
	require.Equal(r.t, sealed.DropNone, p.toGateway(r.data(append([]byte{0x14}, c...)...), at))
}

// challenged is the challenges that the gateway sends now, by address.
func (r *raw) challenged(p *pair) map[netip.AddrPort][]byte {
	out := map[netip.AddrPort][]byte{}
	for _, s := range p.fromGateway() {
		if c, ok := r.open(s.pkt)[0x13]; ok {
			out[s.to] = c
		}
	}
	return out
}

var (
	ping = append([]byte{0x05}, make([]byte, 8)...)
	pad  = []byte{0}
)

// msg is a MSG frame of channel 1.
func msg(seq uint16, text string) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0x10, 1}, seq)
	b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
	return append(b, text...)
}

// piece is a FRAGMENT frame.
func piece(channel byte, seq uint16, index, count byte, text string) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0x11, channel}, seq)
	b = append(b, index, count)
	b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
	return append(b, text...)
}
