package transporttest

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/transport"
	"strait/transport/outbox"
)

var floodTests = []test{
	{"a slow reader is too slow, and alone", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{Echo: true, Queue: outbox.Config{ReliableBytes: 128 << 10}}, func(s *Setup) { s.Linger = 200 * time.Millisecond })
		slow, p := w.open()
		good, _ := w.open()
		slow.Sending(func() {
			frame := wire.AppendFrame(nil, wire.Data, 1, make([]byte, 16000))
			for {
				if _, err := slow.Write(frame); err != nil {
					return
				}
			}
		})
		for !p.isClosing() {
			good.Echo(1, "how is life?")
		}
		assert.Equal(t, transport.TooSlow, p.AwaitGone(t).Code)
		assert.Less(t, p.out.Bytes(), 128<<10+16000)
		good.Echo(1, "fine")
	}},
	{"a header is not believed", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{}, func(s *Setup) { s.MaxMessage = 1 << 20 })
		c, p := w.open()
		c.Send(wire.AppendHeader(nil, wire.Header{Type: wire.Data, Length: 1 << 20}))
		require.Eventually(t, func() bool { return !p.Conn.Path().PartialSince.IsZero() && w.pool.Live() > 0 }, patience, time.Millisecond)
		assert.LessOrEqual(t, w.pool.Used(), int64(4096))
		c.Send(make([]byte, 10000))
		require.Eventually(t, func() bool { return p.Conn.Path().Buffered >= 10000 }, patience, time.Millisecond)
		assert.LessOrEqual(t, w.pool.Used(), int64(32<<10), "no more than arrived, rounded up")
		c.Send(make([]byte, 1<<20-10000))
		assert.Len(t, p.AwaitMessages(t, 1)[0].Payload, 1<<20)
	}},
	{"headers whose bodies never come", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{}, func(s *Setup) { s.Linger = 10 * time.Second })
		clients := 4000
		if w.endpoint.Crowd > 0 {
			clients = w.endpoint.Crowd
		}
		if testing.Short() || Race {
			clients = min(clients, 300)
		}
		var dialling sync.WaitGroup
		streams := make([]Stream, clients)
		for worker := range 4 {
			dialling.Go(func() {
				for i := worker; i < clients; i += 4 {
					s, err := w.endpoint.Dial()
					if !assert.NoError(t, err) {
						return
					}
					streams[i] = s
					_, err = s.Write(wire.AppendHeader(clientHello, wire.Header{Type: wire.Data, Length: 65536}))
					assert.NoError(t, err)
				}
			})
		}
		dialling.Wait()
		require.False(t, t.Failed())
		peers := make([]*Peer, clients)
		for i := range peers {
			peers[i] = w.peer()
		}
		for _, p := range peers {
			partial := func() bool { return !p.Conn.Path().PartialSince.IsZero() }
			if !partial() { // Eventually begins with a pause
				require.Eventually(t, partial, patience, time.Millisecond)
			}
		}
		assert.LessOrEqual(t, w.pool.Used(), int64(clients*4096))
		good, _ := w.open()
		good.Send(ping(1))
		good.Next(wire.Pong)
		for _, s := range streams {
			s.Reset()
		}
		for _, p := range peers {
			assert.True(t, p.AwaitGone(t).Lost)
		}
	}},
	{"pings without reading", func(t *testing.T, new New) {
		const pings = 30000
		w := start(t, new, Behaviour{})
		c, p := w.open()
		var all []byte
		for i := range pings {
			all = append(all, ping(uint64(i))...)
		}
		stuck := make(chan struct{})
		c.Sending(func() {
			_, err := c.Write(all)
			assert.NoError(t, err)
			_, err = c.Write(wire.AppendFrame(nil, wire.Data, 1, []byte("the last")))
			assert.NoError(t, err)
			close(stuck)
		})
		for i := range pings {
			data, _, ok := wire.ParsePong(c.Next(wire.Pong).Payload)
			require.True(t, ok)
			require.EqualValues(t, i, binary.BigEndian.Uint64(data[:]))
		}
		within(t, stuck, "the end of the flood")
		p.AwaitMessages(t, 1)
	}},
	{"pings without reading at all", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{}, func(s *Setup) { s.Linger = 200 * time.Millisecond })
		c, p := w.open()
		var all []byte
		for i := range 100 {
			all = append(all, ping(uint64(i))...)
		}
		var wrote atomic.Int64
		wrote.Store(time.Now().UnixNano())
		c.Sending(func() {
			for {
				if _, err := c.Write(all); err != nil {
					return
				}
				wrote.Store(time.Now().UnixNano())
			}
		})
		// Both directions are full when the client's writing has come to a halt:
		// the gateway does not collect what it cannot answer.
		require.Eventually(t, func() bool {
			return time.Since(time.Unix(0, wrote.Load())) > 200*time.Millisecond
		}, patience, 10*time.Millisecond)
		assert.LessOrEqual(t, w.pool.Used(), int64(4096))
		p.Conn.Close(kicked)
		p.AwaitGone(t)
	}},
}
