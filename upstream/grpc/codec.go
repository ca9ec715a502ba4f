package grpc

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// codec passes batches through: they are encoded already, and the pool parses what
// comes. On the wire its name is that of protobuf, which they are.
type codec struct{}

// outgoing is a batch to send.
type outgoing struct{ batch []byte } // borrowed until SendMsg returns

// incoming is a batch received, nil before the first. It holds a reference.
type incoming struct{ batch mem.Buffer }

// free gives the batch back.
func (in *incoming) free() {
	if in.batch != nil {
		in.batch.Free()
		in.batch = nil
	}
}

// Name implements [encoding.CodecV2].
func (codec) Name() string { return "proto" }

// Marshal implements [encoding.CodecV2]. gRPC writes after SendMsg has returned, so
// that it needs a copy.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	out, ok := v.(*outgoing)
	if !ok {
		return nil, fmt.Errorf("grpc: cannot encode a %T: this codec takes batches", v)
	}
	return mem.BufferSlice{mem.Copy(out.batch, mem.DefaultBufferPool())}, nil
}

// Unmarshal implements [encoding.CodecV2]. It copies only what arrived in pieces.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	in, ok := v.(*incoming)
	if !ok {
		return fmt.Errorf("grpc: cannot decode a %T: this codec gives batches", v)
	}
	in.free()
	in.batch = data.MaterializeToBuffer(mem.DefaultBufferPool())
	return nil
}
