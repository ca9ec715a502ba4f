package client_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/client/clienttest"
)

// BenchmarkRoundTrip is one 64-byte message at a time to an echo on loopback and
// back: client, both TLS ends and the test gateway together.
func BenchmarkRoundTrip(b *testing.B) {
	c := dial(b, startGateway(b, clienttest.Config{}), client.Options{})
	ctx := context.Background()
	payload := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, c.Send(ctx, client.Reliable, 0, payload))
		_, err := c.Receive(ctx)
		require.NoError(b, err)
	}
}
