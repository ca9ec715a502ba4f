package wire_test

import (
	"bytes"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
	"strait/proto/wire"
)

// FuzzHeader holds one header to the rules as WIRE.md words them, written a
// second time and naively.
func FuzzHeader(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Wire[:wire.HeaderLen], uint32(65536), true)
		f.Add(v.Wire[:wire.HeaderLen], uint32(0), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, maxMessage uint32, fromClient bool) {
		h, ok := wire.ParseHeader(b)
		require.Equal(t, len(b) >= wire.HeaderLen, ok)
		if !ok {
			return
		}
		again := wire.AppendHeader(nil, h)
		require.Equal(t, b[:5], again[:5])
		require.Zero(t, again[5])

		err := wire.Limits{MaxMessage: maxMessage, FromClient: fromClient}.Check(h)
		require.Equal(t, allowed(h, maxMessage, fromClient), err == nil, "%v: %v", h, err)
		if err != nil {
			var e *wire.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, h, e.Header)
			assertReason(t, e.Error())
		}
	})
}

func allowed(h wire.Header, maxMessage uint32, fromClient bool) bool {
	if maxMessage == 0 {
		maxMessage = 16384
	}
	n := uint64(h.Length)
	switch h.Type {
	case 0x01:
		return fromClient && n <= 16384
	case 0x02, 0x08, 0x09:
		return !fromClient && n <= 4096
	case 0x03:
		return n <= uint64(maxMessage)
	case 0x04:
		return n >= 2 && n <= 2+uint64(maxMessage)
	case 0x05:
		return n == 8
	case 0x06:
		return n == 12
	case 0x07, 0x0A:
		return n <= 4096
	default:
		return h.Type >= 0x80 && n <= 4096
	}
}

// FuzzStream reads a stream of frames as a lane does, and writes it again.
func FuzzStream(f *testing.F) {
	var all []byte
	for _, v := range vectors(f) {
		f.Add(v.Wire, true)
		all = append(all, v.Wire...)
	}
	f.Add(all, true)
	f.Add(all, false)
	f.Add(wire.AppendClose(all, 1, "bye", 20), false)
	f.Fuzz(func(t *testing.T, in []byte, fromClient bool) {
		limits := wire.Limits{FromClient: fromClient}
		in = bytes.Clone(in) // the flags are about to be cleared
		rest, again := in, []byte(nil)
		for {
			h, ok := wire.ParseHeader(rest)
			if !ok || limits.Check(h) != nil || len(rest)-wire.HeaderLen < int(h.Length) {
				break
			}
			body := rest[wire.HeaderLen:][:h.Length]
			rest[5] = 0 // flags are not kept
			rest = rest[wire.HeaderLen+len(body):]
			switch h.Type {
			case wire.DataUnreliable:
				seq, message, ok := wire.ParseUnreliable(body)
				require.True(t, ok, "Check passed it")
				again = wire.AppendUnreliable(again, h.Channel, seq, message)
			case wire.Pong:
				ping, delay, ok := wire.ParsePong(body)
				require.True(t, ok, "Check passed it")
				again = append(again, wire.AppendPong(nil, ping, delay)...)
				again[len(again)-18+4] = h.Channel
			default:
				again = wire.AppendFrame(again, h.Type, h.Channel, body)
			}
		}
		require.Equal(t, string(in[:len(in)-len(rest)]), string(again))
	})
}

func FuzzClose(f *testing.F) {
	f.Add(uint32(1), "bye", uint32(0), []byte{0x08, 1, 0x12, 1, 'x'})
	f.Add(uint32(0), "\xff\xffü", uint32(1<<31), []byte{0x12, 1, 0xFF})
	f.Fuzz(func(t *testing.T, code uint32, reason string, retry uint32, payload []byte) {
		frame := wire.AppendClose(nil, code, reason, retry)
		gotCode, gotReason, gotRetry, err := wire.ParseClose(closePayload(t, frame))
		require.NoError(t, err)
		require.Equal(t, code, gotCode)
		require.Equal(t, retry, gotRetry)
		assertReason(t, gotReason)
		if utf8.ValidString(reason) && reason != "" && len(reason) <= wire.MaxReason {
			require.Equal(t, reason, gotReason)
		}

		var m straitv1.Close
		want := proto.Unmarshal(payload, &m)
		gotCode, gotReason, gotRetry, err = wire.ParseClose(payload)
		require.Equal(t, want == nil, err == nil)
		if err == nil {
			require.Equal(t, m.GetCode(), gotCode)
			require.Equal(t, m.GetRetryAfterMs(), gotRetry)
			assertReason(t, gotReason)
		}
	})
}
