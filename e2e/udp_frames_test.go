package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The frames of a sealed packet, WIRE.md section 6.3.
const (
	fPad           = 0x00
	fPing          = 0x05
	fPong          = 0x06
	fClose         = 0x0A
	fMsg           = 0x10
	fFragment      = 0x11
	fAccept        = 0x12
	fPathChallenge = 0x13
	fPathResponse  = 0x14
	fReport        = 0x15
)

// sealed is one frame of a packet.
type sealed struct {
	typ          byte
	channel      byte   // MSG, FRAGMENT
	seq          uint16 // MSG, FRAGMENT
	index, count byte   // FRAGMENT
	body         []byte // the message, the piece, or all of another frame
}

func msg(channel byte, seq uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{fMsg, channel}, seq)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(payload))), payload...)
}

func fragment(channel byte, seq uint16, index, count byte, piece []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{fFragment, channel}, seq)
	return append(binary.BigEndian.AppendUint16(append(b, index, count), uint16(len(piece))), piece...)
}

// fragments cuts a message into pieces of a size.
func fragments(channel byte, seq uint16, payload []byte, size int) (all [][]byte) {
	pieces := slices.Collect(slices.Chunk(payload, size))
	for i, piece := range pieces {
		all = append(all, fragment(channel, seq, byte(i), byte(len(pieces)), piece))
	}
	return all
}

func lanePing(opaque string) []byte        { return append([]byte{fPing}, opaque[:8]...) }
func pathResponse(challenge []byte) []byte { return append([]byte{fPathResponse}, challenge...) }
func laneClose(code uint16) []byte         { return binary.BigEndian.AppendUint16([]byte{fClose}, code) }

func report(highest, count uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte{fReport}, highest), count)
}

// parseDown takes the frames of a gateway's packet apart, as strictly as section
// 6.3 asks for.
func parseDown(b []byte) (all []sealed, err error) {
	if len(b) == 0 {
		return nil, errors.New("no frame at all")
	}
	sizes := map[byte]int{fPing: 8, fPong: 12, fClose: 2, fMsg: 5, fFragment: 7, fAccept: 12, fPathChallenge: 8, fPathResponse: 8, fReport: 8}
	for len(b) > 0 {
		f := sealed{typ: b[0]}
		b = b[1:]
		if f.typ == fPad {
			if slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) {
				return nil, errors.New("padding that is not zero")
			}
			return append(all, f), nil
		}
		n, known := sizes[f.typ]
		if !known {
			return nil, fmt.Errorf("unknown frame type %#x", f.typ)
		}
		if len(b) < n {
			return nil, fmt.Errorf("frame %#x overruns its packet", f.typ)
		}
		f.body, b = b[:n], b[n:]
		if f.typ == fMsg || f.typ == fFragment {
			f.channel, f.seq = f.body[0], binary.BigEndian.Uint16(f.body[1:])
			if f.typ == fFragment {
				f.index, f.count = f.body[3], f.body[4]
				if f.count < 2 || f.count > 16 || f.index >= f.count {
					return nil, fmt.Errorf("fragment %d of %d", f.index, f.count)
				}
			}
			length := int(binary.BigEndian.Uint16(f.body[n-2:]))
			if len(b) < length {
				return nil, fmt.Errorf("a message of %d bytes overruns its packet", length)
			}
			f.body, b = b[:length], b[length:]
		}
		all = append(all, f)
	}
	return all, nil
}

func TestFramesOfAPacket(t *testing.T) {
	t.Parallel()
	all, err := parseDown(slices.Concat(msg(3, 65535, []byte("hi")), fragment(1, 2, 0, 2, []byte("piece")), lanePing("12345678"), laneClose(7), []byte{0, 0, 0}))
	require.NoError(t, err)
	assert.Equal(t, []sealed{
		{typ: fMsg, channel: 3, seq: 65535, body: []byte("hi")},
		{typ: fFragment, channel: 1, seq: 2, count: 2, body: []byte("piece")},
		{typ: fPing, body: []byte("12345678")}, {typ: fClose, body: []byte{0, 7}}, {typ: fPad},
	}, all)
	for _, bad := range [][]byte{nil, {0, 1}, {0x7f}, {fPing, 1}, msg(0, 0, []byte("x"))[:6], fragment(0, 0, 0, 1, nil), fragment(0, 0, 2, 2, nil), {fReport}} {
		_, err := parseDown(bad)
		assert.Error(t, err, "%x", bad)
	}
}
