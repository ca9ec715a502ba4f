package quic_test

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/quic"
	"strait/quic/session"
	"strait/transport"
)

func TestDatagrams(t *testing.T) {
	w := start(t, defaultConfig(), func(p *peer) { p.echo = true })
	client, gateway := w.pair(clientQUIC())
	require.NotNil(t, gateway.conn.Datagrams())
	limit := gateway.conn.Datagrams().Max()
	assert.GreaterOrEqual(t, limit, 1200)
	for i, text := range []string{"", "a", strings.Repeat("x", limit)} {
		client.send(unreliable, 3, text)
		assert.Equal(t, received{unreliable, 3, uint16(i), text}, client.messages(t, i+1)[i])
	}
	assert.Zero(t, w.l.Stats().Session.Dropped[session.DropTooLarge])
	// The path carries more than its first packets showed, and a datagram as long as Max
	// says gets through.
	require.Eventually(t, func() bool {
		gateway.conn.Path()
		client.send(reliable, 0, "keep moving")
		return gateway.conn.Max() > limit
	}, patience, 20*time.Millisecond)
	text := strings.Repeat("y", gateway.conn.Max())
	gateway.send(unreliable, 8, text)
	client.await(t, "a datagram of the greatest length", func() bool {
		for _, m := range client.got {
			if m.Channel == 8 && m.Text == text {
				return true
			}
		}
		return false
	})
}

func TestWithoutMTUDiscovery(t *testing.T) {
	c := defaultConfig()
	c.NoMTUDiscovery = true
	w := start(t, c, func(p *peer) { p.echo = true })
	client, gateway := w.pair(clientQUIC())
	limit := gateway.conn.Max()
	for i := range 60 { // enough to look for more, and to see it (measureEvery is a second)
		client.send(reliable, 0, "keep moving")
		client.messages(t, i+1)
		gateway.conn.Path()
		time.Sleep(25 * time.Millisecond)
	}
	assert.Equal(t, limit, gateway.conn.Max())
	assert.GreaterOrEqual(t, limit, 1200)
}

func TestMalformedDatagrams(t *testing.T) {
	w := start(t, defaultConfig(), nil)
	c, p := w.open(clientQUIC())
	for _, b := range [][]byte{{}, {0x10}, {0x10, 1, 2}, {0x11, 1, 0, 0, 'x'}, {0}} {
		require.NoError(t, c.conn.SendDatagram(b))
	}
	require.NoError(t, c.conn.SendDatagram([]byte{0x10, 9, 0x12, 0x34, 'o', 'k'}))
	assert.Equal(t, []received{{unreliable, 9, 0x1234, "ok"}}, p.messages(t, 1))
	s := w.l.Stats().Session
	assert.EqualValues(t, 5, s.Dropped[session.DropMalformed])
	assert.EqualValues(t, 1, s.DatagramsIn)
}

// Where one end does not allow datagrams unreliable messages share the control stream.
func TestWithoutDatagrams(t *testing.T) {
	for name, side := range map[string]func(*quic.Config) bool{
		"gateway": func(c *quic.Config) bool { c.NoDatagrams = true; return true },
		"client":  func(*quic.Config) bool { return false },
	} {
		t.Run(name, func(t *testing.T) {
			c, q := defaultConfig(), clientQUIC()
			q.EnableDatagrams = side(&c)
			w := start(t, c, func(p *peer) { p.echo = true })
			client, gateway := w.pair(q)
			require.Nil(t, client.conn.Datagrams())
			require.Nil(t, gateway.conn.Datagrams())
			assert.Equal(t, 1100, gateway.conn.Max())
			for i := range 3 {
				client.send(unreliable, 200, fmt.Sprint(i))
				require.Equal(t, received{unreliable, 200, uint16(i), fmt.Sprint(i)}, client.messages(t, i+1)[i])
			}
		})
	}
}

// gate is a socket that can stop handing on what it is given to send.
type gate struct {
	net.PacketConn
	shut atomic.Bool
	drop func([]byte) bool // nil: nothing
	lost atomic.Int64
}

func (g *gate) WriteTo(b []byte, a net.Addr) (int, error) {
	if g.shut.Load() || g.drop != nil && g.drop(b) {
		g.lost.Add(1)
		return len(b), nil
	}
	return g.PacketConn.WriteTo(b, a)
}

func gated(t *testing.T, drop func([]byte) bool) *gate {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = socket.Close() })
	return &gate{PacketConn: socket, drop: drop}
}

