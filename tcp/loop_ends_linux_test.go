package tcp_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/tcp"
	"strait/transport"
)

// ends are the ways in which a client leaves without CLOSE.
var ends = []struct {
	name string
	end  func(t *testing.T, c *caller)
	said bool // with a record of TLS alone
}{
	{"reset", func(_ *testing.T, c *caller) { c.Reset() }, false},
	{"FIN", func(t *testing.T, c *caller) { require.NoError(t, c.raw.CloseWrite()) }, false},
	{"close_notify", func(t *testing.T, c *caller) { require.NoError(t, c.Conn.CloseWrite()) }, true},
	{"close_notify and FIN", func(t *testing.T, c *caller) { require.NoError(t, c.CloseWrite()) }, false},
	{"close_notify and reset", func(t *testing.T, c *caller) { require.NoError(t, c.Conn.CloseWrite()); c.Reset() }, false},
}

// phase is where in its life a connection ends.
type phase struct {
	name string
	// reach brings a new connection there and says what happens after the end.
	reach func(s *site) (c *caller, e *ear, after func())
	lost  bool // it ends as a lost one, else as it began to end before
	// record: a record of TLS is incomplete.
	record bool
}

var phases = []phase{
	{"before CLIENT_HELLO", func(s *site) (*caller, *ear, func()) {
		c, e := s.call()
		return c, e, nil
	}, true, false},
	{"in the middle of CLIENT_HELLO", func(s *site) (*caller, *ear, func()) {
		c, e := s.call()
		c.send(clientHello[:3])
		return c, e, nil
	}, true, false},
	{"before SERVER_HELLO", func(s *site) (*caller, *ear, func()) {
		asked := make(chan struct{})
		s.behave = func(e *ear) { e.hello = func() { close(asked) } }
		c, e := s.call()
		c.send(clientHello)
		s.wait(asked, "CLIENT_HELLO")
		return c, e, e.open
	}, true, false},
	{"open", func(s *site) (*caller, *ear, func()) {
		c, e := s.open()
		return c, e, nil
	}, true, false},
	{"in the middle of a frame", func(s *site) (*caller, *ear, func()) {
		c, e := s.open()
		c.send(data("half a message")[:wire.HeaderLen+3])
		return c, e, nil
	}, true, false},
	{"in the middle of a record", func(s *site) (*caller, *ear, func()) {
		c, e := s.open()
		_, err := c.raw.Write([]byte{recordApplication, 3, 3, 1, 0, 77, 77, 77})
		require.NoError(s.t, err)
		return c, e, nil
	}, true, true},
	{"paused", func(s *site) (*caller, *ear, func()) {
		sh := s.shut()
		c, e := s.open()
		c.send(data("refused at first"))
		s.wait(sh.refused, "a message")
		return c, e, func() {
			sh.let(e)
			require.Equal(s.t, []string{"refused at first"}, e.heard(s.t, 1))
		}
	}, true, false},
	{"blocked", func(s *site) (*caller, *ear, func()) {
		c, e := s.open()
		s.block(e)
		return c, e, nil
	}, true, false},
	{"after the gateway's CLOSE", func(s *site) (*caller, *ear, func()) {
		c, e := s.open()
		e.conn.Close(transport.Because(transport.Kicked, "for a reason"))
		assert.Equal(s.t, transport.Kicked, c.closed())
		return c, e, nil
	}, false, false},
	{"after the client's CLOSE", func(s *site) (*caller, *ear, func()) {
		c, e := s.open()
		c.send(goodbye())
		assert.Equal(s.t, transport.Normal, c.closed())
		return c, e, nil
	}, false, false},
	{"after a breach", func(s *site) (*caller, *ear, func()) {
		c, e := s.open()
		c.send(clientHello)
		assert.Equal(s.t, transport.ProtocolError, c.closed())
		return c, e, nil
	}, false, false},
}

// Whatever a connection is at when its client leaves, its session hears of it once
// and in order, nothing is left of it, and the loop is calm.
func TestLoopEndsAtEachPhase(t *testing.T) {
	for _, p := range phases {
		t.Run(p.name, func(t *testing.T) {
			bothWays(t, func(t *testing.T) {
				s := newSite(t, siteConfig{
					sendBuffer: small.sendBuffer, change: func(c *tcp.Config) { c.Linger = linger / 4 },
				})
				other := s.echoing()
				for _, way := range ends {
					if p.record && way.said {
						continue // it would be taken for the rest of the record
					}
					s.behave = nil
					c, e, after := p.reach(s)
					way.end(t, c)
					if after != nil {
						other.echo(1, "the end has arrived")
						after()
					}
					r := e.ended(t)
					assert.Equal(t, p.lost, r.Lost, "%s: %v", way.name, r)
					if p.lost {
						assert.Equal(t, transport.Normal, r.Code, way.name)
						assert.False(t, r.Remote, way.name)
						assert.NotEmpty(t, r.Text, way.name)
					}
					other.echo(1, "and the others go on")
				}
				s.calm(other)
			})
		})
	}
}

// A client that only half ends what ends anyway makes the loop wait, not turn.
func TestLoopLingersCalmly(t *testing.T) {
	for _, way := range []struct {
		name string
		end  func(t *testing.T, c *caller)
		done bool // nothing is left to wait for
	}{
		{"silent", func(*testing.T, *caller) {}, false},
		{"close_notify", func(t *testing.T, c *caller) { require.NoError(t, c.Conn.CloseWrite()) }, false},
		{"FIN", func(t *testing.T, c *caller) { require.NoError(t, c.raw.CloseWrite()) }, true},
		{"reset", func(_ *testing.T, c *caller) { c.Reset() }, true},
		{"more than is discarded", func(t *testing.T, c *caller) { _, _ = c.raw.Write(make([]byte, 3000)) }, false},
		{"more than is discarded and FIN", func(t *testing.T, c *caller) {
			_, _ = c.raw.Write(make([]byte, 3000))
			require.NoError(t, c.raw.CloseWrite())
		}, false},
		{"more than is discarded and reset", func(t *testing.T, c *caller) {
			_, _ = c.raw.Write(make([]byte, 3000))
			c.Reset()
		}, false},
	} {
		t.Run(way.name, func(t *testing.T) {
			s := newSite(t, siteConfig{change: func(c *tcp.Config) { c.Linger, c.LingerBytes = patience, 1000 }})
			other := s.echoing()
			c, e := s.open()
			e.conn.Close(transport.Because(transport.Kicked, "for a reason"))
			require.Equal(t, transport.Kicked, c.closed())
			s.wait(e.closing, "Closing") // from then on input is discarded
			way.end(t, c)
			s.calm(other)
			if !way.done {
				select {
				case <-e.gone:
					require.Fail(t, "it was not lingered for", "%v %+v", e.reasons, s.listener.Stats())
				default:
				}
				s.listener.Abandon()
			}
			assert.Equal(t, transport.Kicked, e.ended(t).Code)
		})
	}
}
