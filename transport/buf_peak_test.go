package transport_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strait/transport"
)

func TestPoolPeak(t *testing.T) {
	p := transport.NewPool(0, nil)
	a, b := p.Get(1024), p.Get(1024)
	a.Release()
	b.Release()
	require.EqualValues(t, 2048, p.TakePeak())
	require.Zero(t, p.TakePeak())
}
