//go:build !race

package tcp_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A message there and back allocates nothing in steady state. The client seals and
// opens its records in place, so that nothing that is counted is its own. With the
// race detector sync.Pool forgets on purpose what it was given.
func TestLoopAllocatesNothing(t *testing.T) {
	s := newSite(t, siteConfig{change: tickets})
	s.behave = func(e *ear) { e.echo, e.deaf = true, true }
	c, _ := s.openCrypt()
	for _, size := range []int{16, 64, 1000, 16000} {
		message := data(string(make([]byte, size)))
		record := make([]byte, 0, len(message)+64)
		back := make([]byte, len(message))
		once := func() {
			record = c.out.seal(record[:0], recordApplication, message)
			_, err := c.raw.Write(record)
			if err == nil {
				_, err = io.ReadFull(c, back)
			}
			if err != nil {
				panic(err)
			}
		}
		for range 100 {
			once()
		}
		assert.Zero(t, testing.AllocsPerRun(500, once), "%d bytes", size)
	}
}
