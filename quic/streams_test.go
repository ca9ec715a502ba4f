package quic_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/transport"
)

const reliable, unreliable = transport.Reliable, transport.Unreliable

func TestChannelsHaveStreams(t *testing.T) {
	w := start(t, defaultConfig(), func(p *peer) { p.echo = true })
	client, gateway := w.pair(clientQUIC())
	const channels, messages = 20, 50
	for i := range messages {
		for ch := range channels {
			client.send(reliable, uint8(ch), fmt.Sprint(i))
		}
	}
	next := make([]int, channels)
	for _, m := range client.messages(t, channels*messages) {
		require.Equal(t, received{reliable, m.Channel, 0, fmt.Sprint(next[m.Channel])}, m)
		next[m.Channel]++
	}
	s := w.l.Stats().Session
	assert.EqualValues(t, channels-1, s.StreamsIn, "channel 0 is on the control stream")
	assert.EqualValues(t, channels-1, s.StreamsOut)
	assert.Zero(t, s.Shared)
	client.conn.Close(transport.Because(transport.Normal, "done"))
	assert.Equal(t, transport.Reason{Code: transport.Normal, Text: "done", Remote: true}, gateway.ended(t))
	assert.Equal(t, transport.Because(transport.Normal, "done"), client.ended(t))
}

func TestLongMessages(t *testing.T) {
	w := start(t, defaultConfig(), func(p *peer) { p.echo = true })
	client, _ := w.pair(clientQUIC())
	for i, n := range []int{0, 1, 4095, 4096, 4097, 16384, 65536} {
		client.send(reliable, 9, strings.Repeat("x", n))
		require.Len(t, client.messages(t, i+1)[i].Text, n)
	}
}

// Without credit a channel uses the control stream, and stays there.
func TestWithoutCredit(t *testing.T) {
	w := start(t, defaultConfig(), func(p *peer) { p.echo = true })
	c := clientQUIC()
	c.MaxIncomingUniStreams = 2
	client, gateway := w.pair(c)
	for i := range 300 {
		client.send(reliable, uint8(i%6), fmt.Sprint(i))
	}
	last := map[uint8]int{}
	for _, m := range client.messages(t, 300) {
		var n int
		_, err := fmt.Sscan(m.Text, &n)
		require.NoError(t, err)
		before, ok := last[m.Channel]
		require.True(t, !ok || n == before+6, "order within channel %d", m.Channel)
		last[m.Channel] = n
	}
	s := w.l.Stats().Session
	assert.EqualValues(t, 2, s.StreamsOut)
	assert.EqualValues(t, 3, s.Shared)
	gateway.conn.Close(transport.Because(transport.Kicked, "enough"))
	assert.Equal(t, transport.Reason{Code: transport.Kicked, Text: "enough", Remote: true}, client.ended(t))
}

func data(channel uint8, text string) []byte {
	return wire.AppendFrame(nil, wire.Data, channel, []byte(text))
}

func TestControlStreamTakesAnyChannel(t *testing.T) {
	w := start(t, defaultConfig(), nil)
	c, p := w.open(clientQUIC())
	c.send(data(7, "here"))
	c.channel(append([]byte{0x53, 7}, data(7, "and there")...)...)
	got := p.messages(t, 2)
	assert.ElementsMatch(t, []received{{reliable, 7, 0, "here"}, {reliable, 7, 0, "and there"}}, got)
}

