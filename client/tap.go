package client

import "strait/proto/wire"

// tap follows the frames in what the reader has read, for what the lane's core
// keeps to itself: that a PING now waits for its answer, and which PONG came.
type tap struct {
	hdr   [wire.HeaderLen]byte
	have  int // bytes of hdr
	frame wire.Header
	got   uint32 // bytes of the payload
	pong  [12]byte
}

// see takes note of p, which is borrowed and lies within one header or one
// payload, as lane.Core.Space cuts it. whole is the type of the frame that p has
// completed, 0 without one. It judges nothing: the core refuses bad frames.
func (t *tap) see(p []byte) (whole wire.Type) {
	if t.have < wire.HeaderLen {
		t.have += copy(t.hdr[t.have:], p)
		if t.have < wire.HeaderLen {
			return 0
		}
		t.frame, _ = wire.ParseHeader(t.hdr[:])
	} else {
		if t.frame.Type == wire.Pong && int(t.got) < len(t.pong) {
			copy(t.pong[t.got:], p)
		}
		t.got += uint32(len(p))
	}
	if t.got < t.frame.Length {
		return 0
	}
	t.have, t.got = 0, 0
	return t.frame.Type
}
