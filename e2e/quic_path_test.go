package e2e

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/straitv1"
)

// A packet of one channel's message is lost: what is sent behind it on another channel,
// or on the control stream, arrives before it.
func TestQUICLossOnOneChannel(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveQUIC(t, game.env()...)
	r := newRelay(t, quicAddr(gw))
	// Without path MTU discovery, whose packets are long, too.
	p := joinQUIC(t, gw, quicSetup{to: r.at(), quic: func(c *quicgo.Config) { c.DisablePathMTUDiscovery = true }})
	s := game.sees(t, p)
	p.plays()
	for name, up := range map[string]bool{"to the gateway": true, "to the client": false} {
		t.Run(name, func(t *testing.T) {
			// Whose reader runs first is not certain on a machine that is busy: then again. A
			// channel that waits for another one's loss would do so each time.
			for attempt := 1; ; attempt++ {
				var lost atomic.Bool
				r.loses(func(u bool, b []byte) bool { return u == up && len(b) > 1000 && lost.CompareAndSwap(false, true) })
				mark := fenceMark()
				messages := map[byte][]byte{1: append([]byte(mark), make([]byte, 5000)...), 2: []byte(mark + " 2"), 0: []byte(mark + " 0")}
				var cs []*straitv1.Command
				for _, channel := range []byte{1, 2, 0} {
					if up {
						p.say(channel, messages[channel])
						continue
					}
					c := reply(messages[channel], s.Session)
					c.GetSend().Channel = uint32(channel)
					cs = append(cs, c)
				}
				if !up {
					s.on.command(t, cs...)
				}
				var order []byte
				if up {
					game.event(t, "the message whose packet was lost", func(e event) bool { return string(e.GetMessage().GetPayload()) == string(messages[1]) })
					for _, e := range game.events.all() {
						if m := e.GetMessage(); m != nil && strings.HasPrefix(string(m.Payload), mark) {
							order = append(order, byte(m.Channel))
						}
					}
				} else {
					p.hears(onStream, 1, messages[1])
					for _, h := range p.in.all() {
						if h.typ == tData && strings.HasPrefix(string(h.payload), mark) {
							order = append(order, h.channel)
						}
					}
				}
				r.loses(nil)
				require.True(t, lost.Load(), "nothing was lost")
				if len(order) == 3 && order[2] == 1 {
					break
				}
				require.Less(t, attempt, 10, "other channels wait for what one has lost: %v", order)
			}
		})
	}
}

// Under loss both ways every reliable message arrives once and in order, and unreliable
// ones at most once.
func TestQUICThroughLoss(t *testing.T) {
	t.Parallel()
	gw := serveQUIC(t)
	r := newRelay(t, quicAddr(gw))
	p := joinQUIC(t, gw, quicSetup{to: r.at()})
	var packets [2]int // each by the reader of its direction
	r.loses(func(up bool, _ []byte) bool {
		n := &packets[0]
		if up {
			n = &packets[1]
		}
		*n++
		return *n%10 == 3
	})
	const each = 60
	for i := range each {
		for channel := range byte(4) {
			p.say(channel, fmt.Appendf(nil, "%d", i))
			p.throw(channel, uint16(i), fmt.Appendf(nil, "%d", i))
		}
	}
	var next [4]int
	for at, got := 0, 0; got < 4*each; got++ {
		var h heard
		h, at = p.expectFrom(at, "an echo", func(h heard) bool { return h.typ == tData })
		require.Equal(t, fmt.Sprint(next[h.channel]), string(h.payload), "order on channel %d", h.channel)
		next[h.channel]++
	}
	r.loses(nil)
	p.plays()
	seen := make(map[string]int)
	for _, h := range p.in.all() {
		if h.way == byDatagram {
			seen[fmt.Sprint(h.channel, " ", string(h.payload))]++
		}
	}
	assert.NotEmpty(t, seen)
	for k, times := range seen {
		assert.Equal(t, 1, times, "unreliable %s", k)
	}
	assert.Positive(t, p.conn.ConnectionStats().PacketsLost)
}

// A NAT that forgets its client: the session goes on, game logic hears of the new
// address.
func TestQUICRebinding(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveQUIC(t, game.env()...)
	r := newRelay(t, quicAddr(gw))
	p := joinQUIC(t, gw, quicSetup{to: r.at()})
	s := game.sees(t, p)
	assert.Equal(t, r.outside(), s.GetOpened().Remote)
	p.plays()
	first := r.outside()
	r.rebind()
	require.NotEqual(t, first, r.outside())
	for range 5 {
		p.plays()
		mark := []byte(fenceMark())
		p.throw(4, 0, mark)
	}
	game.hearsOfAddress(t, s.Session, r.outside())
	gw.reaches("strait_quic_migrations_total", 1)
	p.plays()
	assert.Equal(t, r.outside(), gw.sessions()[0].Remote)
	assert.Equal(t, 1, game.events.count(p.opens), "one session throughout")
}

// hearsOfAddress awaits LinkChanged with an address.
func (g *logic) hearsOfAddress(t testing.TB, session uint64, address string) {
	t.Helper()
	e := g.event(t, "LinkChanged to "+address, func(e event) bool {
		return e.Session == session && e.GetLink() != nil && e.GetLink().Remote == address
	})
	assert.Equal(t, straitv1.Transport_TRANSPORT_QUIC, e.GetLink().Transport)
}

