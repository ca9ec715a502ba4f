package udp

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/transport"
	"strait/udp/sealed"
)

// prepared returns datagrams of c, each with one message of size bytes, as the
// socket's reader would find them.
func prepared(c *client, n, size int) []datagram {
	m := strings.Repeat("m", size)
	in := make([]datagram, n)
	for i := range in {
		in[i] = datagram{b: bytes.Clone(c.seal(0, uint16(i), m)), remote: unmap(c.local())}
	}
	return in
}

// A message in, or in and out again, allocates nothing. The reader sleeps
// meanwhile: its work is done here.
func TestNoAllocations(t *testing.T) {
	if race {
		t.Skip("with the race detector pools forget on purpose")
	}
	everywhere(t, func(t *testing.T, host string, change func(*Config)) {
		s := newSite(t, host, change)
		for _, echo := range []bool{false, true} {
			p, c := s.open(echo, 0)
			p.mute = !echo
			so := p.lane.(*Lane).socket
			in := prepared(c, 700, 64)
			next := 0
			once := func() {
				so.process(in[next : next+1])
				next++
				for so.writer.Load() != idle {
					runtime.Gosched() // another goroutine writes: its buffers come back soon
				}
			}
			for range 100 {
				once()
			}
			allowed := 0.0
			if so.port.waits() && host == "" && echo {
				allowed = 1 // by package net, which is told what address to send from
			}
			assert.LessOrEqual(t, testing.AllocsPerRun(500, once), allowed, "echo: %v", echo)
		}
	})
}

func BenchmarkPacketIn(b *testing.B) {
	for _, batch := range []int{1, 32} {
		for _, echo := range []bool{false, true} {
			b.Run(fmt.Sprintf("64 bytes/batch %d/echo %v", batch, echo), func(b *testing.B) {
				s := newSite(b, "127.0.0.1", nil)
				p, c := s.open(echo, 0)
				p.mute = !echo
				so := p.lane.(*Lane).socket
				var in []datagram
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					if len(in) < batch {
						b.StopTimer()
						in = prepared(c, 8192, 64)
						b.StartTimer()
					}
					so.process(in[:batch])
					in = in[batch:]
					n += batch
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
			})
		}
	}
}

func BenchmarkFind(b *testing.B) {
	for _, lanes := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprintf("%d lanes", lanes), func(b *testing.B) {
			tb := newTable(DefaultMaxLanes)
			var ids []cid
			for range lanes {
				id, _ := tb.reserve(0)
				tb.put(&Lane{id: id})
				ids = append(ids, id)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if tb.find(ids[i]) == nil {
					b.Fatal("a lane is not found")
				}
				if i++; i == len(ids) {
					i = 0
				}
			}
		})
	}
}

// BenchmarkLaneMemory reports what an unbound and a bound lane hold.
func BenchmarkLaneMemory(b *testing.B) {
	const lanes = 2000
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	for _, bound := range []bool{false, true} {
		b.Run(fmt.Sprintf("bound %v", bound), func(b *testing.B) {
			for b.Loop() {
				s := newSite(b, "127.0.0.1", func(c *Config) { c.HelloRate = 1e6; c.AEADs = []uint32{uint32(sealed.AES128GCM)} })
				p := &peer{pool: s.pool}
				hold := make([]transport.Lane, 0, lanes)
				before := heap()
				for range lanes {
					if bound {
						_, c := s.open(false, 0)
						_ = c.conn.Close()
						continue
					}
					l, _, err := s.sv.Offer(transport.Attachment{AEADs: []uint32{1}, Peer: p})
					require.NoError(b, err)
					hold = append(hold, l)
				}
				b.ReportMetric(float64(heap()-before)/lanes, "B/lane")
				runtime.KeepAlive(hold)
				require.NoError(b, s.sv.Close())
			}
		})
	}
}
