package wire_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
	"strait/proto/wire"
)

func closePayload(t *testing.T, frame []byte) []byte {
	t.Helper()
	h, ok := wire.ParseHeader(frame)
	require.True(t, ok)
	require.Equal(t, wire.Close, h.Type)
	require.Zero(t, h.Channel)
	require.Len(t, frame, wire.HeaderLen+int(h.Length))
	require.NoError(t, wire.Limits{}.Check(h))
	return frame[wire.HeaderLen:]
}

func TestCloseReason(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "bye", "bye"},
		{"empty", "", "no reason given"},
		{"just fits", strings.Repeat("a", 256), strings.Repeat("a", 256)},
		{"one too long", strings.Repeat("a", 257), strings.Repeat("a", 256)},
		{"cut between characters", strings.Repeat("a", 255) + "ü", strings.Repeat("a", 255)},
		{"cut after a character", strings.Repeat("a", 254) + "üx", strings.Repeat("a", 254) + "ü"},
		{"cut before four bytes", strings.Repeat("a", 253) + "🙂", strings.Repeat("a", 253)},
		{"not UTF-8", "a\xffb", "a\uFFFDb"},
		{"replacement makes it too long", strings.Repeat("a", 255) + "\xff", strings.Repeat("a", 255)},
		{"only rubbish", "\xff\xfe", "\uFFFD"},
	} {
		t.Run(c.name, func(t *testing.T) {
			frame := wire.AppendClose(nil, 6, c.in, 1500)
			var m straitv1.Close
			require.NoError(t, proto.Unmarshal(closePayload(t, frame), &m))
			assert.Equal(t, c.want, m.GetReason())

			code, reason, retry, err := wire.ParseClose(frame[wire.HeaderLen:])
			require.NoError(t, err)
			assert.Equal(t, c.want, reason)
			assert.EqualValues(t, 6, code)
			assert.EqualValues(t, 1500, retry)
		})
	}
}

func TestParseCloseFromOthers(t *testing.T) {
	long, err := proto.Marshal(&straitv1.Close{Code: 9999, Reason: strings.Repeat("ü", 1000)})
	require.NoError(t, err)
	code, reason, retry, err := wire.ParseClose(long)
	require.NoError(t, err)
	assert.EqualValues(t, 9999, code)
	assert.Equal(t, strings.Repeat("ü", 128), reason)
	assert.Zero(t, retry)

	code, reason, _, err = wire.ParseClose(nil)
	require.NoError(t, err)
	assert.Zero(t, code)
	assert.Equal(t, "no reason given", reason)

	for _, bad := range [][]byte{{0x08}, {0x12, 5, 'a'}, {0x12, 1, 0xFF}} {
		_, _, _, err = wire.ParseClose(bad)
		var e *wire.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, wire.Malformed, e.Rule)
		assert.Equal(t, wire.Header{Length: uint32(len(bad)), Type: wire.Close}, e.Header)
		require.Error(t, e.Unwrap())
		assertReason(t, e.Error())
	}
}
