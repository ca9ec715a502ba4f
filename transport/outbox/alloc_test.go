package outbox_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"strait/transport"
	"strait/transport/outbox"
)

// rounds is a turn of a session in steady state: messages pushed, then pulled.
type rounds struct {
	q        outbox.Queue
	pool     *transport.Pool
	payload  int
	channels int
	batch    int
	each     bool // pulled channel by channel, else all at once
	delivery transport.Delivery

	dst []transport.Message
	ids []uint8
}

func newRounds(channels, batch int, each bool) *rounds {
	r := &rounds{pool: transport.NewPool(0, nil), payload: 64, channels: channels, batch: batch, each: each}
	r.q.Init(outbox.Config{ReliableBytes: 1 << 20, UnreliableBytes: 1 << 20})
	return r
}

func (r *rounds) turn() {
	for i := range r.batch {
		_, _ = r.q.Push(transport.Message{Delivery: r.delivery, Channel: uint8(i % r.channels), Buf: r.pool.Get(r.payload)})
	}
	if !r.each {
		r.pull(transport.AnyChannel)
		return
	}
	r.ids = r.q.Channels(r.ids[:0])
	for _, id := range r.ids {
		if id != blocked {
			r.pull(int(id))
		}
	}
}

func (r *rounds) pull(channel int) {
	r.dst = r.q.Pull(r.dst[:0], r.delivery, channel, 1<<20)
	for _, m := range r.dst {
		m.Buf.Release()
	}
}

// blocked is a channel that nobody pulls from.
const blocked = 77

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget on purpose")
	}
	for _, each := range []bool{false, true} {
		for _, batch := range []int{1, 16} {
			for _, d := range []transport.Delivery{rel, unr} {
				if each && d == unr {
					continue
				}
				t.Run(fmt.Sprintf("each=%v/batch=%d/%v", each, batch, d), func(t *testing.T) {
					r := newRounds(4, batch, each)
					r.delivery = d
					r.q.SetDatagrams(true)
					r.turn()
					require.Zero(t, testing.AllocsPerRun(200, r.turn))
				})
			}
		}
	}
	// Others flow past a stream that is blocked, in the memory there is.
	t.Run("beside a blocked channel", func(t *testing.T) {
		r := newRounds(4, 16, true)
		for range 10 {
			_, _ = r.q.Push(transport.Message{Channel: blocked, Buf: r.pool.Get(1)})
			r.turn()
		}
		require.Zero(t, testing.AllocsPerRun(1000, r.turn))
		require.Equal(t, []uint8{blocked}, r.q.Channels(nil))
		require.Len(t, r.q.Pull(nil, rel, blocked, 1<<20), 10)
		require.True(t, r.q.Empty())
	})
}

// Messages of 64 bytes pushed and pulled by one goroutine.
func BenchmarkPushPull64(b *testing.B) {
	for _, c := range []struct {
		channels, batch int
		each            bool
	}{{1, 1, false}, {1, 32, false}, {256, 256, false}, {1, 1, true}, {8, 32, true}, {256, 256, true}} {
		how := "any"
		if c.each {
			how = "each"
		}
		b.Run(fmt.Sprintf("channels=%d/batch=%d/pull=%s", c.channels, c.batch, how), func(b *testing.B) {
			r := newRounds(c.channels, c.batch, c.each)
			b.ReportAllocs()
			for b.Loop() {
				r.turn()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*c.batch), "ns/message")
		})
	}
}
