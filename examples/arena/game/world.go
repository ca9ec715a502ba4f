package game

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// The rules, in steps where they are times.
const (
	// StepsPerSecond is the rate of the world and of its snapshots.
	StepsPerSecond = 30
	// MaxPlayers is how many can play at a time.
	MaxPlayers = 64

	CoinScore    = 1
	HitScore     = 3
	HitCost      = 1
	RespawnSteps = 45 // out of the maze after a hit

	walkSteps   = 4 // for one cell
	reloadSteps = 8 // between two shots
	shotsEach   = 2 // in flight
	coinSteps   = 10
	maxShots    = MaxPlayers * shotsEach
	maxCoins    = 60
	minCoins    = 12
	coinsEach   = 2 // more for each player

	// maxBehind is how many steps one Tick makes at most; a world that was stopped
	// for longer goes on from where it was.
	maxBehind = StepsPerSecond
)

// ID names a player while he plays; the next one may get the same.
type ID uint8

// World is the state of the arena. It is not safe for concurrent use.
type World struct {
	grid    Grid
	open    []Point // cells that can be entered
	random  *rand.Rand
	players [MaxPlayers]player
	count   int // players
	shots   []shot
	coins   []Point

	step   uint32
	offset int64 // steps that time is ahead of step
	began  bool
	view   Snapshot
}

// player is one slot; its index is the ID.
type player struct {
	here   bool
	out    int // steps until he is back in the maze; 0: he is in it
	at     Point
	facing Direction // where he looks and shoots; never Stop
	moving bool
	wait   int // steps until the next cell
	reload int // steps until the next shot
	flying int // shots
	score  uint16

	wants   Direction
	number  uint16 // of the last input
	heard   bool   // there was an input
	fired   uint8  // what the inputs have counted
	pending bool   // one of them is not shot yet
}

type shot struct {
	at    Point
	to    Direction
	owner ID
}

// NewWorld returns an empty arena. seed decides where coins and players appear.
func NewWorld(seed uint64) *World {
	w := &World{grid: maze(), random: rand.New(rand.NewPCG(seed, 0))}
	w.open = w.grid.open()
	for range minCoins {
		w.coins = append(w.coins, w.free())
	}
	return w
}

// Grid is the maze; it never changes.
func (w *World) Grid() *Grid { return &w.grid }

// Players is how many play.
func (w *World) Players() int { return w.count }

// Enter adds a player. ok is false when MaxPlayers play already.
func (w *World) Enter() (id ID, ok bool) {
	for i := range w.players {
		if p := &w.players[i]; !p.here {
			*p = player{here: true, facing: Right}
			p.at = w.free()
			w.count++
			return ID(i), true
		}
	}
	return 0, false
}

// Leave removes a player and his shots; who is not there is ignored.
func (w *World) Leave(id ID) {
	if p := w.player(id); p != nil {
		*p = player{}
		w.count--
		w.shots = slices.DeleteFunc(w.shots, func(s shot) bool { return s.owner == id })
	}
}

// Apply takes what a player wants. An input that is older than the last one is
// ignored, whatever overtook it.
func (w *World) Apply(id ID, in Input) {
	p := w.player(id)
	if p == nil {
		return
	}
	if !p.heard {
		p.heard, p.fired = true, in.Shots
	} else if int16(in.Number-p.number) <= 0 {
		return
	}
	p.number, p.wants = in.Number, in.Direction
	// Nobody can save shots: what he fired while he was reloading is lost but for
	// the last.
	if in.Shots != p.fired {
		p.fired, p.pending = in.Shots, true
	}
}

func (w *World) player(id ID) *player {
	if int(id) >= len(w.players) || !w.players[id].here {
		return nil
	}
	return &w.players[id]
}

// Tick makes the steps that are due at now, counted from any fixed moment, and
// returns the snapshot, which is valid until the next call. The first call makes one
// step and sets the clock; time that goes back makes none.
func (w *World) Tick(now time.Duration) *Snapshot {
	due := int64(now) * StepsPerSecond / int64(time.Second)
	if !w.began {
		w.began, w.offset = true, due-int64(w.step)-1
	}
	behind := due - w.offset - int64(w.step)
	if behind > maxBehind {
		w.offset += behind - maxBehind
		behind = maxBehind
	}
	for range behind {
		w.advance()
	}
	w.look()
	return &w.view
}

