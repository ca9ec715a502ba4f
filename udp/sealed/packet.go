package sealed

import "encoding/binary"

// MaxMessage is the longest message in bytes that fits one packet whichever way it
// goes; a longer one goes in pieces.
const MaxMessage = MaxPacket - gatewayHeader - tagLen - messageLen

// Packet is a DATA packet while it is filled with messages. It needs neither a lane
// nor a lock until it is sealed, and allocates nothing. Reuse it by Start.
type Packet struct {
	buf []byte // MaxPacket bytes; nil between Seal and Start
	n   int    // bytes used, the header's included
	d   Direction
}

// Start begins a packet in buf, whose capacity is at least MaxPacket, else it panics.
// buf is taken until the packet that Seal returned, a part of it, is sent.
func (p *Packet) Start(buf []byte, d Direction) {
	*p = Packet{buf: buf[:MaxPacket:MaxPacket], n: d.header(), d: d}
}

// Room is the length of the longest message that Message still takes; below 0 there
// is none.
func (p *Packet) Room() int { return p.left() - messageLen }

// left is how many bytes of frames still fit.
func (p *Packet) left() int { return len(p.buf) - tagLen - p.n }

// Empty reports whether nothing was put into the packet since Start.
func (p *Packet) Empty() bool { return p.buf == nil || p.n == p.d.header() }

// Message appends a MSG frame; m is borrowed until return. Where m is longer than
// Room it does nothing and returns false.
func (p *Packet) Message(channel uint8, seq uint16, m []byte) bool {
	if len(m) > p.Room() {
		return false
	}
	b := p.buf[p.n:]
	b[0], b[1] = frameMessage, channel
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint16(b[4:], uint16(len(m)))
	p.n += messageLen + copy(b[messageLen:], m)
	return true
}

// pieceRoom is the longest piece of a message that fits a packet of its own.
func pieceRoom(d Direction) int { return MaxPacket - d.header() - tagLen - fragmentLen }

// Pieces is how many packets a message of n bytes takes: 1 goes by Message, 2 to 16
// by Piece, 0 says that it is too long for either (WIRE.md section 6.7).
func Pieces(n int, d Direction) int {
	if n <= pieceRoom(d)+fragmentLen-messageLen {
		return 1
	}
	if k := (n + pieceRoom(d) - 1) / pieceRoom(d); k <= maxPieces {
		return k
	}
	return 0
}

// Piece appends piece i of the n = Pieces(len(m), d) pieces of m, which is borrowed
// until return. The pieces are of one size but the last. A packet that is empty has
// room; where there is none it does nothing and returns false.
func (p *Packet) Piece(channel uint8, seq uint16, m []byte, i, n int) bool {
	size := (len(m) + n - 1) / n
	piece := m[min(i*size, len(m)):min((i+1)*size, len(m))]
	if fragmentLen+len(piece) > p.left() {
		return false
	}
	b := p.buf[p.n:]
	b[0], b[1] = frameFragment, channel
	binary.BigEndian.PutUint16(b[2:], seq)
	b[4], b[5] = uint8(i), uint8(n)
	binary.BigEndian.PutUint16(b[6:], uint16(len(piece)))
	p.n += fragmentLen + copy(b[fragmentLen:], piece)
	return true
}

// opaque appends a frame of 8 bytes; false where it does not fit into room bytes.
func (p *Packet) opaque(frame byte, body uint64, room int) bool {
	if opaqueLen > min(room, p.left()) {
		return false
	}
	p.buf[p.n] = frame
	binary.BigEndian.PutUint64(p.buf[p.n+1:], body)
	p.n += opaqueLen
	return true
}

// timed appends a PONG or ACCEPT likewise.
func (p *Packet) timed(frame byte, body uint64, rest uint32, room int) bool {
	if pongLen > min(room, p.left()) {
		return false
	}
	p.buf[p.n] = frame
	binary.BigEndian.PutUint64(p.buf[p.n+1:], body)
	binary.BigEndian.PutUint32(p.buf[p.n+9:], rest)
	p.n += pongLen
	return true
}

// ending appends a CLOSE likewise.
func (p *Packet) ending(code uint16, room int) bool {
	if closeLen > min(room, p.left()) {
		return false
	}
	p.buf[p.n] = frameClose
	binary.BigEndian.PutUint16(p.buf[p.n+1:], code)
	p.n += closeLen
	return true
}

// size is the length of the packet once it is sealed.
func (p *Packet) size() int { return p.n + tagLen }