func TestStreamBreaches(t *testing.T) {
	w := start(t, defaultConfig(), nil)
	good, goodPeer := w.open(clientQUIC())
	for _, breach := range []struct {
		name string
		do   func(c *raw)
		says string
	}{
		{"a wrong preface", func(c *raw) { c.channel(0x54, 1) }, "0x54"},
		{"a web request", func(c *raw) { c.channel([]byte("GET / HTTP/1.1\r\n\r\n")...) }, "0x53"},
		{"no preface", func(c *raw) { require.NoError(t, c.channel().Close()) }, "without a preface"},
		{"half a preface", func(c *raw) { require.NoError(t, c.channel(0x53).Close()) }, "preface"},
		{"another frame", func(c *raw) {
			c.channel(append([]byte{0x53, 1}, wire.AppendFrame(nil, wire.Ping, 0, make([]byte, 8))...)...)
		}, "PING"},
		{"a frame to be skipped", func(c *raw) { c.channel(append([]byte{0x53, 1}, wire.AppendFrame(nil, 0x80, 1, nil)...)...) }, "0x80"},
		{"CLOSE", func(c *raw) { c.channel(append([]byte{0x53, 1}, wire.AppendClose(nil, 0, "bye", 0)...)...) }, "CLOSE"},
		{"another channel", func(c *raw) { c.channel(append([]byte{0x53, 1}, data(2, "x")...)...) }, "channel 2"},
		{"DATA too long", func(c *raw) {
			c.channel(append([]byte{0x53, 1}, wire.AppendHeader(nil, wire.Header{Type: wire.Data, Channel: 1, Length: 65537})...)...)
		}, "65536"},
		{"a second stream", func(c *raw) { c.channel(0x53, 1); c.channel(0x53, 1) }, "second unidirectional"},
		{"a second stream after the first", func(c *raw) {
			require.NoError(t, c.channel(0x53, 1).Close())
			c.channel(0x53, 1)
		}, "second unidirectional"},
		{"the end within a header", func(c *raw) { require.NoError(t, c.channel(0x53, 1, 0, 0).Close()) }, "header"},
		{"the end within a payload", func(c *raw) {
			require.NoError(t, c.channel(append([]byte{0x53, 1}, data(1, "truncated")[:9]...)...).Close())
		}, "payload"},
		{"a reset", func(c *raw) {
			s := c.channel(append([]byte{0x53, 1}, data(1, "truncated")[:9]...)...)
			require.Eventually(t, func() bool { return w.l.Stats().Session.StreamsIn > 0 }, patience, time.Millisecond)
			s.CancelWrite(1)
		}, "reset"},
		{"a reset of the control stream", func(c *raw) { c.CancelWrite(1) }, "reset the control stream"},
		{"a second bidirectional stream", func(c *raw) {
			second, err := c.conn.OpenStream()
			require.NoError(t, err)
			_, err = second.Write([]byte("hello?"))
			require.NoError(t, err)
			// It is noticed when something else has arrived, but not each time.
			go func() {
				for c.conn.Context().Err() == nil {
					_, _ = c.Write(wire.AppendFrame(nil, wire.Ping, 0, make([]byte, 8)))
					select {
					case <-c.conn.Context().Done():
					case <-time.After(10 * time.Millisecond):
					}
				}
			}()
		}, "second bidirectional"},
	} {
		t.Run(strings.ReplaceAll(breach.name, " ", "_"), func(t *testing.T) {
			c, p := w.open(clientQUIC())
			breach.do(c)
			got := c.closed()
			assert.Equal(t, transport.ProtocolError, got.Code)
			assert.Contains(t, got.Text, breach.says)
			r := p.ended(t)
			assert.Equal(t, transport.ProtocolError, r.Code)
			assert.False(t, r.Remote || r.Lost)
			good.send(data(0, "not my fault"))
		})
	}
	goodPeer.messages(t, 1)
}

// Who stops a stream of the gateway has broken the reliable lane.
func TestStoppedStreams(t *testing.T) {
	w := start(t, defaultConfig(), nil)
	t.Run("channel", func(t *testing.T) {
		c, p := w.open(clientQUIC())
		p.send(reliable, 5, "one")
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		s, err := c.conn.AcceptUniStream(ctx)
		require.NoError(t, err)
		s.CancelRead(1)
		require.Eventually(t, func() bool {
			p.send(reliable, 5, "two")
			select {
			case <-p.gone:
				return true
			default:
				return false
			}
		}, patience, 5*time.Millisecond)
		assert.Contains(t, p.ended(t).Text, "stopped the stream of channel 5")
	})
	t.Run("control", func(t *testing.T) {
		c, p := w.open(clientQUIC())
		c.CancelRead(1)
		require.Eventually(t, func() bool {
			p.send(reliable, 0, "two")
			select {
			case <-p.gone:
				return true
			default:
				return false
			}
		}, patience, 5*time.Millisecond)
		r := p.ended(t)
		assert.Equal(t, transport.ProtocolError, r.Code)
		assert.Contains(t, r.Text, "stopped the control stream")
	})
}

