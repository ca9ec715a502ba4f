package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/straitv1"
)

// Control stream, channel streams and datagrams: each comes back on the way that the
// page gives for it, and game logic sees one kind of session.
func TestQUICEcho(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveQUIC(t, game.env()...)
	p := joinQUIC(t, gw, quicSetup{})
	assert.EqualValues(t, 1, p.hello.Version)
	assert.Len(t, p.hello.SessionId, 16)
	assert.EqualValues(t, maxMessage, p.hello.MaxMessageBytes)
	assert.GreaterOrEqual(t, p.hello.MaxUnreliableBytes, uint32(1100))
	assert.EqualValues(t, 30000, p.hello.IdleTimeoutMs)
	assert.Nil(t, p.hello.Udp)

	s := game.sees(t, p)
	assert.Equal(t, straitv1.Transport_TRANSPORT_QUIC, s.GetOpened().Transport)
	assert.Equal(t, p.conn.LocalAddr().String(), s.GetOpened().Remote)
	require.Len(t, gw.sessions(), 1)
	assert.Equal(t, s.GetOpened().Remote, gw.sessions()[0].Remote)
	assert.EqualValues(t, 1, gw.metric(`strait_sessions{transport="quic"}`))

	longest := make([]byte, maxMessage)
	longest[maxMessage-1] = 1
	for i, payload := range [][]byte{{}, []byte("hello"), make([]byte, 5000), longest} {
		for channel, w := range map[byte]way{0: onControl, 1: onStream, 255: onStream} {
			p.say(channel, payload)
			p.hears(w, channel, payload)
		}
		p.write(data(9, payload)) // the control stream takes every channel
		p.hears(onStream, 9, payload)
		if len(payload) > int(p.hello.MaxUnreliableBytes) {
			payload = payload[:p.hello.MaxUnreliableBytes]
		}
		payload = bytes.Clone(payload)
		if len(payload) > 0 {
			payload[0] = byte(i) // unlike those before
		}
		p.throw(7, uint16(100+i), payload)
		assert.EqualValues(t, i, p.hears(byDatagram, 7, payload).seq, "sequences count from 0")
		game.event(t, "the message with its sequence", func(e event) bool {
			m := e.GetMessage()
			return m != nil && m.Delivery == straitv1.Delivery_DELIVERY_UNRELIABLE && m.Sequence == uint32(100+i) && m.Channel == 7
		})
	}
	p.write(unreliable(7, 200, []byte("by the control stream nevertheless")))
	assert.EqualValues(t, 4, p.hears(byDatagram, 7, []byte("by the control stream nevertheless")).seq, "all lanes share the sequences")
	p.write(raw(tPing, []byte("12345678")))
	pong := p.expect("PONG", func(h heard) bool { return h.typ == tPong })
	assert.Equal(t, "12345678", string(pong.payload[:8]))
	assert.Len(t, pong.payload, 12)

	assert.EqualValues(t, 2, gw.metric(`strait_quic_channel_streams_total{by="client"}`))
	assert.EqualValues(t, 3, gw.metric(`strait_quic_channel_streams_total{by="gateway"}`))
	assert.EqualValues(t, 4, gw.metric(`strait_quic_datagrams_total{direction="in"}`))
	assert.EqualValues(t, 5, gw.metric(`strait_quic_datagrams_total{direction="out"}`))
	for _, what := range []string{"begun", "completed"} {
		assert.EqualValues(t, 1, gw.metric(fmt.Sprintf("strait_quic_handshakes_total{what=%q}", what)))
	}
	assert.EqualValues(t, 1, gw.metric("strait_quic_connections"))
	assert.Zero(t, gw.metric("strait_quic_handshakes_unfinished"))
	assert.Zero(t, gw.metric("strait_quic_migrations_total"))
}

