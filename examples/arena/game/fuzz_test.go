package game_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/examples/arena/game"
)

// messages has one of each kind and, of snapshots, the emptiest and a full one.
func messages(t testing.TB) (toArena, fromArena []game.Message) {
	w := game.NewWorld(1)
	empty := *w.Tick(0)
	full, _ := crowded(t)
	return []game.Message{
			game.Enter{Name: "Ada"},
			game.Say{Text: "gg, Jürgen ♥"},
			game.Input{Number: 65535, Direction: game.Left, Shots: 255},
		}, []game.Message{
			game.Welcome{Grid: *w.Grid()},
			game.You{Player: 3},
			game.Joined{Player: game.MaxPlayers - 1, Name: "0123456789abcdef"},
			game.Gone{Player: 0},
			game.Said{Player: 7, Text: "hi"},
			&empty,
			full.Tick(time.Minute),
		}
}

// fuzz checks that whatever is accepted has exactly one encoding.
func fuzz(f *testing.F, seeds []game.Message, parse func([]byte) (game.Message, error)) {
	for _, m := range seeds {
		f.Add(m.Append(nil))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b)
		if err != nil {
			require.Nil(t, m)
			var refused *game.ParseError
			require.ErrorAs(t, err, &refused)
			return
		}
		require.Equal(t, b, m.Append(nil))
	})
}

func FuzzParseToArena(f *testing.F) {
	seeds, _ := messages(f)
	fuzz(f, seeds, game.ParseToArena)
}

func FuzzParseFromArena(f *testing.F) {
	_, seeds := messages(f)
	fuzz(f, seeds, game.ParseFromArena)
}
