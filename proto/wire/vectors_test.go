package wire_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"strait/proto/wire"
)

// vector is one known answer: a frame written by another implementation.
type vector struct {
	Type    wire.Type
	Channel uint8
	Payload []byte
	Wire    []byte
}

func vectors(t testing.TB) []vector {
	t.Helper()
	raw, err := os.ReadFile("../testdata/vectors.json")
	require.NoError(t, err)
	var file struct {
		Frames []struct {
			Type    uint8
			Channel uint8
			Payload string
			Wire    string
		}
	}
	require.NoError(t, json.Unmarshal(raw, &file))
	require.NotEmpty(t, file.Frames)
	out := make([]vector, len(file.Frames))
	for i, f := range file.Frames {
		payload, err := hex.DecodeString(f.Payload)
		require.NoError(t, err)
		whole, err := hex.DecodeString(f.Wire)
		require.NoError(t, err)
		out[i] = vector{Type: wire.Type(f.Type), Channel: f.Channel, Payload: payload, Wire: whole}
	}
	return out
}

func TestVectorsEncode(t *testing.T) {
	for _, v := range vectors(t) {
		require.Equal(t, v.Wire, wire.AppendFrame(nil, v.Type, v.Channel, v.Payload))
		switch v.Type {
		case wire.DataUnreliable:
			seq, message, ok := wire.ParseUnreliable(v.Payload)
			require.True(t, ok)
			require.Equal(t, v.Wire, wire.AppendUnreliable(nil, v.Channel, seq, message))
		case wire.Pong:
			ping, delay, ok := wire.ParsePong(v.Payload)
			require.True(t, ok)
			require.Equal(t, v.Wire, wire.AppendPong(nil, ping, delay))
		}
	}
}

func TestVectorsDecode(t *testing.T) {
	for _, v := range vectors(t) {
		h, ok := wire.ParseHeader(v.Wire)
		require.True(t, ok)
		require.Equal(t, wire.Header{Length: uint32(len(v.Payload)), Type: v.Type, Channel: v.Channel}, h)
		require.Equal(t, v.Payload, v.Wire[wire.HeaderLen:])
		require.NoError(t, wire.Limits{FromClient: true}.Check(h))
		require.NoError(t, wire.Limits{}.Check(h))
	}
}

// The sequence and the delay of the known answers, read by eye from the file.
func TestVectorsMeaning(t *testing.T) {
	seen := map[wire.Type]bool{}
	for _, v := range vectors(t) {
		seen[v.Type] = true
		switch v.Type {
		case wire.DataUnreliable:
			seq, message, _ := wire.ParseUnreliable(v.Payload)
			require.Equal(t, uint16(0xFFFF), seq)
			require.Equal(t, "pos", string(message))
		case wire.Pong:
			ping, delay, _ := wire.ParsePong(v.Payload)
			require.Equal(t, [8]byte{0, 1, 2, 3, 4, 5, 6, 7}, ping)
			require.Equal(t, uint32(1500), delay)
		}
	}
	require.True(t, seen[wire.DataUnreliable] && seen[wire.Pong])
}
