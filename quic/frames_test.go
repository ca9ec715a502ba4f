package quic_test

import (
	"io"

	"strait/proto/wire"
)

func readFrame(r io.Reader) (frame, error) {
	var head [wire.HeaderLen]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	h, _ := wire.ParseHeader(head[:])
	f := frame{Header: h, payload: make([]byte, h.Length)}
	_, err := io.ReadFull(r, f.payload)
	return f, err
}
