package sealed

import "encoding/binary"

const (
	// MaxPacket is the longest datagram in bytes, UDP payload alone.
	MaxPacket = 1200
	// MinData is the shortest DATA that a client sends: a shorter packet with an
	// unknown cid is not answered by RESET.
	MinData = gatewayHeader + 1 + tagLen
	// RetryLen and ResetLen are the exact lengths of these packets.
	RetryLen = 1 + 8 + CookieLen
	ResetLen = 1 + 8 + 16
	// CookieLen is the length of RETRY's cookie.
	CookieLen = 24
	// MaxToken is the longest token of an offer.
	MaxToken = 256

	tagLen        = 16
	clientHeader  = 1 + 4     // in front of DATA's ciphertext, to the client
	gatewayHeader = 1 + 8 + 4 // likewise to the gateway
	minToClient   = clientHeader + 1 + tagLen

	versionBits = 0b01 << 4
	keyBit      = 0b1000
	wireVersion = 1
)

// CID names a lane to the gateway.
type CID [8]byte

// SessionID is the session that a lane belongs to.
type SessionID [16]byte

// Direction is which way a packet goes.
type Direction uint8

const (
	ToGateway Direction = iota
	ToClient
)

// header is the length of DATA's plain part.
func (d Direction) header() int {
	if d == ToClient {
		return clientHeader
	}
	return gatewayHeader
}

// Type is the type of a packet (WIRE.md section 6.3).
type Type uint8

const (
	TypeHello Type = iota
	TypeRetry
	TypeData
	TypeReset
)

// TypeOf reads byte 0. ok is false where pkt, borrowed until return, is empty, is of
// another version or no sealed UDP at all, or of an unknown type.
func TypeOf(pkt []byte) (t Type, ok bool) {
	if len(pkt) == 0 || pkt[0]&^(keyBit|0b111) != versionBits {
		return 0, false
	}
	t = Type(pkt[0] & 0b111)
	return t, t <= TypeReset
}

// byte0 is byte 0 of a packet of that type under that epoch.
func byte0(t Type, epoch uint8) byte { return versionBits | (epoch&1)<<3 | byte(t) }

// keyOf is the low bit of the epoch that a packet was sealed under.
func keyOf(pkt []byte) uint8 { return pkt[0] & keyBit >> 3 }

// AppendRetry appends the RETRY that answers hello, of which byte 0 and the cid are
// read; hello is borrowed until return.
func AppendRetry(dst []byte, hello Hello, cookie [CookieLen]byte) []byte {
	dst = append(dst, byte0(TypeRetry, hello.key))
	dst = append(dst, hello.CID[:]...)
	return append(dst, cookie[:]...)
}

// ParseRetry reads a RETRY, which is borrowed until return; ok is false where it is
// none.
func ParseRetry(pkt []byte) (cid CID, cookie [CookieLen]byte, ok bool) {
	if t, known := TypeOf(pkt); !known || t != TypeRetry || len(pkt) != RetryLen {
		return CID{}, cookie, false
	}
	return CID(pkt[1:9]), [CookieLen]byte(pkt[9:]), true
}

// AppendReset appends the RESET that answers pkt, a packet to the gateway of at least
// MinData bytes with an unknown cid. pkt is borrowed until return.
func AppendReset(dst, pkt []byte, value [16]byte) []byte {
	dst = append(dst, byte0(TypeReset, keyOf(pkt)))
	dst = append(dst, pkt[1:9]...)
	return append(dst, value[:]...)
}

// ParseReset reads a RESET, which is borrowed until return; ok is false where it is
// none. Its value is to be compared in constant time.
func ParseReset(pkt []byte) (cid CID, value [16]byte, ok bool) {
	if t, known := TypeOf(pkt); !known || t != TypeReset || len(pkt) != ResetLen {
		return CID{}, value, false
	}
	return CID(pkt[1:9]), [16]byte(pkt[9:]), true
}

// Hello is a HELLO as it arrived. Its slices are parts of the packet.
type Hello struct {
	CID    CID
	Cookie []byte // CookieLen bytes
	Token  []byte // 1 to MaxToken bytes

	key    uint8
	number uint32
	pkt    []byte
}

const (
	helloFixed = 41 // up to the token
	helloTime  = 8
)

// ParseHello reads a HELLO up to its sealed part: exact size, version, bounds of the
// token. pkt stays borrowed as long as the Hello is used. The Drop is DropSize,
// DropVersion or DropHello, or DropNone.
func ParseHello(pkt []byte) (Hello, Drop) {
	if t, ok := TypeOf(pkt); !ok || t != TypeHello {
		return Hello{}, DropType
	}
	if len(pkt) != MaxPacket {
		return Hello{}, DropSize
	}
	if binary.BigEndian.Uint16(pkt[9:]) != wireVersion {
		return Hello{}, DropVersion
	}
	n := int(binary.BigEndian.Uint16(pkt[39:]))
	if n == 0 || n > MaxToken {
		return Hello{}, DropHello
	}
	return Hello{
		CID: CID(pkt[1:9]), Cookie: pkt[11:35], Token: pkt[helloFixed : helloFixed+n],
		key: keyOf(pkt), number: binary.BigEndian.Uint32(pkt[35:]), pkt: pkt,
	}, DropNone
}

// appendHello appends a HELLO whose sealed part is still plain, and says where it
// begins. token has 1 to MaxToken bytes.
func appendHello(dst []byte, epoch uint8, cid CID, cookie [CookieLen]byte, number uint32, token []byte, micros uint64) (out []byte, sealed int) {
	start := len(dst)
	dst = append(dst, byte0(TypeHello, epoch))
	dst = append(dst, cid[:]...)
	dst = binary.BigEndian.AppendUint16(dst, wireVersion)
	dst = append(dst, cookie[:]...)
	dst = binary.BigEndian.AppendUint32(dst, number)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(token)))
	dst = append(dst, token...)
	sealed = len(dst)
	dst = binary.BigEndian.AppendUint64(dst, micros)
	return appendZero(dst, MaxPacket-tagLen-(len(dst)-start)), sealed
}

var zeros [MaxPacket]byte

func appendZero(dst []byte, n int) []byte { return append(dst, zeros[:n]...) }
