package frames_test

import (
	"bytes"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/internal/frames"
	"strait/proto/batch"
)

// stream puts batches one behind the other, each filled with its number.
func stream(sizes ...int) (b []byte) {
	for i, n := range sizes {
		b = append(batch.AppendLength(b, n), bytes.Repeat([]byte{byte(i)}, n)...)
	}
	return b
}

func TestReader(t *testing.T) {
	sizes := []int{0, 1, 64 << 10, 64<<10 - 4, 64<<10 + 1, 3, batch.MaxBatch, 70000, 0, 9}
	for name, r := range map[string]io.Reader{
		"whole":       bytes.NewReader(stream(sizes...)),
		"in halves":   iotest.HalfReader(bytes.NewReader(stream(sizes...))),
		"end of file": iotest.DataErrReader(bytes.NewReader(stream(sizes...))),
	} {
		in := frames.NewReader(r)
		for i, n := range sizes {
			b, err := in.Next()
			require.NoError(t, err, "%s: batch %d", name, i)
			require.True(t, bytes.Equal(bytes.Repeat([]byte{byte(i)}, n), b), "%s: batch %d", name, i)
		}
		_, err := in.Next()
		assert.Equal(t, io.EOF, err, name)
	}
}

func TestReaderOfWhatIsCut(t *testing.T) {
	for _, long := range []int{9, 100_000} {
		whole := stream(long)
		for _, n := range []int{1, 3, 4, 5, len(whole) - 1} {
			_, err := frames.NewReader(bytes.NewReader(whole[:n])).Next()
			assert.Equal(t, io.ErrUnexpectedEOF, err, "%d of %d bytes", n, len(whole))
		}
	}
	_, err := frames.NewReader(iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(stream(9))))).Next()
	assert.Equal(t, iotest.ErrTimeout, err, "the stream's own errors are handed on")
	_, err = frames.NewReader(bytes.NewReader([]byte{0, 0x40, 0, 1})).Next()
	var size *batch.SizeError
	assert.ErrorAs(t, err, &size)
}

// A length alone, however large, costs nothing.
func TestPromisesAllocateNothing(t *testing.T) {
	in := frames.NewReader(bytes.NewReader(batch.AppendLength(nil, batch.MaxBatch)))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := in.Next()
	runtime.ReadMemStats(&after)
	assert.Equal(t, io.ErrUnexpectedEOF, err)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<10))
}
