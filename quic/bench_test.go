package quic_test

import (
	"testing"

	"strait/transport"
)

// One 64-byte message there and back at a time, from a client of this module, through
// two QUIC connections' ends in one process: what is compared is the two lanes.
func BenchmarkEcho(b *testing.B) {
	for name, d := range map[string]transport.Delivery{"reliable": reliable, "unreliable": unreliable} {
		b.Run(name+"/64B/batch1", func(b *testing.B) {
			w := start(b, defaultConfig(), func(p *peer) { p.echo = true })
			client, _ := w.pair(clientQUIC())
			payload := string(make([]byte, 64))
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				client.mu.Lock()
				client.got = client.got[:0]
				client.mu.Unlock()
				client.send(d, 1, payload)
				client.await(b, "the echo", func() bool { return len(client.got) > 0 })
				n++
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "echoes/s")
		})
	}
}
