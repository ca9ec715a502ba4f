package upstream_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/transport"
	"strait/upstream"
)

// session counts what the gate and the events do to it.
type session struct {
	upstream.Session
	resumed  atomic.Int32
	consumed atomic.Int32
	onResume func()
}

func (s *session) ResumeReading() {
	s.resumed.Add(1)
	if s.onResume != nil {
		s.onResume()
	}
}

func (s *session) Consumed(n int) { s.consumed.Add(int32(n)) }

func TestGate(t *testing.T) {
	var g upstream.Gate
	s := new(session)
	require.True(t, g.Pass(s))
	require.False(t, g.IsShut())
	g.Open() // it is
	require.Zero(t, s.resumed.Load())

	g.Shut()
	require.True(t, g.IsShut())
	require.False(t, g.Pass(s))
	require.Zero(t, s.resumed.Load())
	// Who is resumed may come again at once, and may shut the gate again.
	s.onResume = func() {
		assert.True(t, g.Pass(s))
		g.Shut()
		assert.False(t, g.Pass(s))
	}
	g.Open()
	require.EqualValues(t, 1, s.resumed.Load())
	s.onResume = nil
	g.Open()
	require.EqualValues(t, 2, s.resumed.Load())
	require.True(t, g.Pass(s))
}

// TestGateForgetsNobody races sessions that are refused against the opening.
func TestGateForgetsNobody(t *testing.T) {
	rounds := 2000
	if testing.Short() {
		rounds = 200
	}
	for range rounds {
		var g upstream.Gate
		g.Shut()
		var refused, resumed atomic.Int32
		var wg sync.WaitGroup
		for range 4 {
			s := &session{onResume: func() { resumed.Add(1) }}
			wg.Go(func() {
				if !g.Pass(s) {
					refused.Add(1)
				}
			})
		}
		wg.Go(g.Open)
		wg.Wait()
		require.Equal(t, refused.Load(), resumed.Load())
	}
}

func TestSlot(t *testing.T) {
	var s upstream.Slot
	require.Nil(t, s.Gate())
	g := new(upstream.Gate)
	s.SetGate(g)
	require.Same(t, g, s.Gate())
	s.SetGate(nil)
	require.Nil(t, s.Gate())

	require.True(t, s.Touch(1))
	require.False(t, s.Touch(1))
	require.True(t, s.Touch(2))
	require.True(t, s.Touch(1))
}

func TestEventRelease(t *testing.T) {
	p := transport.NewPool(0, nil)
	s := new(session)
	e := upstream.Event{Session: s, Kind: upstream.Message, Message: transport.Message{Buf: p.Copy([]byte("four"))}}
	e.Release()
	require.Zero(t, p.Live())
	require.EqualValues(t, 4, s.consumed.Load())
	e.Release() // nothing left
	require.EqualValues(t, 4, s.consumed.Load())
	(&upstream.Event{Session: s, Kind: upstream.Opened}).Release()
}

func TestEveryDropHasAName(t *testing.T) {
	seen := make(map[string]bool)
	for d := range upstream.Drops {
		name := upstream.Drop(d).String()
		require.NotEmpty(t, name)
		require.Regexp(t, "^[a-z_]+$", name)
		require.False(t, seen[name], name)
		seen[name] = true
	}
}
