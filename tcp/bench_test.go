package tcp_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// One 64-byte message there and back over TLS on loopback, client included, one
// at a time: latency and the allocations of both ends.
func BenchmarkRoundTrip64(b *testing.B) {
	l := serve(b, nil)
	s, err := dial(l.Addr(), clientTLS())
	require.NoError(b, err)
	roundTrip(b, s, 100)
	p := newPing()
	b.ReportAllocs()
	b.SetBytes(2 * 64)
	for b.Loop() {
		if err := p.once(s); err != nil {
			b.Fatal(err)
		}
	}
	require.NoError(b, s.Close())
}