// Order and integrity within each channel, with all channels in use at once.
func TestQUICOrderOnEveryChannel(t *testing.T) {
	t.Parallel()
	p := joinQUIC(t, serveQUIC(t), quicSetup{})
	const each = 20
	for i := range each {
		for channel := range 256 {
			p.say(byte(channel), fmt.Appendf(nil, "%d", i))
		}
	}
	var next [256]int
	for at, n := 0, 0; n < each*256; n++ {
		var h heard
		h, at = p.expectFrom(at, "an echo", func(h heard) bool { return h.typ == tData })
		require.Equal(t, h.channel != 0, h.way == onStream)
		require.Equal(t, fmt.Sprint(next[h.channel]), string(h.payload), "order on channel %d", h.channel)
		next[h.channel]++
	}
}

// DATA right behind CLIENT_HELLO, on the control stream and on a channel's, waits for
// the session; datagrams before SERVER_HELLO are dropped.
func TestQUICBeforeServerHello(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveQUIC(t, game.env()...)
	p := connectQUIC(t, gw, quicSetup{})
	hello := clientHello()
	p.write(hello[:3])
	p.say(3, []byte("early, on a stream"))
	for i := range 20 {
		p.throw(3, uint16(i), []byte("early, a datagram"))
	}
	gw.reaches(`strait_quic_datagrams_dropped_total{reason="early"}`, 20)
	p.write(hello[3:], data(0, []byte("early, behind the hello")))
	p.welcome()
	p.hears(onControl, 0, []byte("early, behind the hello"))
	p.hears(onStream, 3, []byte("early, on a stream"))
	p.throw(3, 100, []byte("in time"))
	assert.Zero(t, p.hears(byDatagram, 3, []byte("in time")).seq)
	assert.NotContains(t, game.payloads(game.sees(t, p).Session), "early, a datagram")
}

// Datagrams that carry no body of the page are dropped and counted, and cost nobody
// anything.
func TestQUICMalformedDatagrams(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveQUIC(t, game.env()...)
	p := joinQUIC(t, gw, quicSetup{})
	malformed := [][]byte{{}, {bodyMessage}, {bodyMessage, 1}, {bodyMessage, 1, 0}, {0, 1, 0, 0, 'x'}, {0x11, 1, 0, 0, 'x'}, data(1, []byte("x")), clientHello()}
	for _, b := range malformed {
		require.NoError(t, p.conn.SendDatagram(b))
	}
	gw.reaches(`strait_quic_datagrams_dropped_total{reason="malformed"}`, float64(len(malformed)))
	p.throw(1, 0, nil)
	p.hears(byDatagram, 1, nil)
	assert.Len(t, game.payloads(game.sees(t, p).Session), 1, "what game logic got")
	p.plays()
}

// Where the operator or the client has no datagrams, unreliable messages go by
// DATA_UNRELIABLE, both ways.
func TestQUICWithoutDatagrams(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		gw    *process
		setup quicSetup
	}{
		{"operator", serveQUIC(t, "STRAIT_QUIC_DATAGRAMS=off"), quicSetup{}},
		{"client", serveQUIC(t), quicSetup{quic: func(c *quicgo.Config) { c.EnableDatagrams = false }}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := joinQUIC(t, c.gw, c.setup)
			s := p.conn.ConnectionState().SupportsDatagrams
			assert.Equal(t, c.name != "operator", s.Remote, "what the gateway offers")
			most := make([]byte, p.hello.MaxUnreliableBytes)
			require.GreaterOrEqual(t, len(most), 1100)
			for i, payload := range [][]byte{{}, []byte("hello"), most} {
				p.write(unreliable(5, uint16(i), payload))
				h := p.expect("DATA_UNRELIABLE", func(h heard) bool {
					return h.typ == tDataUnreliable && len(h.payload) >= 2 && bytes.Equal(h.payload[2:], payload)
				})
				assert.Equal(t, byte(5), h.channel)
				assert.Equal(t, []byte{0, byte(i)}, h.payload[:2], "its sequence")
			}
			p.plays()
			assert.Zero(t, c.gw.metric(`strait_quic_datagrams_total{direction="out"}`))
		})
	}
}

