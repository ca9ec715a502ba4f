package game_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/examples/arena/game"
)

// clock makes one step of a world at a time.
type clock struct {
	world *game.World
	steps int64
}

func (c *clock) step() *game.Snapshot {
	c.steps++
	return c.world.Tick(time.Duration(c.steps)*time.Second/game.StepsPerSecond + time.Microsecond)
}

// until steps until ok, and fails after a minute of the game.
func (c *clock) until(t testing.TB, ok func(*game.Snapshot) bool) *game.Snapshot {
	t.Helper()
	for range 60 * game.StepsPerSecond {
		if s := c.step(); ok(s) {
			return s
		}
	}
	require.FailNow(t, "it did not happen within a minute")
	return nil
}

// crowded is a world with everybody in it who all shoot at once, as often as they
// can.
func crowded(t testing.TB) (*game.World, *clock) {
	w := game.NewWorld(7)
	c := &clock{world: w}
	for range game.MaxPlayers {
		_, ok := w.Enter()
		require.True(t, ok)
	}
	for i := range uint16(300) {
		for id := range game.ID(game.MaxPlayers) {
			w.Apply(id, game.Input{Number: i + 1, Direction: game.Direction(int(i/20+uint16(id))%4 + 1), Shots: uint8(i)})
		}
		c.step()
	}
	return w, c
}

func TestTheSameCallsMakeTheSameWorld(t *testing.T) {
	a, ca := crowded(t)
	b, cb := crowded(t)
	for range 100 {
		require.Equal(t, ca.step().Append(nil), cb.step().Append(nil))
	}
	assert.Equal(t, a.Players(), b.Players())
}

func TestSnapshotsOfAFullArenaFit(t *testing.T) {
	_, c := crowded(t)
	longest, coins := 0, 0
	for range 500 {
		s := c.step()
		longest, coins = max(longest, len(s.Append(nil))), max(coins, len(s.Coins))
	}
	assert.LessOrEqual(t, longest, game.MaxSnapshot)
	assert.LessOrEqual(t, game.MaxSnapshot, 1100)
	assert.Greater(t, longest, game.MaxPlayers*8, "the crowd was not there")
	assert.Positive(t, coins)
}

func TestTheArenaIsFullAtMaxPlayers(t *testing.T) {
	w, c := crowded(t)
	_, ok := w.Enter()
	assert.False(t, ok)
	w.Leave(5)
	assert.Nil(t, c.step().Player(5))
	id, ok := w.Enter()
	assert.True(t, ok)
	assert.Equal(t, game.ID(5), id)
	p := c.step().Player(5)
	require.NotNil(t, p)
	assert.Zero(t, p.Score, "a new player begins at 0")
	assert.Equal(t, game.MaxPlayers, w.Players())
}

func TestEveryOpenCellCanBeReached(t *testing.T) {
	g := game.NewWorld(1).Grid()
	var open []game.Point
	for y := range g.Height {
		for x := range g.Width {
			p := game.Point{X: x, Y: y}
			if !g.Wall(p) {
				open = append(open, p)
			}
		}
	}
	for i := range g.Width {
		assert.True(t, g.Wall(game.Point{X: i}) && g.Wall(game.Point{X: i, Y: g.Height - 1}), "a hole in the border")
	}
	for i := range g.Height {
		assert.True(t, g.Wall(game.Point{Y: i}) && g.Wall(game.Point{X: g.Width - 1, Y: i}), "a hole in the border")
	}
	seen := map[game.Point]bool{open[0]: true}
	for queue := open[:1]; len(queue) > 0; queue = queue[1:] {
		for d := game.Up; d <= game.Left; d++ {
			if next := queue[0].Next(d); !g.Wall(next) && !seen[next] {
				seen[next] = true
				queue = append(queue[:len(queue):len(queue)], next)
			}
		}
	}
	assert.Len(t, seen, len(open))
	assert.Greater(t, len(open), game.MaxPlayers+64, "there must be room for everybody and everything")
}

