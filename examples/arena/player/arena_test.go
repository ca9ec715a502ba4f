package main

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/client"
	"strait/client/clienttest"
	"strait/examples/arena/game"
	"strait/transport"
)

// patience bounds waits for what happens soon on a machine that is not overloaded.
const patience = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// arena is the real world behind a gateway for tests.
type arena struct {
	*clienttest.Gateway
	began time.Time
	mute  bool // no snapshots

	mu      sync.Mutex
	world   *game.World
	players map[*clienttest.Session]game.ID
	names   map[game.ID]string
}

func startArena(t *testing.T, mute bool) *arena {
	t.Helper()
	a := &arena{
		began: time.Now(), mute: mute, world: game.NewWorld(9),
		players: make(map[*clienttest.Session]game.ID), names: make(map[game.ID]string),
	}
	g, err := clienttest.New(clienttest.Config{Opened: a.opened, Message: a.message})
	require.NoError(t, err)
	a.Gateway = g
	t.Cleanup(func() { _ = g.Close() })
	return a
}

func (a *arena) opened(s *clienttest.Session) {
	a.mu.Lock()
	s.Send(client.Reliable, game.Control, game.Welcome{Grid: *a.world.Grid()}.Append(nil))
	a.mu.Unlock()
	tick := time.NewTicker(time.Second / game.StepsPerSecond)
	defer tick.Stop()
	for !a.mute {
		select {
		case <-s.Done():
			return
		case <-tick.C:
			a.mu.Lock()
			s.Send(client.Unreliable, game.State, a.world.Tick(time.Since(a.began)).Append(nil))
			a.mu.Unlock()
		}
	}
}

func (a *arena) message(s *clienttest.Session, _ transport.Delivery, _ uint8, b []byte) {
	m, err := game.ParseToArena(b)
	if err != nil {
		s.Close(transport.Because(transport.ProtocolError, "%v", err))
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch m := m.(type) {
	case game.Enter:
		id, _ := a.world.Enter()
		a.players[s], a.names[id] = id, m.Name
		for id, name := range a.names {
			for other := range a.players {
				other.Send(client.Reliable, game.Control, game.Joined{Player: id, Name: name}.Append(nil))
			}
		}
		s.Send(client.Reliable, game.Control, game.You{Player: id}.Append(nil))
	case game.Input:
		a.world.Apply(a.players[s], m)
	case game.Say:
		for other := range a.players {
			other.Send(client.Reliable, game.Control, game.Said{Player: a.players[s], Text: m.Text}.Append(nil))
		}
	}
}
