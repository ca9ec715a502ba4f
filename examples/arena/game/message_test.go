package game_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/examples/arena/game"
)

func TestEveryMessageComesBackAsItWas(t *testing.T) {
	toArena, fromArena := messages(t)
	for _, m := range toArena {
		got, err := game.ParseToArena(m.Append(nil))
		require.NoError(t, err)
		assert.EqualExportedValues(t, m, got)
	}
	for _, m := range fromArena {
		got, err := game.ParseFromArena(m.Append(nil))
		require.NoError(t, err)
		assert.Equal(t, m.Append(nil), got.Append(nil))
	}
}

func TestCutAndLongMessagesAreRefused(t *testing.T) {
	toArena, fromArena := messages(t)
	try := func(m game.Message, parse func([]byte) (game.Message, error)) {
		b := m.Append(nil)
		for n := range b {
			_, err := parse(b[:n])
			require.Error(t, err, "%T cut at %d of %d", m, n, len(b))
		}
		_, err := parse(append(b, 0))
		require.Error(t, err, "%T with a byte too many", m)
	}
	for _, m := range toArena {
		try(m, game.ParseToArena)
	}
	for _, m := range fromArena {
		try(m, game.ParseFromArena)
	}
}

func TestMessagesThatNobodyMeansAreRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"no such kind":            {99},
		"a name of nothing":       {1, 0},
		"a name that is too long": append([]byte{1, 17}, "0123456789abcdefg"...),
		"an escape sequence":      append([]byte{2, 4}, "\x1b[2J"...),
		"a line break":            append([]byte{2, 3}, "a\nb"...),
		"text that is not UTF-8":  {2, 1, 0xff},
		"a fifth direction":       {3, 0, 1, 5, 0},
	} {
		_, err := game.ParseToArena(b)
		assert.Error(t, err, name)
	}
	for name, b := range map[string][]byte{
		"what players send":        {1, 1, 'a'},
		"a player beyond the last": {17, game.MaxPlayers},
		"a maze without cells":     {16, 0, 9},
		"bits after the maze":      {16, 3, 3, 0xff, 0xff},
		"a player who looks nowhere": {32, 0, 0, 0, 1,
			1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0},
		"players out of order": {32, 0, 0, 0, 1,
			2, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0},
		"more players than promised room": {32, 0, 0, 0, 1, 64, 0},
	} {
		_, err := game.ParseFromArena(b)
		assert.Error(t, err, name)
	}
}

// The documented layout, byte for byte.
func TestWireFormat(t *testing.T) {
	assert.Equal(t, []byte{1, 3, 'A', 'd', 'a'}, game.Enter{Name: "Ada"}.Append(nil))
	assert.Equal(t, []byte{3, 0x12, 0x34, 2, 7}, game.Input{Number: 0x1234, Direction: game.Right, Shots: 7}.Append(nil))
	assert.Equal(t, []byte{18, 9, 1, 'x'}, game.Joined{Player: 9, Name: "x"}.Append(nil))
	s := game.Snapshot{
		Step:    0x01020304,
		Players: []game.PlayerView{{ID: 5, At: game.Point{X: 6, Y: 7}, Facing: game.Left, Out: true, Score: 0x0809, Input: 0x0a0b}},
		Shots:   []game.Point{{X: 1, Y: 2}},
		Coins:   []game.Point{{X: 3, Y: 4}, {X: 5, Y: 6}},
	}
	assert.Equal(t, []byte{
		32, 1, 2, 3, 4,
		1, 5, 6, 7, 0x84, 8, 9, 10, 11,
		1, 1, 2,
		2, 3, 4, 5, 6,
	}, s.Append(nil))
}
