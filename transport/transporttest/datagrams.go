package transporttest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/transport"
	"strait/transport/outbox"
)

// leastMax is the longest unreliable message that every lane carries at least
// (WIRE.md section 6.7).
const leastMax = 1100

// withDatagrams is a test of connections that carry datagrams; others skip it.
func withDatagrams(name string, b Behaviour, run func(t *testing.T, c *Client, p *Peer)) test {
	return test{name, func(t *testing.T, new New) {
		w := start(t, new, b)
		c, p := w.open()
		d := p.Conn.Datagrams()
		if d == nil {
			t.Skip("the connection carries no datagrams")
		}
		require.Implements(t, (*Datagrams)(nil), c.Stream)
		run(t, c, p)
	}}
}

var datagramTests = []test{
	withDatagrams("both ways", Behaviour{}, func(t *testing.T, c *Client, p *Peer) {
		for i, m := range []Received{
			{transport.Unreliable, 0, 0, "a"}, {transport.Unreliable, 255, 65535, ""},
			{transport.Unreliable, 7, 258, strings.Repeat("x", leastMax)},
		} {
			c.SendDatagram(m.Channel, m.Seq, m.Payload)
			require.Equal(t, m, p.AwaitMessages(t, i+1)[i])
			require.True(t, p.Send(transport.Unreliable, m.Channel, m.Payload))
			p.Conn.Wake()
			m.Seq = 0 // the first of its channel
			require.Equal(t, m, c.Datagram())
		}
		require.GreaterOrEqual(t, p.Conn.Datagrams().Max(), leastMax)
		require.GreaterOrEqual(t, p.Conn.Max(), leastMax)
		c.Data(1, "the stream is as it was")
		p.AwaitMessages(t, 4)
	}),
	withDatagrams("the lane can be woken by itself", Behaviour{}, func(t *testing.T, c *Client, p *Peer) {
		p.Send(transport.Unreliable, 1, "a")
		p.Conn.Datagrams().Wake()
		require.Equal(t, "a", c.Datagram().Payload)
	}),
	withDatagrams("all that is queued, not the newest alone", Behaviour{}, func(t *testing.T, c *Client, p *Peer) {
		const messages = 20
		for i := range messages {
			p.Send(transport.Unreliable, 3, fmt.Sprint(i))
		}
		p.Conn.Wake()
		for i := range messages {
			require.Equal(t, Received{transport.Unreliable, 3, uint16(i), fmt.Sprint(i)}, c.Datagram())
		}
	}),
	withDatagrams("unreliable messages never go on the stream", Behaviour{Echo: true}, func(t *testing.T, c *Client, p *Peer) {
		for i := range 50 {
			p.Send(transport.Unreliable, 3, "beside")
			p.Conn.Wake()
			require.EqualValues(t, i, c.Datagram().Seq)
			c.Echo(3, "on the stream")
		}
	}),
	withDatagrams("both classes are taken from the stream, too", Behaviour{}, func(t *testing.T, c *Client, p *Peer) {
		c.Send(wire.AppendUnreliable(nil, 4, 9, []byte("DATA_UNRELIABLE")))
		require.Equal(t, Received{transport.Unreliable, 4, 9, "DATA_UNRELIABLE"}, p.AwaitMessages(t, 1)[0])
	}),
	withDatagrams("beside a stream that is blocked", Behaviour{Queue: outbox.Config{ReliableBytes: 256 << 10}}, func(t *testing.T, c *Client, p *Peer) {
		p.block(t)
		for i := range 10 {
			p.Send(transport.Unreliable, 1, fmt.Sprint(i))
			p.Conn.Wake()
			require.Equal(t, fmt.Sprint(i), c.Datagram().Payload)
		}
		c.SendDatagram(1, 0, "and back")
		p.AwaitMessages(t, 1)
	}),
	withDatagrams("malformed ones are dropped", Behaviour{Echo: true}, func(t *testing.T, c *Client, p *Peer) {
		for _, b := range [][]byte{{}, {0x10}, {0x10, 1, 0}, {0x11, 1, 0, 0, 'x'}, {0, 1, 0, 0, 'x'}, make([]byte, leastMax)} {
			c.SendBody(b)
		}
		c.SendDatagram(1, 5, "well formed")
		require.Equal(t, []Received{{transport.Unreliable, 1, 5, "well formed"}}, p.AwaitMessages(t, 1))
		require.Equal(t, "well formed", c.Datagram().Payload)
		c.Echo(1, "no breach")
	}),
	withDatagrams("a flood", Behaviour{Echo: true}, func(t *testing.T, c *Client, p *Peer) {
		for i := range 5000 {
			c.SendDatagram(1, uint16(i), "flood")
		}
		c.Echo(1, "still here")
		assert.LessOrEqual(t, p.out.Bytes(), 64<<10)
	}),
	{"nothing is delivered before the session is open", func(t *testing.T, new New) {
		asked := make(chan struct{})
		w := start(t, new, Behaviour{Hello: func(*Peer, []byte) { close(asked) }})
		c := w.dial()
		p := w.peer()
		if p.Conn.Datagrams() == nil {
			t.Skip("the connection carries no datagrams")
		}
		c.SendDatagram(1, 0, "early")
		c.Hello()
		within(t, asked, "Hello")
		for range 100 {
			c.SendDatagram(1, 1, "still early")
		}
		require.Empty(t, p.Received())
		p.Open()
		c.ServerHello()
		c.SendDatagram(1, 2, "in time")
		p.await(t, "a datagram in time", func() bool {
			return len(p.received) > 0 && p.received[len(p.received)-1].Payload == "in time"
		})
	}},
}