// While datagrams cannot leave, quic-go blocks and the session's queue drops the oldest;
// whoever sends is never blocked.
func TestBlockedDatagrams(t *testing.T) {
	c := defaultConfig()
	g := gated(t, nil)
	c.Conn = g
	w := start(t, c, nil)
	client, gateway := w.pair(clientQUIC())
	gateway.send(unreliable, 1, "first")
	client.messages(t, 1)
	g.shut.Store(true)
	const messages = 20000
	text := strings.Repeat("x", 1000)
	begun := time.Now()
	for i := range messages {
		gateway.send(unreliable, 1, fmt.Sprintf("%d %s", i, text))
	}
	assert.Less(t, time.Since(begun), patience/2)
	assert.LessOrEqual(t, gateway.out.Bytes(), 64<<10)
	g.shut.Store(false)
	client.await(t, "the newest", func() bool {
		return strings.HasPrefix(client.got[len(client.got)-1].Text, fmt.Sprint(messages-1, " "))
	})
	client.mu.Lock()
	assert.Less(t, len(client.got), messages/2)
	client.mu.Unlock()
}

// A packet that is lost holds up its own channel alone.
func TestLossOnOneChannel(t *testing.T) {
	var losing atomic.Bool
	g := gated(t, func(b []byte) bool { return len(b) > 900 && losing.CompareAndSwap(true, false) })
	c := defaultConfig()
	c.Conn = g
	w := start(t, c, nil)
	q := clientQUIC()
	q.DisablePathMTUDiscovery = true
	client, gateway := w.pair(q)
	gateway.send(reliable, 1, "before")
	gateway.send(reliable, 2, "before")
	client.messages(t, 2)
	// On a busy machine the packet may have been sent again before the other channel's
	// message is: then once more.
	for attempt := 1; ; attempt++ {
		lost := g.lost.Load()
		losing.Store(true)
		gateway.send(reliable, 1, strings.Repeat("x", 1000))
		require.Eventually(t, func() bool { return g.lost.Load() > lost }, patience, time.Millisecond)
		gateway.send(reliable, 2, "not held up")
		got := client.messages(t, 2+2*attempt)[2*attempt:]
		if got[1].Channel == 1 || attempt == 10 {
			assert.Equal(t, received{reliable, 2, 0, "not held up"}, got[0])
			assert.Len(t, got[1].Text, 1000)
			break
		}
	}
}

// Nor is it where the packet right behind it, which may have the stream's FIN, goes the
// same way.
func TestALostMessageAndFINBeforeClose(t *testing.T) {
	var losing atomic.Bool
	var burst atomic.Int64 // its end, Unix nanoseconds; 0: none
	g := gated(t, func(b []byte) bool {
		if len(b) > 900 && losing.CompareAndSwap(true, false) {
			burst.Store(time.Now().Add(10 * time.Millisecond).UnixNano())
			return true
		}
		return time.Now().UnixNano() < burst.Swap(0)
	})
	c := defaultConfig()
	c.Conn = g
	w := start(t, c, nil)
	q := clientQUIC()
	q.DisablePathMTUDiscovery = true
	for range 60 { // FIN and CLOSE are seldom in different packets
		client, gateway := w.pair(q)
		gateway.send(reliable, 0, "before")
		client.messages(t, 1)
		losing.Store(true)
		gateway.send(reliable, 5, strings.Repeat("x", 1000))
		require.Eventually(t, func() bool { return !losing.Load() }, patience, time.Millisecond)
		gateway.conn.Close(transport.Because(transport.Kicked, "goodbye"))
		client.ended(t)
		require.Len(t, client.messages(t, 2)[1].Text, 1000)
	}
}

// The first message of a channel is not lost to a CLOSE behind it that arrives before.
func TestALostMessageBeforeClose(t *testing.T) {
	var losing atomic.Bool
	g := gated(t, func(b []byte) bool { return len(b) > 900 && losing.CompareAndSwap(true, false) })
	c := defaultConfig()
	c.Conn = g
	w := start(t, c, nil)
	q := clientQUIC()
	q.DisablePathMTUDiscovery = true
	for range 10 {
		client, gateway := w.pair(q)
		gateway.send(reliable, 0, "before")
		client.messages(t, 1)
		lost := g.lost.Load()
		losing.Store(true)
		gateway.send(reliable, 5, strings.Repeat("x", 1000))
		require.Eventually(t, func() bool { return g.lost.Load() > lost }, patience, time.Millisecond)
		gateway.conn.Close(transport.Because(transport.Kicked, "goodbye"))
		client.ended(t)
		require.Len(t, client.messages(t, 2)[1].Text, 1000)
	}
}
