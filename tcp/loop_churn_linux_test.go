package tcp_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"strait/proto/wire"
	"strait/tcp"
	"strait/transport"
)

// graveyard keeps connections that have ended, and goes on calling them.
type graveyard struct {
	mu    sync.Mutex
	conns []transport.Conn
}

func (g *graveyard) bury(c transport.Conn) {
	g.mu.Lock()
	g.conns = append(g.conns, c)
	g.mu.Unlock()
}

// haunt calls everything of some connections that have ended.
func (g *graveyard) haunt() {
	g.mu.Lock()
	conns := g.conns[max(0, len(g.conns)-16):]
	g.mu.Unlock()
	for _, c := range conns {
		c.Wake()
		c.Ping()
		c.Resume()
		c.Control(transport.ControlGoAway, nil)
		c.Close(transport.Because(transport.Kicked, "after the end"))
		c.Path()
	}
}

// Descriptors and slots are used again and again, in every way in which a
// connection ends, and nobody ever meets another's.
func TestLoopChurn(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		workers, rounds := 6, 30
		if testing.Short() {
			workers, rounds = 4, 10
		}
		s := newSite(t, siteConfig{})
		s.behave = func(e *ear) { e.echo = true }
		dead := &graveyard{}
		var churning, steady sync.WaitGroup
		stop := make(chan struct{})
		for i := range 3 {
			c, _ := s.open()
			steady.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
						m := strings.Repeat(fmt.Sprint(i, "/", n, ";"), 1+n%50)
						_, err := c.Write(data(m))
						if !assert.NoError(t, err) {
							return
						}
						_, got, err := readFrame(c.in)
						if !assert.NoError(t, err) || !assert.Equal(t, m, string(got)) {
							return
						}
					}
				}
			})
		}
		// Which ear belongs to which client is found out by what they say.
		s.behave = func(e *ear) {
			e.echo = true
			churning.Go(func() {
				<-e.gone
				dead.bury(e.conn)
				dead.haunt()
				if len(e.received) > 0 {
					name, _, _ := strings.Cut(e.received[0], " ")
					for i, m := range e.received {
						assert.Equal(t, fmt.Sprint(name, " ", i), m)
					}
				}
			})
			if rand.IntN(4) == 0 {
				churning.Go(func() { e.conn.Close(transport.Because(transport.Kicked, "by lot")) })
			}
		}
		for w := range workers {
			churning.Go(func() {
				for r := range rounds {
					s.shortLife(fmt.Sprint("client-", w, "-", r), r)
				}
			})
		}
		for range workers * rounds {
			s.ear()
		}
		churning.Wait()
		close(stop)
		steady.Wait()
	})
}

// shortLife is a client that says a few things, hears them back unless it is
// closed meanwhile, and leaves in the way of that number.
func (s *site) shortLife(name string, way int) {
	st, err := dial(s.listener.Addr(), clientTLS())
	if !assert.NoError(s.t, err) {
		return
	}
	defer func() { _ = st.Close() }()
	b := clientHello
	const n = 10
	for i := range n {
		b = append(b[:len(b):len(b)], data(fmt.Sprint(name, " ", i))...)
	}
	if _, err := st.Write(b); err != nil {
		return
	}
	for i := -1; i < n; i++ {
		h, got, err := readFrame(st)
		if err != nil || h.Type == wire.Close {
			return
		}
		if i >= 0 {
			assert.Equal(s.t, fmt.Sprint(name, " ", i), string(got))
		}
	}
	switch way % 4 {
	case 0:
		st.Reset()
	case 1:
		_ = st.CloseWrite()
	case 2:
		_, _ = st.Write(goodbye())
		_, _, _ = readFrame(st)
	}
}

// A loop that has ended writes to no descriptor, whoever has its numbers now.
func TestLoopEndedWritesNowhere(t *testing.T) {
	for range 5 {
		l, err := tcp.Listen(t.Context(), "127.0.0.1:0", config(nil))
		require.NoError(t, err)
		conns := make(chan transport.Conn, 8)
		served := make(chan error, 1)
		go func() {
			served <- l.Serve(func(c transport.Conn) (transport.Peer, error) {
				conns <- c
				return newEcho(c), nil
			})
		}()
		var ended []transport.Conn
		for range cap(conns) {
			c, err := dial(l.Addr(), clientTLS())
			require.NoError(t, err)
			roundTrip(t, c, 1)
			require.NoError(t, c.Close())
			ended = append(ended, <-conns)
		}
		require.NoError(t, l.Close())
		<-served
		var counters []int // take the numbers that are free now
		for range 32 {
			fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
			require.NoError(t, err)
			counters = append(counters, fd)
		}
		for _, c := range ended {
			require.True(t, tcp.Moved(c))
			c.Resume()
			c.Close(transport.Reason{})
			c.Wake()
		}
		for _, fd := range counters {
			var b [8]byte
			_, err := unix.Read(fd, b[:])
			assert.ErrorIs(t, err, unix.EAGAIN, "somebody wrote %d", binary.NativeEndian.Uint64(b[:]))
			require.NoError(t, unix.Close(fd))
		}
	}
}
