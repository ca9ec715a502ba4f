package batch_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/batch"
)

func TestLength(t *testing.T) {
	require.Equal(t, []byte{0xAA, 0, 1, 2, 3}, batch.AppendLength([]byte{0xAA}, 0x010203))
	for _, n := range []int{0, 1, 65536, batch.MaxBatch} {
		got, err := batch.ParseLength([4]byte(batch.AppendLength(nil, n)))
		require.NoError(t, err)
		require.EqualValues(t, n, got)
	}
}

func TestLengthAboveTheLimit(t *testing.T) {
	for _, c := range []struct {
		in   [4]byte
		size uint64
	}{{[4]byte{0, 0x40, 0, 1}, batch.MaxBatch + 1}, {[4]byte{0xFF, 0xFF, 0xFF, 0xFF}, 1<<32 - 1}} {
		_, err := batch.ParseLength(c.in)
		var e *batch.SizeError
		require.ErrorAs(t, err, &e)
		assert.Equal(t, c.size, e.Size)
		assert.Contains(t, err.Error(), "limit of 4194304")
	}
	require.Panics(t, func() { batch.AppendLength(nil, batch.MaxBatch+1) })
	require.Panics(t, func() { batch.AppendLength(nil, -1) })
	require.Panics(t, func() { batch.PutLength(make([]byte, 3), 1) })
}
