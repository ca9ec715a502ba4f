package tcp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/tcp"
	"strait/transport"
)

// small makes the gateway's sockets full soon.
var small = siteConfig{sendBuffer: 128 << 10}

// line is the i-th of what block queues.
func line(i int) string { return fmt.Sprint(i, strings.Repeat("=", 60000)) }

// block queues lines until the socket is full, and more than the two ends of a
// connection of a small site hold.
func (s *site) block(e *ear) (said int) {
	for more := 20; more > 0; said++ {
		if tcp.Blocked(e.conn) {
			more--
		}
		e.say([]byte(line(said)))
		e.conn.Wake()
	}
	return said
}

// The loop goes on where the socket was full, in order and with everything once,
// and does not turn for it meanwhile.
func TestLoopGoesOnWhenTheSocketIsNotFull(t *testing.T) {
	s := newSite(t, small)
	other := s.echoing()
	c, e := s.open()
	for range 3 {
		said := s.block(e)
		s.calm(other)
		require.True(t, tcp.Blocked(e.conn))
		for i := range said {
			require.Equal(t, line(i), string(c.next(wire.Data)))
		}
		require.Eventually(t, func() bool { return !tcp.Blocked(e.conn) }, patience, 1)
		e.say([]byte("a last word")) // and nothing is left behind it
		e.conn.Wake()
		require.Equal(t, "a last word", string(c.next(wire.Data)))
		s.calm(other)
	}
	c.send(data("heard"))
	e.heard(t, 1)
}

// A client is read from while he does not read, and the other way round.
func TestLoopReadsWhileBlocked(t *testing.T) {
	s := newSite(t, small)
	c, e := s.open()
	said := s.block(e)
	for i := range 200 {
		c.send(data(fmt.Sprint(i)))
	}
	e.heard(t, 200)
	require.True(t, tcp.Blocked(e.conn))
	for i := range said {
		require.Equal(t, line(i), string(c.next(wire.Data)))
	}
}

func TestLoopClosesWhileBlocked(t *testing.T) {
	kicked := transport.Because(transport.Kicked, "for a reason")
	t.Run("a client who reads on", func(t *testing.T) {
		sc := small
		sc.change = func(c *tcp.Config) { c.Linger = patience }
		s := newSite(t, sc)
		other := s.echoing()
		c, e := s.open()
		said := s.block(e)
		e.conn.Close(kicked)
		s.wait(e.closing, "Closing, for which nothing has to be written")
		s.calm(other)
		for i := range said {
			require.Equal(t, line(i), string(c.next(wire.Data)))
		}
		assert.Equal(t, transport.Kicked, c.closed())
		s.calm(other)
		require.NoError(t, c.Close())
		assert.Equal(t, kicked, e.ended(t))
		assert.EqualValues(t, 1, s.listener.Stats().Lingered)
	})
	t.Run("a client who does not", func(t *testing.T) {
		s := newSite(t, small)
		_, e := s.open()
		s.block(e)
		e.conn.Close(kicked)
		assert.Equal(t, kicked, e.ended(t))
		assert.EqualValues(t, 1, s.listener.Stats().Forced)
	})
	t.Run("a client who ended his side", func(t *testing.T) {
		sc := small
		sc.change = func(c *tcp.Config) { c.Linger = patience }
		s := newSite(t, sc)
		other := s.echoing()
		c, e := s.open()
		said := s.block(e)
		c.send(goodbye())
		require.NoError(t, c.CloseWrite())
		s.wait(e.closing, "Closing")
		s.calm(other)
		for i := range said {
			require.Equal(t, line(i), string(c.next(wire.Data)))
		}
		assert.Equal(t, transport.Normal, c.closed())
		assert.True(t, e.ended(t).Remote)
	})
	t.Run("a client who resets", func(t *testing.T) {
		sc := small
		sc.change = func(c *tcp.Config) { c.Linger = patience }
		s := newSite(t, sc)
		other := s.echoing()
		c, e := s.open()
		s.block(e)
		e.conn.Close(kicked)
		s.wait(e.closing, "Closing")
		c.Reset()
		assert.Equal(t, kicked, e.ended(t))
		s.calm(other)
		assert.EqualValues(t, 1, s.listener.Stats().Forced)
	})
	t.Run("too slow", func(t *testing.T) {
		s := newSite(t, small)
		c, e := s.open()
		s.block(e)
		e.conn.Close(transport.Because(transport.TooSlow, "read faster"))
		assert.Equal(t, transport.TooSlow, e.ended(t).Code)
		_ = c.Close()
	})
}

// A reset is noticed though nobody asked for input, and frees everything.
func TestLoopPausedAndBlockedIsReset(t *testing.T) {
	s := newSite(t, small)
	other := s.echoing()
	sh := s.shut()
	c, e := s.open()
	c.send(data("refused"))
	s.wait(sh.refused, "a message")
	s.block(e)
	c.Reset()
	require.Eventually(t, func() bool { return tcp.Broken(e.conn) }, patience, 1)
	s.calm(other)
	sh.let(e)
	assert.True(t, e.ended(t).Lost)
	assert.Equal(t, []string{"refused"}, e.heard(t, 1))
}
