package transport_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"strait/transport"
)

func TestSparing(t *testing.T) {
	var s transport.Sparing
	now := time.Unix(1_000_000, 0)
	lines := func(tries int) (written, kept int) {
		for range tries {
			if k, ok := s.Allow(now); ok {
				written++
				kept += k
			}
		}
		return written, kept
	}
	written, kept := lines(1000)
	assert.Equal(t, 20, written, "at once")
	assert.Zero(t, kept)

	now = now.Add(999 * time.Millisecond)
	written, _ = lines(1000)
	assert.Zero(t, written)

	now = now.Add(time.Millisecond)
	written, kept = lines(1000)
	assert.Equal(t, 1, written, "after a second")
	assert.Equal(t, 1980, kept, "what was kept back is told with the next line")

	now = now.Add(time.Hour)
	written, kept = lines(1000)
	assert.Equal(t, 20, written, "a quiet hour gives no more than the burst")
	assert.Equal(t, 999, kept)
}
