package sealed_test

import (
	"testing"

	"strait/udp/sealed"
)

// A packet with one message of 64 bytes each way, batch 1: two packets sealed, opened,
// checked against the window and their frames handed on.
func BenchmarkTurn64(b *testing.B) {
	for _, a := range []sealed.AEAD{sealed.AES128GCM, sealed.ChaCha20Poly1305} {
		b.Run(a.String(), func(b *testing.B) {
			// One epoch's packets are too few for a benchmark: bind again and again.
			p := newPair(b, setup{aead: a}).bind()
			buf, message := make([]byte, sealed.MaxPacket), make([]byte, 64)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if n++; n == 1<<21 {
					b.StopTimer()
					p, n = newPair(b, setup{aead: a}).bind(), 0
					b.StartTimer()
				}
				turn(b, p, buf, message)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(2*b.N), "ns/packet")
		})
	}
}
