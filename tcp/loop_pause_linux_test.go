package tcp_test

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/tcp"
	"strait/transport"
)

// shut is a take that refuses everything until it is opened.
type shut struct {
	open    atomic.Bool
	refused chan struct{}
	once    sync.Once
}

func newShut() *shut { return &shut{refused: make(chan struct{})} }

func (s *shut) take(n int) int {
	if s.open.Load() {
		return n
	}
	s.once.Do(func() { close(s.refused) })
	return 0
}

// let opens it and resumes e.
func (s *shut) let(e *ear) {
	s.open.Store(true)
	e.conn.Resume()
}

func (s *site) shut() *shut {
	sh := newShut()
	s.behave = func(e *ear) { e.take = sh.take }
	return sh
}

// A session takes a few messages at a time and is resumed from elsewhere, while
// frames wait in the lane, plaintext behind it, and records behind that.
func TestLoopPausesWithLeftovers(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		messages := numbered(2000)
		var stream []byte
		for _, m := range messages {
			stream = append(stream, data(m)...)
		}
		stream = append(stream, goodbye()...)
		s := newSite(t, siteConfig{})
		resume := make(chan struct{}, 1)
		random := rand.New(rand.NewPCG(1, 2))
		s.behave = func(e *ear) {
			e.take = func(n int) int {
				select {
				case resume <- struct{}{}:
				default:
				}
				return random.IntN(n + 1)
			}
		}
		c, e := s.open()
		s.behave = nil
		other := s.echoing()
		var all sync.WaitGroup
		all.Go(func() {
			for {
				select {
				case <-resume:
					e.conn.Resume()
				case <-e.gone:
					return
				}
			}
		})
		c.send(stream)
		require.NoError(t, c.CloseWrite())
		for range 20 {
			other.echo(1, "not held up")
		}
		assert.Equal(t, messages, e.heard(t, len(messages)))
		_ = c.Close()
		assert.True(t, e.ended(t).Remote, "what came before the end was heard before the end")
		all.Wait()
	})
}

// A Resume that comes before Deliver has returned puts the connection on the run
// list of the next turn: no event comes for what is left over, and others have
// their turn in between.
func TestLoopRunListSharesTurns(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		const n = 3000
		s := newSite(t, siteConfig{})
		s.behave = func(e *ear) {
			e.take = func(int) int { e.conn.Resume(); return 1 }
		}
		c, e := s.open()
		s.behave = nil
		other := s.echoing()
		var stream []byte
		for i := range n {
			stream = append(stream, data(fmt.Sprint(i))...)
		}
		c.send(stream)
		for range 20 {
			other.echo(1, "in between")
		}
		for i, m := range e.heard(t, n) {
			require.Equal(t, fmt.Sprint(i), m)
		}
		s.calm(other)
	})
}

// What was sent before the end is heard, whatever the end and whenever the session
// takes it.
func TestLoopPausedAtTheEnd(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, c *caller){
		"CLOSE":                  func(t *testing.T, c *caller) { c.send(goodbye()) },
		"CLOSE and close_notify": func(t *testing.T, c *caller) { c.send(goodbye()); require.NoError(t, c.Conn.CloseWrite()) },
		"CLOSE and FIN":          func(t *testing.T, c *caller) { c.send(goodbye()); require.NoError(t, c.CloseWrite()) },
		"FIN":                    func(t *testing.T, c *caller) { require.NoError(t, c.raw.CloseWrite()) },
		"close_notify":           func(t *testing.T, c *caller) { require.NoError(t, c.Conn.CloseWrite()) },
		"reset":                  func(_ *testing.T, c *caller) { c.Reset() },
	} {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T) {
				s := newSite(t, siteConfig{})
				other := s.echoing()
				sh := s.shut()
				c, e := s.open()
				messages := numbered(300) // 45 KB: one read takes it all
				var stream []byte
				for _, m := range messages {
					stream = append(stream, data(m)...)
				}
				c.send(stream)
				s.wait(sh.refused, "a message")
				other.echo(1, "after the first read")
				end(t, c)
				s.calm(other)
				assert.Empty(t, e.heard(t, 0))
				sh.let(e)
				got := e.heard(t, len(messages))
				_ = c.Close()
				r := e.ended(t)
				assert.Equal(t, messages, got)
				assert.Equal(t, strings.HasPrefix(name, "CLOSE"), r.Remote, "%v", r)
				assert.NotEqual(t, r.Remote, r.Lost)
			})
		})
	}
}

// Everything and the end come in one segment: TLS knows of the end when the session
// has taken nothing yet, and TLS 1.2, whose alerts are known from outside, says so
// together with what came before it.
func TestLoopPausedBeforeTheEnd(t *testing.T) {
	messages := numbered(100)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, remote := range []bool{true, false} {
			bothWays(t, func(t *testing.T) {
				s := newSite(t, siteConfig{change: func(c *tcp.Config) { c.TLS.MinVersion = tls.VersionTLS12 }})
				s.version = version
				sh := s.shut()
				c, k := s.corked(-1)
				k.stop()
				c.send(clientHello)
				var rest []byte
				for _, m := range messages {
					rest = append(rest, data(m)...)
				}
				if remote {
					rest = append(rest, goodbye()...)
				}
				c.send(rest)
				require.NoError(t, c.Conn.CloseWrite())
				k.let(t, len(k.kept))
				e := s.ear()
				s.wait(sh.refused, "a message")
				require.NoError(t, c.raw.CloseWrite())
				sh.let(e)
				assert.Equal(t, messages, e.heard(t, len(messages)))
				r := e.ended(t)
				assert.Equal(t, remote, r.Remote, "%v", r)
				assert.NotEqual(t, remote, r.Lost, "%v", r)
			})
		}
	}
}

// Writing to a client that is gone fails, but what he said last is still there.
func TestLoopPausedWhileWritingFails(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := newSite(t, siteConfig{})
		other := s.echoing()
		sh := s.shut()
		c, e := s.open()
		messages := numbered(100)
		c.send(data(messages[0]))
		s.wait(sh.refused, "a message")
		var rest []byte // stays in the socket
		for _, m := range messages[1:] {
			rest = append(rest, data(m)...)
		}
		c.send(append(rest, goodbye()...))
		other.echo(1, "it has arrived")
		c.Reset()
		require.Eventually(t, func() bool {
			e.say([]byte("are you there?"))
			e.conn.Wake()
			return tcp.Broken(e.conn)
		}, patience, 1)
		s.calm(other)
		sh.let(e)
		assert.Equal(t, messages, e.heard(t, len(messages)))
		assert.True(t, e.ended(t).Remote)
	})
}

// A paused connection may be closed, by its session and with its listener.
func TestLoopClosesPaused(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := newSite(t, siteConfig{})
		sh := s.shut()
		c, e := s.open()
		d, f := s.open()
		c.send(data("refused"))
		d.send(data("refused, too"))
		s.wait(sh.refused, "a message")
		e.conn.Close(transport.Because(transport.Kicked, "for a reason"))
		assert.Equal(t, transport.Kicked, c.closed())
		require.NoError(t, c.Close())
		assert.Equal(t, transport.Kicked, e.ended(t).Code)
		closed := make(chan struct{})
		go func() { defer close(closed); assert.NoError(t, s.listener.Close()) }()
		assert.Equal(t, transport.Draining, d.closed())
		require.NoError(t, d.Close())
		assert.Equal(t, transport.Draining, f.ended(t).Code)
		s.wait(closed, "Close")
	})
}
