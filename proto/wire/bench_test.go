package wire_test

import (
	"testing"

	"strait/proto/wire"
)

// A 64-byte message: one frame written, one header read and judged.

func BenchmarkAppendFrame64(b *testing.B) {
	buf, payload := make([]byte, 0, 128), make([]byte, 64)
	b.ReportAllocs()
	b.SetBytes(64)
	for b.Loop() {
		wire.AppendFrame(buf, wire.Data, 1, payload)
	}
}

func BenchmarkAppendUnreliable64(b *testing.B) {
	buf, payload := make([]byte, 0, 128), make([]byte, 64)
	b.ReportAllocs()
	b.SetBytes(64)
	for b.Loop() {
		wire.AppendUnreliable(buf, 1, 7, payload)
	}
}

func BenchmarkParseAndCheckHeader(b *testing.B) {
	frame := wire.AppendFrame(nil, wire.Data, 1, make([]byte, 64))
	limits := wire.Limits{MaxMessage: 65536, FromClient: true}
	b.ReportAllocs()
	for b.Loop() {
		h, ok := wire.ParseHeader(frame)
		if !ok || limits.Check(h) != nil {
			b.Fatal("own frame refused")
		}
	}
}
