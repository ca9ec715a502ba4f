package batch

import (
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// All field numbers are below 16, so that a tag is one byte.
const (
	varintTag = byte(protowire.VarintType)
	bytesTag  = byte(protowire.BytesType)
)

// Fields that are zero or empty are left out, as proto3 does.

func appendNumber(dst []byte, num byte, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return protowire.AppendVarint(append(dst, num<<3|varintTag), v)
}

func sizeNumber(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(v)
}

func appendData[T []byte | string](dst []byte, num byte, p T) []byte {
	if len(p) == 0 {
		return dst
	}
	return append(appendHead(dst, num, len(p)), p...)
}

func sizeData(n int) int {
	if n == 0 {
		return 0
	}
	return sizeHead(n) + n
}

// packed is a list of numbers with its size, which takes a pass to find out.
type packed struct {
	values []uint64
	size   int
}

func pack(values []uint64) packed {
	p := packed{values: values}
	for _, v := range values {
		p.size += protowire.SizeVarint(v)
	}
	return p
}

func appendPacked(dst []byte, num byte, p packed) []byte {
	if p.size == 0 {
		return dst
	}
	dst = appendHead(dst, num, p.size)
	for _, v := range p.values {
		dst = protowire.AppendVarint(dst, v)
	}
	return dst
}

// appendHead begins a field of n bytes, which is written even when empty: a
// message that is there says so.
func appendHead(dst []byte, num byte, n int) []byte {
	return protowire.AppendVarint(append(dst, num<<3|bytesTag), uint64(n))
}

func sizeHead(n int) int { return 1 + protowire.SizeVarint(uint64(n)) }

// appendItem begins an element of events or commands that has n bytes.
func appendItem(dst []byte, n int) []byte { return appendHead(dst, batchItems, n) }

// appendGenerated appends m as field num. On error dst comes back as it was.
func appendGenerated(dst []byte, num byte, m proto.Message) ([]byte, error) {
	out := appendHead(dst, num, proto.Size(m))
	out, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(out, m)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// deliveryNumber is the Delivery on the wire.
func deliveryNumber(unreliable bool) uint64 {
	if unreliable {
		return 1
	}
	return 0
}

func clean(s string) string { return strings.ToValidUTF8(s, string(utf8.RuneError)) }
