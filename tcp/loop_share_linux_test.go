package tcp_test

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/tcp"
)

const megabyte = 1 << 20

func huge(c *tcp.Config) { c.MaxMessage = megabyte }

// A message of the greatest length arrives in pieces, and those of others in
// between do not wait for it.
func TestLoopHugeAmongSmall(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := newSite(t, siteConfig{change: huge})
		var small []*caller
		for range 5 {
			small = append(small, s.echoing())
		}
		s.behave = func(e *ear) { e.echo = true }
		c, e := s.open()
		message := bytes.Repeat([]byte("0123456789abcdef"), megabyte/16)
		frame := wire.AppendFrame(nil, wire.Data, 1, message)
		for len(frame) > 0 {
			n := min(len(frame), 150_000)
			c.send(frame[:n])
			frame = frame[n:]
			for _, o := range small {
				o.echo(1, "while it comes")
			}
			if len(frame) > 0 {
				require.Empty(t, e.heard(t, 0), "it is not there yet")
			}
		}
		require.Equal(t, string(message), e.heard(t, 1)[0])
		require.Equal(t, string(message), string(c.next(wire.Data)))
	})
}

// One who sends as fast as he can has his turn, and so have the others: each of
// their echoes comes back while he goes on.
func TestLoopFloodAmongSmall(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := newSite(t, siteConfig{change: huge})
		small := []*caller{s.echoing(), s.echoing(), s.echoing()}
		flood, e := s.open()
		var stop atomic.Bool
		var flooding sync.WaitGroup
		frame := wire.AppendFrame(nil, wire.Data, 1, make([]byte, megabyte))
		flooding.Go(func() {
			for !stop.Load() {
				_, err := flood.Write(frame)
				if !assert.NoError(t, err) {
					return
				}
			}
		})
		e.heard(t, 1)
		for range 50 {
			for _, c := range small {
				c.echo(1, "in between")
			}
		}
		before := len(e.heard(t, 0))
		e.heard(t, before+1)
		stop.Store(true)
		flooding.Wait()
	})
}
