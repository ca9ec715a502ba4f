package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/examples/arena/game"
)

// A bot without a network must make points in the real world.
func TestTheBotFindsCoins(t *testing.T) {
	w := game.NewWorld(2)
	id, _ := w.Enter()
	in := game.Input{}
	var me *game.PlayerView
	for i := range 20 * game.StepsPerSecond {
		s := w.Tick(time.Duration(i) * time.Second / game.StepsPerSecond)
		me = s.Player(id)
		require.NotNil(t, me)
		in.Number++
		in.Direction, _ = decide(w.Grid(), s, me)
		w.Apply(id, in)
	}
	assert.Greater(t, me.Score, uint16(10))
}

func TestTheBotShootsAtWhomItSees(t *testing.T) {
	g := game.NewWorld(2).Grid()
	me := &game.PlayerView{ID: 1, At: game.Point{X: 1, Y: 1}, Facing: game.Right}
	other := game.PlayerView{ID: 2, At: game.Point{X: 9, Y: 1}}
	s := &game.Snapshot{Players: []game.PlayerView{*me, other}}
	d, shoot := decide(g, s, me)
	assert.True(t, shoot)
	assert.Equal(t, game.Right, d, "without coins it goes where others are")

	s.Players[1].Out = true
	d, shoot = decide(g, s, me)
	assert.False(t, shoot)
	assert.Equal(t, game.Stop, d)

	s.Players[1].Out = false
	me.Facing = game.Down
	_, shoot = decide(g, s, me)
	assert.False(t, shoot, "it looks elsewhere")
}
