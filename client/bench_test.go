package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/client/clienttest"
	"strait/transport"
)

// BenchmarkRoundTrip is one 64-byte message at a time to an echo on loopback and
// back: client, both ends of the encryption and the test gateway together.
func BenchmarkRoundTrip(b *testing.B) {
	for _, way := range []struct {
		name      string
		transport client.Transport
		delivery  transport.Delivery
	}{
		{"tcp", client.TCP, client.Reliable},
		{"quic stream", client.QUIC, client.Reliable},
		{"quic datagram", client.QUIC, client.Unreliable},
		{"sealed", client.TCPUDP, client.Unreliable},
	} {
		b.Run(way.name, func(b *testing.B) {
			g := startBoth(b, clienttest.Config{UDP: true})
			c := dial(b, g, client.Options{Transport: way.transport})
			require.Eventually(b, func() bool {
				return way.transport != client.TCPUDP || c.Info().Lane.Bound
			}, patience, time.Millisecond)
			ctx := context.Background()
			payload := make([]byte, 64)
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, c.Send(ctx, way.delivery, 0, payload))
				_, err := c.Receive(ctx)
				require.NoError(b, err)
			}
		})
	}
}
