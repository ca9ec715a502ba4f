package batch

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// cursor walks the fields of one message. It never panics, whatever the bytes.
type cursor struct {
	rest []byte // not read yet; not empty after next said false: malformed

	num  protowire.Number
	typ  protowire.Type
	val  uint64 // of a VarintType
	data []byte // of a BytesType: a part of the message, with its capacity cut
}

// next moves to the next field. It says false at the end, and where the field
// does not parse, which moves nothing.
func (c *cursor) next() bool {
	b := c.rest
	if len(b) == 0 {
		return false
	}
	tag, n := consumeVarint(b)
	// ConsumeTag would take numbers that proto.Unmarshal refuses.
	if n < 0 || tag>>3 < uint64(protowire.MinValidNumber) || tag>>3 > uint64(protowire.MaxValidNumber) {
		return false
	}
	b = b[n:]
	num, typ := protowire.Number(tag>>3), protowire.Type(tag&7)
	switch typ {
	case protowire.VarintType:
		v, n := consumeVarint(b)
		if n < 0 {
			return false
		}
		c.val, c.rest = v, b[n:]
	case protowire.BytesType:
		size, n := consumeVarint(b)
		if n < 0 || size > uint64(len(b)-n) {
			return false
		}
		end := n + int(size)
		c.data, c.rest = b[n:end:end], b[end:]
	default:
		n := protowire.ConsumeFieldValue(num, typ, b)
		if n < 0 {
			return false
		}
		c.rest = b[n:]
	}
	c.num, c.typ = num, typ
	return true
}

// fault says why next said false before the end.
func (c *cursor) fault() error {
	num, typ, n := protowire.ConsumeTag(c.rest)
	if n < 0 {
		return protowire.ParseError(n)
	}
	if n = protowire.ConsumeFieldValue(num, typ, c.rest[n:]); n < 0 {
		return protowire.ParseError(n)
	}
	return errFieldNumber
}

// consumeVarint is protowire.ConsumeVarint with the single byte, by far the
// most common, handled inline. n is negative where none can be read.
func consumeVarint(b []byte) (v uint64, n int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return protowire.ConsumeVarint(b)
}

// appendVarints appends a packed list to dst. It ends at what is no varint;
// validVarints has been there before.
func appendVarints(dst []uint64, b []byte) []uint64 {
	if cap(dst)-len(dst) < len(b) {
		// As many as have arrived, in one step; Grow keeps a list that comes in
		// many small pieces from being copied for each of them.
		count := 0
		for _, c := range b {
			if c < 0x80 {
				count++
			}
		}
		dst = slices.Grow(dst, count)
	}
	for len(b) > 0 {
		v, n := consumeVarint(b)
		if n < 0 {
			break
		}
		dst, b = append(dst, v), b[n:]
	}
	return dst
}

func validVarints(b []byte) error {
	for len(b) > 0 {
		_, n := consumeVarint(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
	}
	return nil
}