func TestAPlayerRunsUntilTheWallAndNeverThroughIt(t *testing.T) {
	w := game.NewWorld(3)
	c := &clock{world: w}
	id, _ := w.Enter()
	before := c.step().Player(id).At
	number := uint16(0)
	moved := false
	for i := range 2000 {
		if i%50 == 0 {
			number++
			w.Apply(id, game.Input{Number: number, Direction: game.Direction(i/50%4 + 1)})
		}
		p := c.step().Player(id)
		require.False(t, w.Grid().Wall(p.At))
		dx, dy := int(p.At.X)-int(before.X), int(p.At.Y)-int(before.Y)
		require.LessOrEqual(t, dx*dx+dy*dy, 1, "a step is one cell")
		require.Equal(t, number, p.Input)
		moved = moved || dx != 0 || dy != 0
		before = p.At
	}
	assert.True(t, moved)
	w.Apply(id, game.Input{Number: number + 1, Direction: game.Stop})
	before = c.step().Player(id).At
	for range 30 {
		require.Equal(t, before, c.step().Player(id).At)
	}
}

func TestOlderInputsAreIgnored(t *testing.T) {
	w := game.NewWorld(3)
	c := &clock{world: w}
	id, _ := w.Enter()
	for _, n := range []uint16{65534, 65535, 1, 65535} {
		w.Apply(id, game.Input{Number: n, Direction: game.Up})
	}
	assert.Equal(t, uint16(1), c.step().Player(id).Input)
	w.Apply(game.MaxPlayers-1, game.Input{Number: 9})
	w.Apply(255, game.Input{Number: 9})
}

func TestCoinsAreWorthSomething(t *testing.T) {
	w := game.NewWorld(3)
	c := &clock{world: w}
	id, _ := w.Enter()
	n := uint16(0)
	c.until(t, func(s *game.Snapshot) bool {
		n++
		w.Apply(id, game.Input{Number: n, Direction: game.Direction(int(n)/37%4 + 1)})
		return s.Player(id).Score == game.CoinScore
	})
}

// One shooter among many who walk about: the first hit has its consequences, and only
// he can have earned it.
func TestHits(t *testing.T) {
	w := game.NewWorld(11)
	c := &clock{world: w}
	shooter, _ := w.Enter()
	for range 20 {
		w.Enter()
	}
	random := rand.New(rand.NewPCG(1, 2))
	n, before := uint16(0), uint16(0)
	var wants [21]game.Direction
	victim := game.ID(0)
	s := c.until(t, func(s *game.Snapshot) bool {
		for _, p := range s.Players {
			if p.Out {
				victim = p.ID
				return true
			}
		}
		before = s.Player(shooter).Score
		n++
		for i, p := range s.Players {
			if n%20 == 1 {
				wants[i] = game.Direction(random.IntN(4) + 1)
			}
			in := game.Input{Number: n, Direction: wants[i]}
			if p.ID == shooter {
				in.Shots = uint8(n)
			}
			w.Apply(p.ID, in)
		}
		return false
	})
	require.NotEqual(t, shooter, victim)
	assert.GreaterOrEqual(t, s.Player(shooter).Score, before+game.HitScore)
	w.Apply(shooter, game.Input{Number: n + 1, Shots: uint8(n)})
	for range game.RespawnSteps - 1 {
		require.True(t, c.step().Player(victim).Out)
	}
	assert.False(t, c.step().Player(victim).Out)
}

func TestShotsThatWereFiredBeforeTheFirstInputDoNotCount(t *testing.T) {
	w := game.NewWorld(3)
	c := &clock{world: w}
	id, _ := w.Enter()
	w.Apply(id, game.Input{Number: 1, Shots: 200})
	assert.Empty(t, c.step().Shots)
	in := game.Input{Number: 1, Shots: 200}
	c.until(t, func(s *game.Snapshot) bool {
		in.Number++
		in.Shots++
		in.Direction = in.Direction%4 + 1
		w.Apply(id, in)
		return len(s.Shots) > 0
	})
}

func TestTicksFollowTheClock(t *testing.T) {
	w := game.NewWorld(1)
	assert.Equal(t, uint32(1), w.Tick(time.Hour).Step, "the first sets the clock")
	assert.Equal(t, uint32(1), w.Tick(time.Hour+time.Millisecond).Step)
	assert.Equal(t, uint32(4), w.Tick(time.Hour+101*time.Millisecond).Step, "late ticks catch up")
	assert.Equal(t, uint32(4), w.Tick(time.Hour).Step, "time that goes back does nothing")
	assert.Equal(t, uint32(34), w.Tick(2*time.Hour).Step, "a second at most is made up for")
	assert.Equal(t, uint32(35), w.Tick(2*time.Hour+34*time.Millisecond).Step)
}
