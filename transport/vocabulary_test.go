package transport_test

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/transport"
)

func TestReasonIsAnError(t *testing.T) {
	r := transport.Because(transport.Kicked, "you know %s", "why")
	wrapped := fmt.Errorf("session 7: %w", r)
	require.ErrorIs(t, wrapped, transport.Kicked)
	require.ErrorIs(t, wrapped, net.ErrClosed)
	assert.NotErrorIs(t, wrapped, transport.Normal)
	var got transport.Reason
	require.ErrorAs(t, wrapped, &got)
	assert.Equal(t, r, got)
	var code transport.Code
	require.True(t, errors.As(wrapped, &code))
	assert.Equal(t, transport.Kicked, code)
}

func TestOverloadedSaysWhenToComeBack(t *testing.T) {
	assert.Positive(t, transport.Because(transport.Overloaded, "full").RetryAfter)
	assert.Zero(t, transport.Because(transport.Kicked, "enough").RetryAfter)
}

func TestReasonText(t *testing.T) {
	for want, r := range map[string]transport.Reason{
		"closed: KICKED: bye":                   transport.Because(transport.Kicked, "bye"),
		"closed: INTERNAL":                      {Code: transport.Internal},
		"closed by the peer: NORMAL: done":      {Text: "done", Remote: true},
		"connection lost: NORMAL: reset":        {Text: "reset", Lost: true},
		"closed: OVERLOADED":                    {Code: transport.Overloaded, RetryAfter: time.Second},
		"closed by the peer: CODE_999: unheard": {Code: 999, Text: "unheard", Remote: true},
	} {
		assert.Equal(t, want, r.Error())
	}
	assert.Equal(t, "TOO_SLOW", transport.TooSlow.Error())
}

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for c := range transport.Code(transport.Codes) {
		assert.True(t, c.Known())
		assert.NotEmpty(t, c.String())
		assert.False(t, seen[c.String()], "%s twice", c)
		seen[c.String()] = true
	}
	assert.Equal(t, 15, transport.Codes)
	assert.Equal(t, "INTERNAL", transport.Code(14).String())
	assert.False(t, transport.Code(15).Known())
	assert.Equal(t, "CODE_15", transport.Code(15).String())

	assert.Equal(t, "reliable", transport.Reliable.String())
	assert.Equal(t, "unreliable", transport.Unreliable.String())
	assert.Equal(t, "Delivery(9)", transport.Delivery(9).String())

	for _, k := range transport.Kinds {
		assert.NotEqual(t, "unspecified", k.String())
		assert.False(t, seen[k.String()])
		seen[k.String()] = true
	}
	assert.Equal(t, "unspecified", transport.KindUnspecified.String())
	assert.Equal(t, "unspecified", transport.Kind(77).String())
	assert.Equal(t, "00000000000000000000000000000aff", transport.ID{14: 0x0a, 15: 0xff}.String())
}

func TestTooLargeError(t *testing.T) {
	err := fmt.Errorf("sending: %w", &transport.TooLargeError{Size: 1101, Max: 1100, Delivery: transport.Unreliable})
	var large *transport.TooLargeError
	require.ErrorAs(t, err, &large)
	assert.Equal(t, 1101, large.Size)
	assert.Equal(t, "sending: unreliable message of 1101 bytes: the limit is 1100", err.Error())
}
