package link

import "encoding/binary"

// Packet is what the core needs to know of a packet.
type Packet struct {
	Length int  // of the whole IP packet, in bytes
	UDP    bool // also a fragment of UDP
}

// IP protocol numbers (IANA).
const (
	hopByHop    = 0
	routing     = 43
	fragment    = 44
	destination = 60
	protocolUDP = 17
)

const (
	ipv4Header = 20
	ipv6Header = 40
)

// Parse reads the header of a whole IP packet, which is borrowed until return. It
// reports false for what is no traffic between two hosts: what is not IP, and
// multicast and broadcast, by which kernels look after themselves and which would
// take packet numbers from what is measured.
func Parse(b []byte) (p Packet, ok bool) {
	if len(b) == 0 {
		return Packet{}, false
	}
	switch b[0] >> 4 {
	case 4:
		if len(b) < ipv4Header || b[16] >= 224 {
			return Packet{}, false
		}
		return Packet{Length: len(b), UDP: b[9] == protocolUDP}, true
	case 6:
		if len(b) < ipv6Header || b[24] == 0xff {
			return Packet{}, false
		}
		return Packet{Length: len(b), UDP: next(b) == protocolUDP}, true
	}
	return Packet{}, false
}

// next returns the protocol behind the extension headers of an IPv6 packet (RFC 8200
// section 4). Of a fragment that is not the first it is that of the whole.
func next(b []byte) byte {
	protocol, rest := b[6], b[ipv6Header:]
	for {
		var length int
		switch protocol {
		case hopByHop, routing, destination:
			if len(rest) < 8 {
				return protocol
			}
			length = 8 + 8*int(rest[1])
		case fragment:
			if len(rest) < 8 {
				return protocol
			}
			length = 8
			if binary.BigEndian.Uint16(rest[2:])>>3 != 0 {
				return rest[0]
			}
		default:
			return protocol
		}
		if len(rest) < length {
			return protocol
		}
		protocol, rest = rest[0], rest[length:]
	}
}
