package tcp_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/tcp"
)

func tickets(c *tcp.Config) { c.TLS = noTickets(c.TLS) }

// openCrypt opens a session.
func (s *site) openCrypt() (*crypter, *ear) {
	s.t.Helper()
	c, e := s.crypt()
	c.write(c.out.seal(nil, recordApplication, clientHello))
	h, _, err := readFrame(c)
	require.NoError(s.t, err)
	require.Equal(s.t, wire.ServerHello, h.Type)
	return c, e
}

// rekey sends a KeyUpdate, behind which the client's keys are new.
func (c *crypter) rekey(dst []byte, requested bool) []byte {
	dst = c.out.seal(dst, recordHandshake, keyUpdate(requested))
	c.out.update()
	return dst
}

// The answer to a key update is written by whoever reads, beside the writers, and
// what they write is sealed with the keys of the side of it that it is on.
func TestLoopKeyUpdateBesideWrites(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		const said, asked, every = 3000, 600, 5
		s := newSite(t, siteConfig{change: tickets})
		c, e := s.openCrypt()
		var all sync.WaitGroup
		all.Go(func() {
			for i := range said {
				e.say(fmt.Append(nil, i))
				e.conn.Wake()
			}
		})
		all.Go(func() {
			for range said {
				e.conn.Wake()
			}
		})
		all.Go(func() {
			var b []byte
			for i := range asked {
				b = c.out.seal(b, recordApplication, data(fmt.Sprint(i)))
				if i%every == 0 {
					b = c.rekey(b, true)
				}
				if i%3 == 0 { // some updates come in one segment with what is around them
					_, err := c.raw.Write(b)
					assert.NoError(t, err)
					b = b[:0]
				}
			}
			_, err := c.raw.Write(b)
			assert.NoError(t, err)
		})
		for i := range said {
			_, payload, err := readFrame(c)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(i), string(payload))
		}
		for c.updates < asked/every {
			kind, _, err := c.read()
			require.NoError(t, err)
			require.EqualValues(t, recordHandshake, kind)
		}
		all.Wait()
		for i, m := range e.heard(t, asked) {
			require.Equal(t, fmt.Sprint(i), m)
		}
	})
}

// Nothing else is written that would take the answer along.
func TestLoopKeyUpdateIsAnsweredAtOnce(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := newSite(t, siteConfig{change: tickets})
		s.behave = func(e *ear) { e.echo = true }
		c, _ := s.openCrypt()
		echo := func(payload string) {
			c.write(c.out.seal(nil, recordApplication, data(payload)))
			_, got, err := readFrame(c)
			require.NoError(t, err)
			require.Equal(t, payload, string(got))
		}
		for i := range 5 {
			c.write(c.rekey(nil, true))
			kind, _, err := c.read()
			require.NoError(t, err)
			require.EqualValues(t, recordHandshake, kind)
			require.Equal(t, i+1, c.updates)
			echo("with new keys both ways")
			c.write(c.rekey(nil, false))
			echo("with new keys one way")
			require.Equal(t, i+1, c.updates, "an answer that was not asked for")
		}
	})
}

// The answer waits behind what the socket did not take, in its place.
func TestLoopKeyUpdateWhileBlocked(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := newSite(t, siteConfig{change: tickets, sendBuffer: small.sendBuffer})
		c, e := s.openCrypt()
		said := s.block(e)
		for i := range 10 {
			c.write(c.rekey(c.out.seal(nil, recordApplication, data("before")), true))
			c.write(c.out.seal(nil, recordApplication, data("after")))
			e.heard(t, 2*i+2) // so that it was answered
			e.say([]byte(line(said)))
			e.conn.Wake()
			said++
		}
		for i := range said {
			_, payload, err := readFrame(c)
			require.NoError(t, err)
			require.Equal(t, line(i), string(payload))
		}
		for c.updates < 10 {
			_, _, err := c.read()
			require.NoError(t, err)
		}
	})
}

// An alert of TLS's own says why the connection ends.
func TestLoopSendsAlerts(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := newSite(t, siteConfig{change: tickets})
		c, e := s.openCrypt()
		record := c.out.seal(nil, recordApplication, data("forged"))
		record[len(record)-1] ^= 1
		c.write(record)
		kind, alert, err := c.read()
		require.NoError(t, err)
		require.EqualValues(t, recordAlert, kind)
		require.Equal(t, []byte{2, 20}, alert, "fatal, bad_record_mac")
		require.True(t, e.ended(t).Lost)
		require.Empty(t, e.heard(t, 0))
	})
}
