package quic_test

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/quic"
	"strait/transport"
)

// shard is a dispatcher's: it notes what was delivered before each end of a turn.
type shard struct {
	refuse bool

	mu     sync.Mutex
	inTurn map[int]bool // by number
	ends   int
	wrong  []string
}

func (s *shard) BeginTurn(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse || s.inTurn[n] {
		return false
	}
	s.inTurn[n] = true
	return true
}

func (s *shard) EndTurn(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.inTurn[n] {
		s.wrong = append(s.wrong, "the end of a turn that was not begun")
	}
	delete(s.inTurn, n)
	s.ends++
}

// Messages of every lane are delivered in turns of the session's shard, and also when a
// turn is refused.
func TestTurns(t *testing.T) {
	for name, refuse := range map[string]bool{"granted": false, "refused": true} {
		t.Run(name, func(t *testing.T) {
			w := start(t, defaultConfig(), nil)
			c := defaultConfig()
			c.Pool = w.pool
			l, err := quic.Listen(t.Context(), "127.0.0.1:0", c)
			require.NoError(t, err)
			turns := &shard{refuse: refuse, inTurn: make(map[int]bool)}
			l.SetTurns(turns)
			served := w.serve(l)
			end, err := newSocket()
			require.NoError(t, err)
			client := w.clientFrom(end, l.Addr(), clientQUIC())
			gateway := w.peer()
			n, ok := gateway.conn.(transport.Looped).Loop()
			assert.True(t, ok)
			assert.GreaterOrEqual(t, n, 0)
			const each = 20
			for range each {
				client.ping(t, gateway, 1, 0, 7)
			}
			client.conn.Close(closing)
			gateway.ended(t)
			require.NoError(t, l.Close())
			require.ErrorIs(t, <-served, net.ErrClosed)
			assert.Empty(t, turns.wrong)
			assert.Empty(t, turns.inTurn, "a turn that did not end")
			if refuse {
				assert.Zero(t, turns.ends)
			} else {
				assert.Positive(t, turns.ends)
			}
		})
	}
}