// advance is one step: players, then what hits them, then shots, then coins. Hits are
// looked for on both sides of the shots' move, so that nobody slips through a shot
// that comes towards him.
func (w *World) advance() {
	w.step++
	for i := range w.players {
		if p := &w.players[i]; p.here {
			w.walk(p)
		}
	}
	w.hits()
	for i := range w.players {
		if p := &w.players[i]; p.here {
			w.shoot(ID(i), p)
		}
	}
	w.fly()
	w.hits()
	w.collect()
	w.mint()
}

func (w *World) walk(p *player) {
	p.reload = max(0, p.reload-1)
	p.wait = max(0, p.wait-1)
	if p.out > 0 {
		if p.out--; p.out == 0 {
			p.at, p.moving = w.free(), false
		}
		return
	}
	if p.wants == Stop {
		p.moving = false
		return
	}
	if !w.grid.Wall(p.at.Next(p.wants)) {
		p.facing, p.moving = p.wants, true
	} else if !p.moving {
		p.facing = p.wants // he looks at the wall
	}
	if !p.moving || p.wait > 0 {
		return
	}
	next := p.at.Next(p.facing)
	if w.grid.Wall(next) {
		p.moving = false
		return
	}
	p.at, p.wait = next, walkSteps
}

func (w *World) shoot(id ID, p *player) {
	if !p.pending || p.reload > 0 || p.flying >= shotsEach || p.out > 0 {
		return
	}
	p.pending, p.reload = false, reloadSteps
	p.flying++
	w.shots = append(w.shots, shot{at: p.at, to: p.facing, owner: id})
}

// fly moves the shots by one cell.
func (w *World) fly() {
	w.shots = slices.DeleteFunc(w.shots, func(s shot) bool {
		if !w.grid.Wall(s.at.Next(s.to)) {
			return false
		}
		w.players[s.owner].flying--
		return true
	})
	for i := range w.shots {
		w.shots[i].at = w.shots[i].at.Next(w.shots[i].to)
	}
}

func (w *World) hits() {
	w.shots = slices.DeleteFunc(w.shots, func(s shot) bool {
		for i := range w.players {
			victim := &w.players[i]
			if !victim.here || victim.out > 0 || victim.at != s.at || ID(i) == s.owner {
				continue
			}
			victim.out, victim.pending = RespawnSteps, false
			victim.score -= min(victim.score, HitCost)
			shooter := &w.players[s.owner]
			shooter.flying--
			shooter.earn(HitScore)
			return true
		}
		return false
	})
}

func (w *World) collect() {
	for i := range w.players {
		p := &w.players[i]
		if !p.here || p.out > 0 {
			continue
		}
		if c := slices.Index(w.coins, p.at); c >= 0 {
			w.coins = slices.Delete(w.coins, c, c+1)
			p.earn(CoinScore)
		}
	}
}

// mint adds a coin from time to time.
func (w *World) mint() {
	if w.step%coinSteps == 0 && len(w.coins) < min(maxCoins, minCoins+coinsEach*w.count) {
		w.coins = append(w.coins, w.free())
	}
}

func (p *player) earn(n uint16) {
	p.score = uint16(min(int(p.score)+int(n), math.MaxUint16))
}

// free picks a cell without player or coin.
func (w *World) free() Point {
	start := w.random.IntN(len(w.open))
	for i := range w.open {
		at := w.open[(start+i)%len(w.open)]
		taken := slices.Contains(w.coins, at) || slices.ContainsFunc(w.players[:], func(p player) bool {
			return p.here && p.out == 0 && p.at == at
		})
		if !taken {
			return at
		}
	}
	return w.open[start] // there are more cells than players and coins
}

// look writes the view.
func (w *World) look() {
	v := &w.view
	v.Step = w.step
	v.Players, v.Shots, v.Coins = v.Players[:0], v.Shots[:0], append(v.Coins[:0], w.coins...)
	for i := range w.players {
		p := &w.players[i]
		if !p.here {
			continue
		}
		v.Players = append(v.Players, PlayerView{
			ID: ID(i), At: p.at, Facing: p.facing, Out: p.out > 0, Score: p.score, Input: p.number,
		})
	}
	for _, s := range w.shots {
		v.Shots = append(v.Shots, s.at)
	}
}
