package batch_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"strait/proto/batch"
	"strait/proto/straitv1"
)

// All with batches of 64 messages of 64 bytes; the figure is for one batch.
const benchMessages = 64

var benchPayload = make([]byte, 64)

func benchGateway(dst []byte) []byte {
	for i := range uint64(benchMessages) {
		dst = batch.AppendMessage(dst, 100000+i, 1, false, 0, benchPayload)
	}
	return dst
}

func benchLogic(dst []byte) []byte {
	for i := range uint64(benchMessages) {
		dst = batch.AppendSendOne(dst, 100000+i, 1, false, benchPayload)
	}
	return dst
}

func BenchmarkAppendMessage64x64(b *testing.B) {
	buf := make([]byte, 0, 16<<10)
	b.ReportAllocs()
	for b.Loop() {
		benchGateway(buf)
	}
}

func BenchmarkAppendSend64x64(b *testing.B) {
	buf := make([]byte, 0, 16<<10)
	b.ReportAllocs()
	for b.Loop() {
		benchLogic(buf)
	}
}

func BenchmarkLogicReader64x64(b *testing.B) {
	src := benchLogic(nil)
	var r batch.LogicReader
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(src)
		n := 0
		for _, ok, _ := r.Next(); ok; _, ok, _ = r.Next() {
			n++
		}
		if n != benchMessages {
			b.Fatal(n)
		}
	}
}

func BenchmarkGatewayReader64x64(b *testing.B) {
	src := benchGateway(nil)
	var r batch.GatewayReader
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(src)
		n := 0
		for _, ok, _ := r.Next(); ok; _, ok, _ = r.Next() {
			n++
		}
		if n != benchMessages {
			b.Fatal(n)
		}
	}
}

// What the generated code takes for the same, to compare with.

func BenchmarkGeneratedMarshal64x64(b *testing.B) {
	var m straitv1.GatewayBatch
	if err := proto.Unmarshal(benchGateway(nil), &m); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 16<<10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (proto.MarshalOptions{}).MarshalAppend(buf, &m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGeneratedUnmarshal64x64(b *testing.B) {
	src := benchLogic(nil)
	b.ReportAllocs()
	for b.Loop() {
		var m straitv1.LogicBatch
		if err := proto.Unmarshal(src, &m); err != nil {
			b.Fatal(err)
		}
	}
}