// Who has no credit for a stream uses the control stream, and stays with it.
func TestQUICWithoutStreamCredit(t *testing.T) {
	t.Parallel()
	gw := serveQUIC(t)
	p := joinQUIC(t, gw, quicSetup{quic: func(c *quicgo.Config) { c.MaxIncomingUniStreams = -1 }})
	for range 3 {
		for channel := range byte(5) {
			mark := []byte(fenceMark())
			p.say(channel, mark)
			p.hears(onControl, channel, mark)
		}
	}
	assert.EqualValues(t, 4, gw.metric("strait_quic_channels_shared_total"))
	p = joinQUIC(t, gw, quicSetup{quic: func(c *quicgo.Config) { c.MaxIncomingUniStreams = 1 }})
	for range 3 {
		for channel, w := range []way{onControl, onStream, onControl, onControl} {
			mark := []byte(fenceMark())
			p.say(byte(channel), mark)
			p.hears(w, byte(channel), mark)
		}
	}

	p = joinQUIC(t, serveQUIC(t, "STRAIT_QUIC_MAX_STREAMS=0"), quicSetup{})
	_, err := p.conn.OpenUniStream()
	var none *quicgo.StreamLimitReachedError
	require.ErrorAs(t, err, &none)
	p.write(data(9, []byte("on the control stream")))
	p.hears(onStream, 9, []byte("on the control stream"))
}

// 0-RTT is off, for a client that has a ticket, too.
func TestQUICRefusesEarlyData(t *testing.T) {
	t.Parallel()
	gw := serveQUIC(t)
	conf := secure(gw)
	conf.ServerName = "localhost"
	conf.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	p := joinQUIC(t, gw, quicSetup{tls: conf})
	p.plays()
	p.write(closing(cNormal, "bye"))
	p.finish()
	p.expectClose(cNormal)
	end := &quicgo.Transport{Conn: loopback(t)}
	defer end.Conn.Close()
	defer end.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := end.DialEarly(ctx, quicAddr(gw), conf, &quicgo.Config{EnableDatagrams: true})
	require.NoError(t, err)
	select {
	case <-conn.HandshakeComplete():
	case <-ctx.Done():
		require.FailNow(t, "no handshake")
	}
	assert.False(t, conn.ConnectionState().Used0RTT)
	_ = conn.CloseWithError(0, "")
}

// Unreliable messages of game logic that the path does not carry are dropped and
// counted; reliable ones above the limit, too.
func TestQUICOversizeFromGameLogic(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveQUIC(t, game.env()...)
	p := joinQUIC(t, gw, quicSetup{})
	s := game.sees(t, p)
	sends := func(d straitv1.Delivery, n int) {
		c := reply(make([]byte, n), s.Session)
		c.GetSend().Delivery, c.GetSend().Channel = d, 4
		s.on.command(t, c)
	}
	sends(straitv1.Delivery_DELIVERY_UNRELIABLE, 3000)
	sends(straitv1.Delivery_DELIVERY_RELIABLE, maxMessage+1)
	gw.reaches(drop("too_large"), 2)
	sends(straitv1.Delivery_DELIVERY_UNRELIABLE, int(p.hello.MaxUnreliableBytes))
	p.hears(byDatagram, 4, make([]byte, p.hello.MaxUnreliableBytes))
	sends(straitv1.Delivery_DELIVERY_RELIABLE, maxMessage)
	p.hears(onStream, 4, make([]byte, maxMessage))
	p.plays()
}

// A session stays while PINGs are answered, and is closed IDLE when they are not, by a
// client whose QUIC stack is as lively as before.
func TestQUICIdle(t *testing.T) {
	t.Parallel()
	gw := serveQUIC(t, "STRAIT_IDLE_TIMEOUT="+idleTimeout.String(), "STRAIT_QUIC_IDLE_TIMEOUT=20s")
	p := joinQUIC(t, gw, quicSetup{})
	began := time.Now()
	mute := joinQUIC(t, gw, quicSetup{mute: true})
	mute.expectClose(cIdle)
	assert.Greater(t, time.Since(began), idleTimeout*2/3)
	p.plays()
	gw.reaches(end("IDLE"), 1)
}
