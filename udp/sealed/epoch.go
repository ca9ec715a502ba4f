package sealed

import "encoding/binary"

// epoch is the keys of one offer and what was sent and received under them.
type epoch struct {
	number uint8
	used   bool // its token was: a valid HELLO came
	secret [32]byte

	send, recv half // no ciphers until the first use
	began      instant
	next       uint64 // packet number to send
	received   uint64 // packets that authenticated
	window     window

	peerHighest, peerCount uint32 // of the last REPORT
}

// ready derives the keys at their first use: an offer that nobody takes up costs no
// ciphers.
func (e *epoch) ready(c *core) {
	if e.send.aead != nil {
		return
	}
	keys := derive(c.aead, &e.secret, c.session, e.number)
	e.send, e.recv = keys[c.out], keys[1-c.out]
	clear(e.secret[:])
}

// nonce is iv XOR (u32 0, u64 packet number), in the core's scratch.
func (c *core) nonce(iv *[ivLen]byte, number uint64) []byte {
	c.scratch = *iv
	tail := c.scratch[4:]
	binary.BigEndian.PutUint64(tail, binary.BigEndian.Uint64(tail)^number)
	return c.scratch[:]
}

// extra is the additional data of a DATA packet that goes d: its header, and the cid
// where that has none.
func (c *core) extra(header []byte, d Direction) []byte {
	if d == ToGateway {
		return header
	}
	copy(c.aad[:], header)
	copy(c.aad[clientHeader:], c.cid[:])
	return c.aad[:]
}

// open authenticates and decrypts in place: pkt[at:] is sealed, low is the number on
// the wire. The number counts as received whatever the plain text turns out to be.
func (c *core) open(e *epoch, pkt []byte, at int, low uint32, extra []byte) (plain []byte, highest bool, drop Drop) {
	e.ready(c)
	number := expand(low, e.window.next)
	if drop = e.window.check(number); drop != DropNone {
		return nil, false, drop
	}
	plain, err := e.recv.aead.Open(pkt[at:at], c.nonce(&e.recv.iv, number), pkt[at:], extra)
	if err != nil {
		return nil, false, DropAuth
	}
	e.received++
	return plain, e.window.mark(number), DropNone
}

// seal writes the header of p and encrypts in place under the epoch that sends.
func (c *core) seal(p *Packet) []byte {
	e := c.cur
	at := c.out.header()
	p.buf[0] = byte0(TypeData, e.number)
	if c.out == ToGateway {
		copy(p.buf[1:], c.cid[:])
	}
	binary.BigEndian.PutUint32(p.buf[at-4:], uint32(e.next))
	b := e.send.aead.Seal(p.buf[at:at], c.nonce(&e.send.iv, e.next), p.buf[at:p.n], c.extra(p.buf[:at], c.out))
	e.next++
	out := p.buf[:at+len(b)]
	*p = Packet{}
	return out
}
