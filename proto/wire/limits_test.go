package wire_test

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/wire"
)

const maxMessage = 65536

// inward is what arrives at the gateway, outward what arrives at a client.
var (
	inward  = wire.Limits{MaxMessage: maxMessage, FromClient: true}
	outward = wire.Limits{MaxMessage: maxMessage}
)

func TestCheck(t *testing.T) {
	const ok = wire.Rule(0)
	for _, c := range []struct {
		name   string
		limits wire.Limits
		typ    wire.Type
		length uint32
		want   wire.Rule
		says   string
	}{
		{"hello", inward, wire.ClientHello, wire.MaxHello, ok, ""},
		{"hello, empty", inward, wire.ClientHello, 0, ok, ""},
		{"hello, too long", inward, wire.ClientHello, wire.MaxHello + 1, wire.TooLong, "limit of 16384"},
		{"hello from the gateway", outward, wire.ClientHello, 1, wire.WrongDirection, "only a client"},
		{"server hello", outward, wire.ServerHello, wire.MaxControl, ok, ""},
		{"server hello, too long", outward, wire.ServerHello, wire.MaxControl + 1, wire.TooLong, "limit of 4096"},
		{"server hello from a client", inward, wire.ServerHello, 1, wire.WrongDirection, "only the gateway"},
		{"data, empty", inward, wire.Data, 0, ok, ""},
		{"data", inward, wire.Data, maxMessage, ok, ""},
		{"data, too long", inward, wire.Data, maxMessage + 1, wire.TooLong, "max_message_bytes"},
		{"data from the gateway", outward, wire.Data, maxMessage, ok, ""},
		{"data from the gateway, too long", outward, wire.Data, maxMessage + 1, wire.TooLong, "65536"},
		{"data, 16 MB promised", inward, wire.Data, wire.MaxFrameLen, wire.TooLong, "16777215"},
		{"data, default limit", wire.Limits{}, wire.Data, wire.MinMaxMessage, ok, ""},
		{"data, above default limit", wire.Limits{}, wire.Data, wire.MinMaxMessage + 1, wire.TooLong, "16384"},
		{"unreliable", inward, wire.DataUnreliable, 2 + maxMessage, ok, ""},
		{"unreliable, too long", inward, wire.DataUnreliable, 3 + maxMessage, wire.TooLong, "limit of 65538"},
		{"unreliable, sequence alone", outward, wire.DataUnreliable, 2, ok, ""},
		{"unreliable, one byte", inward, wire.DataUnreliable, 1, wire.TooShort, "sequence"},
		{"unreliable, empty", outward, wire.DataUnreliable, 0, wire.TooShort, "sequence"},
		{"unreliable, no limit", wire.Limits{MaxMessage: math.MaxUint32}, wire.DataUnreliable, wire.MaxFrameLen, ok, ""},
		{"ping", inward, wire.Ping, 8, ok, ""},
		{"ping from the gateway", outward, wire.Ping, 8, ok, ""},
		{"ping, short", inward, wire.Ping, 7, wire.WrongSize, "exactly 8"},
		{"ping, long", inward, wire.Ping, 9, wire.WrongSize, "exactly 8"},
		{"pong", inward, wire.Pong, 12, ok, ""},
		{"pong from the gateway", outward, wire.Pong, 12, ok, ""},
		{"pong, short", inward, wire.Pong, 8, wire.WrongSize, "exactly 12"},
		{"pong, long", outward, wire.Pong, 13, wire.WrongSize, "exactly 12"},
		{"ack", inward, wire.Ack, wire.MaxControl, ok, ""},
		{"ack from the gateway", outward, wire.Ack, 0, ok, ""},
		{"ack, too long", inward, wire.Ack, wire.MaxControl + 1, wire.TooLong, "4096"},
		{"offer", outward, wire.UDPOffer, wire.MaxControl, ok, ""},
		{"offer, too long", outward, wire.UDPOffer, wire.MaxControl + 1, wire.TooLong, "4096"},
		{"offer from a client", inward, wire.UDPOffer, 0, wire.WrongDirection, "only the gateway"},
		{"goaway", outward, wire.GoAway, wire.MaxControl, ok, ""},
		{"goaway, too long", outward, wire.GoAway, wire.MaxControl + 1, wire.TooLong, "4096"},
		{"goaway from a client", inward, wire.GoAway, 0, wire.WrongDirection, "only the gateway"},
		{"close", inward, wire.Close, wire.MaxControl, ok, ""},
		{"close, too long", outward, wire.Close, wire.MaxControl + 1, wire.TooLong, "4096"},
		{"type 0", inward, 0x00, 0, wire.UnknownType, "0x00"},
		{"first unused type", inward, 0x0B, 0, wire.UnknownType, "0x0B"},
		{"last unknown type", outward, 0x7F, 0, wire.UnknownType, "0x7F"},
		{"first to skip", inward, 0x80, wire.MaxControl, ok, ""},
		{"last to skip", outward, 0xFF, 0, ok, ""},
		{"to skip, too long", inward, 0x80, wire.MaxControl + 1, wire.TooLong, "0x80 of 4097 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := wire.Header{Length: c.length, Type: c.typ, Channel: 200}
			err := c.limits.Check(h)
			if c.want == ok {
				require.NoError(t, err)
				return
			}
			var e *wire.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, c.want, e.Rule)
			assert.Equal(t, h, e.Header)
			assert.Contains(t, e.Error(), c.says)
			assertReason(t, e.Error())
		})
	}
}

func TestErrorOfAnUnknownRuleStillSpeaks(t *testing.T) {
	assertReason(t, (&wire.Error{Header: wire.Header{Type: wire.Ack}}).Error())
}

func TestMalformedCarriesItsCause(t *testing.T) {
	err := &wire.Error{Rule: wire.Malformed, Header: wire.Header{Type: wire.Ack}, Err: io.ErrUnexpectedEOF}
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, "payload of ACK does not parse: unexpected EOF", err.Error())
	err.Err = errors.New("proto:\u00a0cannot parse")
	assert.Equal(t, "payload of ACK does not parse: proto: cannot parse", err.Error())
	err.Err = errors.New(strings.Repeat("ü\xff", 400))
	assertReason(t, err.Error())
}

// assertReason holds an error's text to what CLOSE may carry.
func assertReason(t *testing.T, s string) {
	t.Helper()
	assert.NotEmpty(t, s)
	assert.LessOrEqual(t, len(s), wire.MaxReason)
	assert.True(t, utf8.ValidString(s))
}
