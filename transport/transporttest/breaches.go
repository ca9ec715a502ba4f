package transporttest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/transport"
)

// breaches are the protocol errors of WIRE.md section 2.
var breaches = []struct {
	name  string
	opens bool // the client has opened its session before
	bytes []byte
	says  string // part of the reason
}{
	{"DATA before CLIENT_HELLO", false, wire.AppendFrame(nil, wire.Data, 0, nil), "CLIENT_HELLO"},
	{"PING before CLIENT_HELLO", false, ping(1), "CLIENT_HELLO"},
	{"CLOSE before CLIENT_HELLO", false, wire.AppendClose(nil, 0, "bye", 0), "CLIENT_HELLO"},
	{"ACK before CLIENT_HELLO", false, wire.AppendFrame(nil, wire.Ack, 0, nil), "CLIENT_HELLO"},
	{"CLIENT_HELLO that does not parse", false, wire.AppendFrame(nil, wire.ClientHello, 0, []byte{0xFF}), "parse"},
	{"CLIENT_HELLO too long", false, wire.AppendHeader(nil, wire.Header{Type: wire.ClientHello, Length: wire.MaxHello + 1}), "16384"},
	{"a web request", false, []byte("GET / HTTP/1.1\r\n\r\n"), ""},
	{"a second CLIENT_HELLO", true, clientHello, "CLIENT_HELLO"},
	{"SERVER_HELLO from a client", true, wire.AppendFrame(nil, wire.ServerHello, 0, nil), "SERVER_HELLO"},
	{"UDP_OFFER from a client", true, wire.AppendFrame(nil, wire.UDPOffer, 0, nil), "UDP_OFFER"},
	{"GOAWAY from a client", true, wire.AppendFrame(nil, wire.GoAway, 0, nil), "GOAWAY"},
	{"type 0", true, wire.AppendFrame(nil, 0, 0, nil), "0x00"},
	{"an unknown type", true, wire.AppendFrame(nil, 0x0B, 0, nil), "0x0B"},
	{"the last unknown type", true, wire.AppendFrame(nil, 0x7F, 0, nil), "0x7F"},
	{"a short PING", true, wire.AppendFrame(nil, wire.Ping, 0, make([]byte, 7)), "exactly 8"},
	{"a long PING", true, wire.AppendFrame(nil, wire.Ping, 0, make([]byte, 9)), "exactly 8"},
	{"a short PONG", true, wire.AppendFrame(nil, wire.Pong, 0, make([]byte, 8)), "exactly 12"},
	{"DATA_UNRELIABLE of one byte", true, wire.AppendFrame(nil, wire.DataUnreliable, 0, []byte{1}), "DATA_UNRELIABLE"},
	{"ACK that does not parse", true, wire.AppendFrame(nil, wire.Ack, 0, []byte{0xFF}), "parse"},
	{"CLOSE that does not parse", true, wire.AppendFrame(nil, wire.Close, 0, []byte{0xFF}), "parse"},
	{"DATA above the limit", true, wire.AppendHeader(nil, wire.Header{Type: wire.Data, Length: 65537}), "65536"},
	{"DATA_UNRELIABLE above the limit", true, wire.AppendHeader(nil, wire.Header{Type: wire.DataUnreliable, Length: 65539}), "65538"},
	{"a header that promises 16 MB", true, wire.AppendHeader(nil, wire.Header{Type: wire.Data, Length: wire.MaxFrameLen}), "16777215"},
	{"ACK too long", true, wire.AppendHeader(nil, wire.Header{Type: wire.Ack, Length: wire.MaxControl + 1}), "4096"},
	{"CLOSE too long", true, wire.AppendHeader(nil, wire.Header{Type: wire.Close, Length: wire.MaxControl + 1}), "4096"},
	{"an unknown frame too long to skip", true, wire.AppendHeader(nil, wire.Header{Type: 0x80, Length: wire.MaxControl + 1}), "4096"},
}

// breachTests plays every breach, beside a client that does nothing wrong.
var breachTests = []test{{"each gets a reason", func(t *testing.T, new New) {
	w := start(t, new, Behaviour{Echo: true})
	good, _ := w.open()
	for _, b := range breaches {
		t.Run(strings.ReplaceAll(b.name, " ", "_"), func(t *testing.T) {
			c, err := w.endpoint.Dial()
			require.NoError(t, err)
			client := newClient(t, c)
			if b.opens {
				client.Hello()
			}
			p := w.peer()
			n := 0
			if b.opens {
				client.ServerHello()
				client.Data(1, "before")
				n = 1
			}
			client.Send(b.bytes)
			got := client.ClosedAfter(transport.ProtocolError, func(f Frame) { require.Equal(t, "before", string(f.Payload)) })
			assert.Contains(t, got.Text, b.says)
			r := p.AwaitGone(t)
			assert.Equal(t, transport.ProtocolError, r.Code)
			assert.False(t, r.Remote || r.Lost)
			assert.Len(t, p.Received(), n)
			good.Echo(1, "not my fault")
		})
	}
}}}