// A peer that never reads one channel stream: that channel alone waits, until the byte
// limit, then the session is closed TOO_SLOW. Nobody else notices.
func TestQUICNeverReadsOneChannel(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveQUIC(t, game.env("STRAIT_SEND_BUFFER_BYTES=131072")...)
	other, overTCP := accompanyQUIC(t, gw), accompany(t, gw)
	p := joinQUIC(t, gw, quicSetup{unread: map[byte]bool{5: true}, quic: func(c *quicgo.Config) {
		c.InitialStreamReceiveWindow, c.MaxStreamReceiveWindow = 16<<10, 16<<10
	}})
	s := game.sees(t, p)
	sends := func(n int) {
		c := reply(make([]byte, n), s.Session)
		c.GetSend().Channel = 5
		s.on.command(t, c)
	}
	for range 12 {
		sends(8000) // 96 kB: more than the stream's window, less than the limit
		p.plays()
		mark := []byte(fenceMark())
		p.throw(6, 0, mark)
		p.hears(byDatagram, 6, mark)
	}
	for range 10 {
		sends(8000)
	}
	c := p.expectClose(cTooSlow)
	assert.Contains(t, c.Reason, "131072")
	gw.reaches(end("TOO_SLOW"), 1)
	gw.falls("strait_quic_connections", 1)
	other.undisturbed(t)
	overTCP.undisturbed(t)
	gw.logsEnd("TOO_SLOW", "131072", false)
}

// A peer that reads nothing at all and never leaves is gone after a moment, with all it
// held.
func TestQUICNeverReadsAndNeverLeaves(t *testing.T) {
	t.Parallel()
	game := listenLogic(t, playing(silent))
	gw := serveQUIC(t, game.env("STRAIT_SEND_BUFFER_BYTES=131072")...)
	p, err := dialQUIC(t, gw, quicSetup{quic: func(c *quicgo.Config) {
		c.InitialStreamReceiveWindow, c.MaxStreamReceiveWindow = 16<<10, 16<<10
	}})
	require.NoError(t, err)
	p.control, err = p.conn.OpenStream()
	require.NoError(t, err)
	p.write(clientHello())
	s := game.event(t, "Opened", func(e event) bool { return e.GetOpened() != nil })
	for i := range 60 {
		c := reply(make([]byte, 8000), s.Session)
		c.GetSend().Channel = uint32(i % 3)
		s.on.command(t, c)
	}
	gw.reaches(end("TOO_SLOW"), 1)
	p.expectCode(cTooSlow)
	gw.falls("strait_quic_connections", 0)
	gw.falls("strait_buffer_bytes", 0)
}

// One who floods every channel and never reads his echoes is closed TOO_SLOW; one who
// floods datagrams loses his own.
func TestQUICFlood(t *testing.T) {
	t.Parallel()
	gw := serveQUIC(t, "STRAIT_QUEUE_SIZE=256", "STRAIT_SHARDS=1", "STRAIT_SEND_BUFFER_BYTES=131072")
	other := accompanyQUIC(t, gw)
	unread := make(map[byte]bool)
	for channel := range 256 {
		unread[byte(channel)] = true
	}
	p := joinQUIC(t, gw, quicSetup{unread: unread})
	s := p.onNewStream([]byte{preface, 3}) // one that nobody closes while it is written
	flooded := make(chan struct{})
	go func() {
		defer close(flooded)
		for b := data(3, make([]byte, 60000)); ; {
			if _, err := s.Write(b); err != nil {
				return
			}
		}
	}()
	p.expectClose(cTooSlow)
	<-flooded
	other.undisturbed(t)

	p = joinQUIC(t, gw, quicSetup{})
	for i := range scaled(20000) {
		p.throw(byte(i), uint16(i>>8), make([]byte, 1000))
	}
	other.undisturbed(t)
	p.plays()
}

// A player comes to a network that carries less than the one before: longer unreliable
// messages are dropped and counted then, 1100 bytes always arrive, and what fits does.
func TestQUICPathThatCarriesLess(t *testing.T) {
	t.Parallel()
	const less, wide = 1300, 1360 // bytes of UDP; of a message that needs more than less
	game := listenLogic(t)
	gw := serveQUIC(t, game.env()...)
	r := newRelay(t, quicAddr(gw))
	p := joinQUIC(t, gw, quicSetup{to: r.at()})
	s := game.sees(t, p)
	sends := func(channel uint32, n int) {
		c := reply(make([]byte, n), s.Session)
		c.GetSend().Delivery, c.GetSend().Channel = straitv1.Delivery_DELIVERY_UNRELIABLE, channel
		s.on.command(t, c)
	}
	arrived := func(channel byte) (n int) {
		return p.in.count(func(h heard) bool { return h.way == byDatagram && h.channel == channel })
	}
	require.Eventually(t, func() bool {
		sends(1, wide)
		p.plays()
		return arrived(1) > 0
	}, patience, 50*time.Millisecond, "the gateway has not found what the first path carries")

	r.loses(func(_ bool, packet []byte) bool { return len(packet) > less })
	r.rebind()
	p.plays()
	game.hearsOfAddress(t, s.Session, r.outside())
	before, refused := arrived(1), gw.metric(drop("too_large"))
	const rounds = 30
	for i := range rounds {
		sends(1, wide)
		sends(2, int(p.hello.MaxUnreliableBytes))
		mark := []byte(fenceMark())
		p.throw(3, uint16(i), mark)
		p.hears(byDatagram, 3, mark) // all of QUIC's search for more goes on meanwhile
	}
	assert.Eventually(t, func() bool { return arrived(2) == rounds }, patience, 10*time.Millisecond)
	assert.Equal(t, before, arrived(1))
	assert.GreaterOrEqual(t, gw.metric(drop("too_large")), refused+rounds-1)
	p.plays()
}
