package batch_test

import (
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"strait/proto/batch"
	"strait/proto/straitv1"
)

// seedWild adds odd batches, so that fuzzing begins behind the first checks.
func seedWild(f *testing.F, d protoreflect.MessageDescriptor) {
	w := wild{rand.New(rand.NewPCG(3, 4))}
	for range 50 {
		f.Add(w.message(d))
		f.Add(w.damaged(w.message(d)))
	}
}

func FuzzLogicReader(f *testing.F) {
	seedWild(f, (*straitv1.LogicBatch)(nil).ProtoReflect().Descriptor())
	var r batch.LogicReader
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) <= batch.MaxBatch {
			compareLogic(t, &r, data)
		}
	})
}

func FuzzGatewayReader(f *testing.F) {
	seedWild(f, (*straitv1.GatewayBatch)(nil).ProtoReflect().Descriptor())
	var r batch.GatewayReader
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) <= batch.MaxBatch {
			compareGateway(t, &r, data)
		}
	})
}

// FuzzAppend writes a batch each way and reads it with the generated code and
// with the readers.
func FuzzAppend(f *testing.F) {
	f.Add(uint64(0), uint32(0), false, "", []byte(nil))
	f.Add(uint64(1<<40), uint32(254), true, "arena", []byte("payload"))
	f.Add(uint64(1<<64-1), uint32(1<<32-1), true, "\xff", make([]byte, 200))
	var l batch.LogicReader
	var g batch.GatewayReader
	f.Fuzz(func(t *testing.T, n uint64, small uint32, flag bool, s string, payload []byte) {
		b, gw := appendGateway(t, n, small, flag, s, payload)
		requireGateway(t, gw, b)
		compareGateway(t, &g, b)
		b, lg := appendLogic(t, n, small, flag, s, payload)
		requireLogic(t, lg, b)
		compareLogic(t, &l, b)
	})
}
