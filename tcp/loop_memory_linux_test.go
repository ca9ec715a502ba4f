package tcp_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/tcp"
	"strait/transport"
)

// held is what e's connection has of its own once it is idle.
func (s *site) held(e *ear) (ciphertext, plaintext, out int) {
	s.t.Helper()
	s.onLoop(e, func() { ciphertext, plaintext, out = tcp.Held(e.conn) })
	return ciphertext, plaintext, out
}

// A connection that is idle keeps nothing of the longest message that came and went.
func TestLoopIdleHoldsNothing(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := newSite(t, siteConfig{change: huge})
		s.behave = func(e *ear) { e.echo = true }
		c, e := s.open()
		for _, size := range []int{1, 65536, megabyte} {
			c.echo(1, strings.Repeat("x", size))
			ciphertext, plaintext, out := s.held(e)
			if tcp.Lends() {
				assert.Zero(t, ciphertext, "after %d bytes", size)
			}
			assert.Zero(t, plaintext, "after %d bytes", size)
			assert.Zero(t, out, "after %d bytes", size)
			assert.Zero(t, e.conn.Path().Buffered)
		}
		assert.Zero(t, s.pool.Live())
	})
}

// Of many records and the beginning of one, only the beginning is kept.
func TestLoopKeepsOnlyWhatIsIncomplete(t *testing.T) {
	s := newSite(t, siteConfig{change: tickets})
	c, e := s.openCrypt()
	rest := []byte{}
	for i := range 5 {
		b := rest
		for range 3 {
			b = c.out.seal(b, recordApplication, data(strings.Repeat("x", 15000)))
		}
		next := c.out.seal(nil, recordApplication, data("incomplete"))
		c.write(append(b, next[:7]...))
		rest = next[7:]
		e.heard(t, 4*i+3)
		assert.Eventually(t, func() bool {
			ciphertext, _, _ := s.held(e)
			return ciphertext > 0 && ciphertext < 2048
		}, patience, 1)
	}
	c.write(rest)
	e.heard(t, 20)
	ciphertext, _, _ := s.held(e)
	assert.Zero(t, ciphertext)
}

// An ended connection that lingers keeps nothing of what it will not read.
func TestLoopLingersWithoutMemory(t *testing.T) {
	s := newSite(t, siteConfig{change: func(c *tcp.Config) { c.Linger = patience }})
	sh := s.shut()
	c, k := s.corked(-1)
	c.send(clientHello)
	c.serverHello()
	e := s.ear()
	k.stop()
	for range 2 {
		var b []byte // a record; the lane takes fewer messages at a time
		for range 100 {
			b = append(b, data(strings.Repeat("x", 150))...)
		}
		c.send(b)
	}
	k.let(t, len(k.kept))
	s.wait(sh.refused, "a message")
	ciphertext, plaintext, _ := s.held(e)
	assert.NotZero(t, ciphertext)
	assert.NotZero(t, plaintext)
	e.conn.Close(transport.Because(transport.Kicked, "for a reason"))
	require.Equal(t, transport.Kicked, c.closed())
	s.wait(e.closing, "Closing")
	ciphertext, plaintext, _ = s.held(e)
	assert.Zero(t, ciphertext+plaintext)
	assert.Zero(t, s.pool.Live())
	require.NoError(t, c.Close())
	e.ended(t)
}

// An idle connection has no goroutine.
func TestLoopIdleHasNoGoroutine(t *testing.T) {
	clients := 150
	if testing.Short() {
		clients = 50
	}
	s := newSite(t, siteConfig{})
	s.echoing()
	before := runtime.NumGoroutine()
	all := make([]*caller, clients)
	for i := range all {
		all[i] = s.echoing()
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+5 }, patience, 1,
		"goroutines of %d idle connections", clients)
	for _, c := range all {
		c.echo(1, "alive")
		require.NoError(t, c.raw.CloseWrite())
		_, _, err := readFrame(c.in)
		require.Error(t, err)
	}
}
