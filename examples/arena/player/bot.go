package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"strait/examples/arena/game"
)

const (
	reportEvery = time.Second
	chatAfter   = time.Second // the first time
	chatPause   = 3 * time.Second
)

// errUnseen is why a bot's run was worth nothing.
var errUnseen = errors.New("the arena sent no snapshot")

// runBot plays until ctx is done. Each second it prints a line, and one at the end:
//
//	rtt 0.41 ms  30.0 snapshots/s  age 22.1 ms  gap 41.0 ms  score 7
//	total snapshots=297 chat=4 score=31
//
// age is the time from sending an input to seeing the world with it, gap the longest
// time between two snapshots, chat what others said.
func runBot(ctx context.Context, p *player, out io.Writer) error {
	report := time.NewTicker(reportEvery)
	defer report.Stop()
	chat := time.NewTimer(chatAfter)
	defer chat.Stop()
	score, lines := uint16(0), 0
	snapshots, since := 0, time.Now()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-p.changed:
			v := p.look()
			if me := v.self(); me != nil {
				score = me.Score
				p.steer(decide(&v.grid, v.snapshot, me))
			}
		case <-chat.C:
			lines++
			chat.Reset(chatPause)
			if err := p.say(ctx, fmt.Sprintf("%s here, score %d, line %d", p.name, score, lines)); err != nil && ctx.Err() == nil {
				return err
			}
		case <-report.C:
			c, now := p.look().counts, time.Now()
			p.newGap()
			fmt.Fprintf(out, "rtt %.2f ms  %.1f snapshots/s  age %.1f ms  gap %.1f ms  score %d\n",
				millis(c.rtt), float64(c.snapshots-snapshots)/now.Sub(since).Seconds(), millis(c.age), millis(c.gap), score)
			snapshots, since = c.snapshots, now
		}
	}
	c := p.look().counts
	fmt.Fprintf(out, "total snapshots=%d chat=%d score=%d\n", c.snapshots, c.othersChat, score)
	if c.snapshots == 0 {
		return errUnseen
	}
	return nil
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// decide goes the shortest way to a coin, or to somebody else where there is none, and
// shoots at whoever is in sight.
func decide(g *game.Grid, s *game.Snapshot, me *game.PlayerView) (d game.Direction, shoot bool) {
	var others []game.Point
	for _, p := range s.Players {
		if p.ID != me.ID && !p.Out {
			others = append(others, p.At)
		}
	}
	targets := s.Coins
	if len(targets) == 0 {
		targets = others
	}
	d = way(g, me.At, targets)
	for at := me.At; !g.Wall(at); at = at.Next(me.Facing) {
		shoot = shoot || slices.Contains(others, at)
	}
	return d, shoot
}

// way is the first step of a shortest way to one of the targets, Stop if there is
// none.
func way(g *game.Grid, from game.Point, targets []game.Point) game.Direction {
	first := map[game.Point]game.Direction{from: game.Stop}
	for queue := []game.Point{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at != from && slices.Contains(targets, at) {
			return first[at]
		}
		for d := game.Up; d <= game.Left; d++ {
			next := at.Next(d)
			if _, seen := first[next]; seen || g.Wall(next) {
				continue
			}
			first[next] = first[at]
			if at == from {
				first[next] = d
			}
			queue = append(queue, next)
		}
	}
	return game.Stop
}