// A client may not open more streams than it was granted; quic-go says so itself.
func TestTooManyStreams(t *testing.T) {
	c := defaultConfig()
	c.MaxStreams = 3
	w := start(t, c, nil)
	r, _ := w.open(clientQUIC())
	for i := range 3 {
		r.channel(0x53, byte(i+1))
	}
	_, err := r.conn.OpenUniStream()
	var limit *quicgo.StreamLimitReachedError
	require.ErrorAs(t, err, &limit)
}

// A client that answers CLOSE by closing the connection was told in order.
func TestCloseAnsweredByTheConnection(t *testing.T) {
	w := start(t, defaultConfig(), nil)
	const clients = 200
	for range clients {
		c, p := w.open(clientQUIC())
		p.conn.Close(transport.Because(transport.Kicked, "goodbye"))
		for c.next().Type != wire.Close {
		}
		require.NoError(t, c.conn.CloseWithError(0, "bye"))
		require.Equal(t, transport.Because(transport.Kicked, "goodbye"), p.ended(t))
	}
	assert.EqualValues(t, clients, w.l.Stats().Session.InOrder)
}

// Before SERVER_HELLO streams stay unread.
func TestNothingIsReadBeforeTheSessionIsOpen(t *testing.T) {
	asked := make(chan struct{})
	w := start(t, defaultConfig(), func(p *peer) { p.hello = func(*peer) { close(asked) } })
	c := w.raw(clientQUIC())
	c.send(wire.AppendFrame(nil, wire.ClientHello, 0, clientHello))
	p := w.peer()
	<-asked
	c.channel(append([]byte{0x53, 3}, data(3, "early")...)...)
	require.NoError(t, c.conn.SendDatagram([]byte{0x10, 1, 0, 0, 'x'}))
	require.Eventually(t, func() bool { return w.l.Stats().Session.Dropped[0] == 1 }, patience, time.Millisecond)
	assert.Zero(t, w.l.Stats().Session.StreamsIn)
	p.conn.Control(transport.ControlServerHello, nil)
	assert.Equal(t, []received{{reliable, 3, 0, "early"}}, p.messages(t, 1))
}

// A channel that is not read holds up neither the others nor the control stream, until
// what is queued for the client is too much.
func TestAChannelThatIsNotRead(t *testing.T) {
	w := start(t, defaultConfig(), nil)
	client := w.client(clientQUIC())
	gateway := w.peer()
	blocked := make(chan struct{})
	var once sync.Once
	var reading atomic.Bool
	client.take = func(m transport.Message) bool {
		if m.Channel != 4 || reading.Load() {
			return true
		}
		once.Do(func() { close(blocked) })
		return false
	}
	big := strings.Repeat("x", 4000)
	for range 60 {
		gateway.send(reliable, 4, big)
	}
	<-blocked
	for i := range 20 {
		gateway.send(reliable, 0, "control")
		gateway.send(reliable, 5, "beside")
		client.messages(t, 2*i+2)
	}
	for range 200 {
		gateway.send(reliable, 4, big)
	}
	assert.Equal(t, transport.TooSlow, gateway.ended(t).Code)
	reading.Store(true)
	client.conn.Resume()
	assert.Equal(t, transport.TooSlow, client.ended(t).Code)
}

// The session that has no room stops one stream and resumes it.
func TestRefusedMessagesWaitForResume(t *testing.T) {
	w := start(t, defaultConfig(), func(p *peer) {
		n := 0
		p.take = func(transport.Message) bool {
			if n++; n%3 != 0 {
				return true
			}
			go p.conn.Resume()
			return false
		}
	})
	client, gateway := w.pair(clientQUIC())
	const messages = 600
	for i := range messages {
		client.send(reliable, uint8(i%5), fmt.Sprint(i))
	}
	client.conn.Close(transport.Reason{Code: transport.Normal, Text: "all said"})
	next := [5]int{0, 1, 2, 3, 4}
	for _, m := range gateway.messages(t, messages) {
		require.Equal(t, fmt.Sprint(next[m.Channel]), m.Text)
		next[m.Channel] += 5
	}
	assert.True(t, gateway.ended(t).Remote)
}
