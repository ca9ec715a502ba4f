package batch_test

import (
	"math/rand/v2"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// wild writes messages that are valid protobuf, and as odd as it allows: fields
// in any order and again and again, unknown ones and ones of another wire type,
// lists packed and not, varints longer than needed. Now and then it writes text
// that is not UTF-8 or a list that breaks off, which is not valid.
type wild struct{ r *rand.Rand }

func (w wild) chance(percent int) bool { return w.r.IntN(100) < percent }

func (w wild) message(d protoreflect.MessageDescriptor) []byte {
	var b []byte
	for range w.r.IntN(7) {
		if w.chance(12) {
			b = w.unknown(b, protowire.Number(1+w.r.IntN(20)), 0)
			continue
		}
		b = w.field(b, d.Fields().Get(w.r.IntN(d.Fields().Len())))
	}
	return b
}

func (w wild) field(b []byte, f protoreflect.FieldDescriptor) []byte {
	num := f.Number()
	switch {
	case f.Message() != nil:
		return w.bytes(b, num, w.message(f.Message()))
	case f.Kind() == protoreflect.StringKind:
		words := []string{"", "arena", "ü🙂", "10.0.0.1:4000"}
		if w.chance(2) {
			words = []string{"\xff", "a\xed\xa0\x80", "\xc3"}
		}
		return w.bytes(b, num, []byte(words[w.r.IntN(len(words))]))
	case f.Kind() == protoreflect.BytesKind:
		return w.bytes(b, num, []byte{0xFF, 0, byte(w.r.Uint32())}[:w.r.IntN(4)])
	case f.IsList() && w.chance(60):
		var list []byte
		for range w.r.IntN(5) {
			list = w.varint(list, w.number())
		}
		if w.chance(2) {
			list = append(list, 0x80)
		}
		return w.bytes(b, num, list)
	default:
		return w.varint(w.tag(b, num, protowire.VarintType), w.number())
	}
}

// unknown writes a field without regard to what its number means.
func (w wild) unknown(b []byte, num protowire.Number, depth int) []byte {
	if w.chance(5) {
		num = protowire.MaxValidNumber
	}
	switch w.r.IntN(5) {
	case 0:
		return w.varint(w.tag(b, num, protowire.VarintType), w.number())
	case 1:
		return protowire.AppendFixed32(w.tag(b, num, protowire.Fixed32Type), w.r.Uint32())
	case 2:
		return protowire.AppendFixed64(w.tag(b, num, protowire.Fixed64Type), w.r.Uint64())
	case 3:
		b = w.tag(b, num, protowire.StartGroupType)
		for depth < 3 && w.chance(60) {
			b = w.unknown(b, protowire.Number(1+w.r.IntN(20)), depth+1)
		}
		return w.tag(b, num, protowire.EndGroupType)
	default:
		return w.bytes(b, num, []byte{8, 1, 0x80}[:w.r.IntN(4)])
	}
}

func (w wild) number() uint64 {
	return []uint64{0, 1, 2, 255, 256, 65535, 1 << 32, 1<<32 + 1, 1<<64 - 1, w.r.Uint64()}[w.r.IntN(10)]
}

func (w wild) tag(b []byte, num protowire.Number, typ protowire.Type) []byte {
	return w.varint(b, uint64(num)<<3|uint64(typ))
}

func (w wild) bytes(b []byte, num protowire.Number, data []byte) []byte {
	b = w.varint(w.tag(b, num, protowire.BytesType), uint64(len(data)))
	return append(b, data...)
}

// varint writes v, sometimes with more bytes than it takes.
func (w wild) varint(b []byte, v uint64) []byte {
	b = protowire.AppendVarint(b, v)
	if w.chance(10) && protowire.SizeVarint(v) < 9 {
		b[len(b)-1] |= 0x80
		b = append(b, 0)
	}
	return b
}

// damaged breaks what was valid, or not: most bytes may have any value.
func (w wild) damaged(b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	at := w.r.IntN(len(b))
	if w.chance(50) {
		return b[:at]
	}
	b[at] ^= 1 << w.r.IntN(8)
	return b
}
