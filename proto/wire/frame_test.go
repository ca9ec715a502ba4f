package wire_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/wire"
)

func TestParseHeaderNeedsAllOfIt(t *testing.T) {
	whole := wire.AppendFrame(nil, wire.Data, 9, []byte("x"))
	for n := range wire.HeaderLen {
		_, ok := wire.ParseHeader(whole[:n])
		require.False(t, ok, "%d bytes", n)
	}
	h, ok := wire.ParseHeader(whole[:wire.HeaderLen])
	require.True(t, ok)
	require.Equal(t, wire.Header{Length: 1, Type: wire.Data, Channel: 9}, h)
}

func TestFlagsAreIgnoredAndSentZero(t *testing.T) {
	h, ok := wire.ParseHeader([]byte{0, 0, 1, 3, 9, 0xFF})
	require.True(t, ok)
	require.Equal(t, wire.Header{Length: 1, Type: wire.Data, Channel: 9}, h)

	b := []byte{1, 1, 1, 1, 1, 1, 1}
	wire.PutHeader(b, h)
	require.Equal(t, []byte{0, 0, 1, 3, 9, 0, 1}, b)
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	dst := []byte("before")
	require.Equal(t, "before", string(wire.AppendFrame(dst, wire.Ping, 0, make([]byte, 8))[:6]))
	require.Equal(t, "before", string(wire.AppendUnreliable(dst, 1, 2, []byte("m"))[:6]))
	require.Equal(t, "before", string(wire.AppendPong(dst, [8]byte{}, 1)[:6]))
	require.Equal(t, "before", string(wire.AppendClose(dst, 1, "r", 0)[:6]))
	require.Equal(t, "before", string(wire.AppendHeader(dst, wire.Header{})[:6]))
}

func TestLongestFrame(t *testing.T) {
	longest := wire.AppendFrame(nil, wire.Data, 1, make([]byte, wire.MaxFrameLen))
	h, ok := wire.ParseHeader(longest)
	require.True(t, ok)
	require.EqualValues(t, wire.MaxFrameLen, h.Length)

	require.Panics(t, func() { wire.AppendFrame(nil, wire.Data, 1, make([]byte, wire.MaxFrameLen+1)) })
	require.Panics(t, func() { wire.AppendUnreliable(nil, 1, 1, make([]byte, wire.MaxFrameLen-1)) })
	require.Panics(t, func() { wire.AppendHeader(nil, wire.Header{Length: wire.MaxFrameLen + 1}) })
	require.Panics(t, func() { wire.PutHeader(make([]byte, wire.HeaderLen-1), wire.Header{}) })
}

func TestParseUnreliable(t *testing.T) {
	for _, short := range [][]byte{nil, {1}} {
		_, _, ok := wire.ParseUnreliable(short)
		require.False(t, ok)
	}
	seq, message, ok := wire.ParseUnreliable([]byte{1, 2})
	require.True(t, ok)
	require.Equal(t, uint16(0x0102), seq)
	require.Empty(t, message)

	payload := []byte{0, 1, 'a'}
	_, message, _ = wire.ParseUnreliable(payload)
	payload[2] = 'b'
	require.Equal(t, "b", string(message), "borrowed, not copied")
}

func TestParsePongNeedsItsExactSize(t *testing.T) {
	for _, n := range []int{0, 8, 11, 13} {
		_, _, ok := wire.ParsePong(make([]byte, n))
		require.False(t, ok, "%d bytes", n)
	}
}

func TestTypeString(t *testing.T) {
	for typ, want := range map[wire.Type]string{
		0x01: "CLIENT_HELLO", 0x02: "SERVER_HELLO", 0x03: "DATA", 0x04: "DATA_UNRELIABLE", 0x05: "PING",
		0x06: "PONG", 0x07: "ACK", 0x08: "UDP_OFFER", 0x09: "GOAWAY", 0x0A: "CLOSE",
		0x00: "0x00", 0x0B: "0x0B", 0x7F: "0x7F", 0x80: "0x80", 0xFF: "0xFF",
	} {
		assert.Equal(t, want, typ.String())
		assert.Equal(t, typ >= 0x80, typ.Skippable())
	}
}

func TestNothingIsAllocated(t *testing.T) {
	buf := make([]byte, 0, 1024)
	payload := make([]byte, 64)
	limits := wire.Limits{MaxMessage: 65536, FromClient: true}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		b := wire.AppendFrame(buf, wire.Data, 1, payload)
		b = wire.AppendUnreliable(b, 2, 3, payload)
		b = wire.AppendPong(b, [8]byte{1}, 5)
		for len(b) > 0 {
			h, ok := wire.ParseHeader(b)
			if !ok || limits.Check(h) != nil {
				t.Error("own frame refused")
			}
			body := b[wire.HeaderLen:][:h.Length]
			switch h.Type {
			case wire.DataUnreliable:
				_, _, ok = wire.ParseUnreliable(body)
			case wire.Pong:
				_, _, ok = wire.ParsePong(body)
			}
			if !ok {
				t.Error("own payload refused")
			}
			b = b[wire.HeaderLen+int(h.Length):]
		}
	}))
}
