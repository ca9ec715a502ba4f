package transporttest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/transport"
	"strait/transport/outbox"
)

// random returns a payload of n bytes that looks like nothing else.
func random(r *rand.Rand, n int) string {
	b := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return string(b[:n])
}

var messageTests = []test{
	{"order and integrity", func(t *testing.T, new New) {
		const messages = 300
		w := start(t, new, Behaviour{Echo: true, Queue: outbox.Config{ReliableBytes: 64 << 20}})
		c, p := w.open()
		r := rand.New(rand.NewPCG(1, 2))
		var sent [256][]string
		var all []byte
		for i := range messages {
			n := r.IntN(3000)
			switch i {
			case 3, 90:
				n = w.setup.MaxMessage
			case 4, 91:
				n = 0
			case 5:
				n = 16384
			}
			channel := uint8(r.IntN(256))
			if i%2 == 0 {
				channel = 9
			}
			m := random(r, n)
			sent[channel] = append(sent[channel], m)
			all = wire.AppendFrame(all, wire.Data, channel, []byte(m))
		}
		c.Sending(func() {
			for len(all) > 0 { // cut anywhere
				n := min(len(all), 1+r.IntN(40000))
				if _, err := c.Write(all[:n]); err != nil {
					return
				}
				all = all[n:]
			}
		})
		var back [256][]string
		for range messages {
			f := c.Next(wire.Data)
			back[f.Channel] = append(back[f.Channel], string(f.Payload))
		}
		for channel := range sent {
			require.Equal(t, len(sent[channel]), len(back[channel]), "channel %d", channel)
			for i := range sent[channel] {
				require.True(t, sent[channel][i] == back[channel][i], "channel %d, message %d", channel, i)
			}
		}
		require.Len(t, p.Received(), messages)
	}},
	{"unreliable messages are numbered for each channel", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{})
		c, p := w.open()
		c.Send(wire.AppendUnreliable(wire.AppendUnreliable(nil, 4, 65535, []byte("a")), 4, 0, nil))
		require.Equal(t, []Received{{transport.Unreliable, 4, 65535, "a"}, {transport.Unreliable, 4, 0, ""}}, p.AwaitMessages(t, 2))
		for i, channel := range []uint8{1, 2, 1, 1, 2} {
			p.Send(transport.Unreliable, channel, fmt.Sprint(i))
			p.Conn.Wake()
			seq, m := []uint16{0, 0, 1, 2, 1}[i], fmt.Sprint(i)
			if p.Conn.Datagrams() != nil {
				require.Equal(t, Received{transport.Unreliable, channel, seq, m}, c.Datagram())
				continue
			}
			f := c.Next(wire.DataUnreliable)
			require.Equal(t, wire.AppendUnreliable(nil, channel, seq, []byte(m))[wire.HeaderLen:], f.Payload)
			require.Equal(t, channel, f.Channel)
		}
	}},
	{"latest wins while the lane is blocked", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{Queue: outbox.Config{ReliableBytes: 256 << 10}}, func(s *Setup) { s.Linger = 5 * time.Second })
		c, p := w.open()
		if p.Conn.Datagrams() != nil {
			t.Skip("unreliable messages have a lane of their own")
		}
		p.block(t)
		const updates = 2000
		for i := range updates {
			p.Send(transport.Unreliable, 7, fmt.Sprint(i))
			p.Conn.Wake()
		}
		p.Conn.Close(transport.Because(transport.Kicked, "enough"))
		got, last, next := 0, "", uint16(0)
		c.ClosedAfter(transport.Kicked, func(f Frame) {
			if f.Type == wire.DataUnreliable {
				seq, m, _ := wire.ParseUnreliable(f.Payload)
				require.Equal(t, next, seq, "what was replaced has used up no sequence")
				next++
				got, last = got+1, string(m)
			}
		})
		assert.Equal(t, fmt.Sprint(updates-1), last)
		assert.Less(t, got, updates/2, "stale ones were sent")
	}},
	{"a message that comes when the writer has just found none", func(t *testing.T, new New) {
		// More than once: the first time the writer looks again because of SERVER_HELLO.
		var found atomic.Int32
		w := start(t, new, Behaviour{Dry: func(p *Peer, d transport.Delivery) {
			if d == transport.Reliable && found.Add(1) <= 4 {
				p.Send(transport.Reliable, 1, "just in time")
				p.Conn.Wake()
			}
		}})
		c, _ := w.open()
		for range 4 {
			assert.Equal(t, "just in time", string(c.Next(wire.Data).Payload))
		}
	}},
	{"pings", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{})
		c, p := w.open()
		c.Send(ping(0x0102030405060708))
		data, _, ok := wire.ParsePong(c.Next(wire.Pong).Payload)
		require.True(t, ok)
		assert.Equal(t, [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, data)

		if p.Conn.Datagrams() == nil { // else the transport may measure by itself
			assert.Zero(t, p.Conn.Path().RTT)
		}
		p.Conn.Ping()
		f := c.Next(wire.Ping)
		c.Send(wire.AppendPong(nil, [8]byte(f.Payload), 0))
		c.Data(1, "behind the pong")
		p.AwaitMessages(t, 1)
		assert.Positive(t, p.Conn.Path().RTT)
		assert.Less(t, p.Conn.Path().RTT, patience)
	}},
	{"a partial frame shows", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{})
		c, p := w.open()
		c.Data(1, "whole")
		p.AwaitMessages(t, 1)
		require.Eventually(t, func() bool { return p.Conn.Path().PartialSince.IsZero() }, patience, time.Millisecond, "the whole one is none")
		frame := wire.AppendFrame(nil, wire.Data, 1, make([]byte, 1000))
		began := time.Now()
		c.Send(frame[:500])
		require.Eventually(t, func() bool { return p.Conn.Path().Buffered > 0 }, patience, time.Millisecond)
		assert.False(t, p.Conn.Path().PartialSince.Before(began))
		assert.LessOrEqual(t, p.Conn.Path().Buffered, 4096)
		c.Send(frame[500:])
		p.AwaitMessages(t, 2)
		require.Eventually(t, func() bool { return p.Conn.Path().PartialSince.IsZero() && p.Conn.Path().Buffered == 0 }, patience, time.Millisecond)
	}},
	{"unknown frames are skipped", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{Echo: true})
		c, _ := w.open()
		c.Send(wire.AppendFrame(nil, 0x80, 7, []byte("from the future")))
		c.Send(wire.AppendFrame(nil, 0xFF, 0, make([]byte, wire.MaxControl)))
		c.Echo(1, "and on")
	}},
	{"control frames both ways", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{})
		c, p := w.open()
		p.Conn.Control(transport.ControlGoAway, []byte("go"))
		assert.Equal(t, "go", string(c.Next(wire.GoAway).Payload))
		p.Conn.Control(transport.ControlUDPOffer, []byte(strings.Repeat("o", wire.MaxControl)))
		assert.Len(t, c.Next(wire.UDPOffer).Payload, wire.MaxControl)
		c.Send(wire.AppendFrame(nil, wire.Ack, 0, nil))
		p.await(t, "ACK", func() bool { return len(p.controls) == 1 })
	}},
}

// block queues messages until the client, who does not read, blocks the writer:
// the queue stays full.
func (p *Peer) block(t *testing.T) {
	t.Helper()
	filler := p.pool.Get(16000)
	defer filler.Release()
	deadline := time.Now().Add(patience)
	for full := (time.Time{}); full.IsZero() || time.Since(full) < 100*time.Millisecond; {
		require.True(t, time.Now().Before(deadline), "the lane never blocks")
		_, err := p.out.Push(transport.Message{Channel: 200, Buf: filler.Retain()})
		switch {
		case err == nil:
			full = time.Time{}
			p.Conn.Wake()
		case full.IsZero():
			full = time.Now()
		default:
			time.Sleep(time.Millisecond)
		}
	}
}
