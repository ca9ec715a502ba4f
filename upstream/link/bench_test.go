package link_test

import (
	"fmt"
	"testing"

	"strait/backend"
	"strait/transport"
	"strait/upstream"
	"strait/upstream/remote"
	"strait/upstream/upstreamtest"
)

// BenchmarkEcho is the way of 64-byte messages through the pool to a Go backend
// over a Unix socket and back to their sessions, in batches as the dispatcher
// delivers them.
func BenchmarkEcho(b *testing.B) {
	for _, size := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			g := upstreamtest.NewGateway(b, 1)
			l, url := unixListener(b)
			serve(b, l, backend.Funcs{OnMessage: func(s *backend.Session, m backend.Message) {
				_ = s.Send(m.Delivery, m.Channel, m.Payload)
			}}, backend.Config{Name: "echo"})
			p := attach(b, g, remote.Config{Backends: []string{url}, Streams: 1})
			var sessions []*upstreamtest.Session
			for range 64 {
				s := g.Open(upstream.Announcement{})
				s.Discard()
				sessions = append(sessions, s)
			}
			g.Settle()
			last := sessions[len(sessions)-1]
			batch := make([]upstream.Event, size)
			payload := make([]byte, 64)
			// Wait for the echo of what was sent a window ago, so that queues stay short.
			const window = 4096
			sent := 0
			b.ReportAllocs()
			for b.Loop() {
				for i := range batch {
					batch[i] = sessions[sent%len(sessions)].BytesEvent(transport.Reliable, 0, payload)
					sent++
				}
				p.Deliver(0, batch)
				if behind := (sent - window) / len(sessions); behind > 0 && sent%512 < size {
					last.AwaitDiscarded(behind)
				}
			}
			last.AwaitDiscarded(sent / len(sessions))
			b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
