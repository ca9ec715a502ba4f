package main

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/examples/arena/game"
)

var (
	colours  = regexp.MustCompile("\x1b\\[[0-9;]*m")
	controls = regexp.MustCompile("\x1b\\[[?0-9;]*[A-Za-z]")
)

// drawn is the text of a frame, line by line.
func drawn(s screen) []string {
	var b bytes.Buffer
	s.frame(&b)
	return strings.Split(controls.ReplaceAllString(b.String(), ""), "\r\n")
}

func aView() view {
	return view{
		grid: *game.NewWorld(1).Grid(), me: 4, in: true,
		names: map[game.ID]string{4: "ada", 9: "Ünal"},
		snapshot: &game.Snapshot{
			Players: []game.PlayerView{
				{ID: 4, At: game.Point{X: 1, Y: 1}, Facing: game.Right, Score: 5},
				{ID: 9, At: game.Point{X: 2, Y: 1}, Facing: game.Down, Score: 8},
				{ID: 10, At: game.Point{X: 3, Y: 1}, Facing: game.Up, Out: true},
			},
			Shots: []game.Point{{X: 4, Y: 1}},
			Coins: []game.Point{{X: 5, Y: 1}},
		},
		chat: []string{"one", "two", "three"},
	}
}

func TestAFrameShowsTheWorld(t *testing.T) {
	now := time.Now()
	v := aView()
	v.counts = counts{last: now, age: 21 * time.Millisecond, rtt: 400 * time.Microsecond}
	lines := drawn(screen{view: v, cols: 80, rows: 24, rate: 30, now: now})
	require.Len(t, lines, 24)
	for y := range 18 {
		assert.Len(t, lines[y], 76, "line %d: %q", y, lines[y])
	}
	assert.Equal(t, "  A>@v  **()", lines[1][:12])
	assert.Contains(t, lines[18], "ada  score 5  place 2 of 3")
	assert.Contains(t, lines[18], "rtt 0.4 ms  30 snapshots/s  age 21 ms")
	assert.Equal(t, []string{"one", "two", "three", ""}, lines[19:23])
	assert.Contains(t, lines[23], "q quit")
}

func TestAWideFrameListsThePlayers(t *testing.T) {
	lines := drawn(screen{view: aView(), cols: 120, rows: 22})
	require.Len(t, lines, 22)
	assert.True(t, strings.HasSuffix(lines[0], "    8 Ünal"), lines[0])
	assert.True(t, strings.HasSuffix(lines[1], "    5 ada"), lines[1])
	assert.True(t, strings.HasSuffix(lines[2], "    0 somebody"), lines[2])
	assert.Equal(t, []string{"two", "three"}, lines[19:21], "the newest, where there is no room for all")
}

func TestAFrameSaysWhatIsWrong(t *testing.T) {
	assert.Contains(t, drawn(screen{cols: 80, rows: 24})[0], "waiting")
	assert.Contains(t, drawn(screen{view: aView(), cols: 60, rows: 24})[0], "76 by 22")
	v, now := aView(), time.Now()
	v.counts.last = now.Add(-3 * time.Second)
	assert.Contains(t, drawn(screen{view: v, cols: 80, rows: 24, now: now})[18], "nothing for 3 s")
	v.in = false
	assert.Contains(t, drawn(screen{view: v, cols: 80, rows: 24, now: now})[18], "watching")
}

func TestPlayingByHand(t *testing.T) {
	t.Parallel()
	a := startArena(t, false)
	ctx, cancel := context.WithTimeout(t.Context(), 6*patience) // of all waits together
	defer cancel()
	c, err := client.Dial(ctx, a.Addr(), client.Options{Pin: a.Pin()})
	require.NoError(t, err)
	p := newPlayer(c, "ada")
	played := make(chan error, 1)
	go func() { played <- p.run(ctx, cancel) }()

	keyboard, types := io.Pipe()
	typed := make(chan []byte)
	reading := make(chan struct{})
	go func() { defer close(reading); read(ctx, keyboard, typed) }()
	var out output
	h := human{player: p, size: func() (int, int, error) { return 80, 24, nil }}
	handled := make(chan error, 1)
	go func() { handled <- h.run(ctx, typed, &out) }()

	shows := func(text string) {
		t.Helper()
		require.Eventually(t, func() bool {
			all := out.String()
			newest := all[max(0, len(all)-1<<16):] // of megabytes
			return strings.Contains(colours.ReplaceAllString(newest, ""), text)
		}, patience, 5*time.Millisecond, text)
	}
	press := func(keys string) {
		t.Helper()
		_, err := io.WriteString(types, keys)
		require.NoError(t, err)
	}
	shows("ada  score")
	press("\x1b[A")
	require.Eventually(t, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		me := a.world.Tick(time.Since(a.began)).Player(0)
		return me != nil && me.Facing == game.Up
	}, patience, 5*time.Millisecond)
	// Somewhere there is room for a shot.
	for i := 0; !strings.Contains(out.String(), "**"); i++ {
		require.NoError(t, ctx.Err())
		seen := p.look().counts.snapshots
		press("wdsa"[i%4:i%4+1] + " ")
		require.Eventually(t, func() bool { return p.look().counts.snapshots > seen+10 }, patience, 5*time.Millisecond)
	}
	press("\rhi wasq")
	shows("say: hi wasq")
	press("\x7f\r")
	shows("ada: hi was")
	press("\r\x1b")
	press("q")
	require.NoError(t, <-handled)
	cancel()
	require.NoError(t, <-played)
	require.NoError(t, types.Close())
	<-reading
}

func TestChatThatIsTooLongIsCut(t *testing.T) {
	t.Parallel()
	a := startArena(t, true)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := client.Dial(ctx, a.Addr(), client.Options{Pin: a.Pin()})
	require.NoError(t, err)
	p := newPlayer(c, "ada")
	played := make(chan error, 1)
	go func() { played <- p.run(ctx, cancel) }()
	require.Eventually(t, func() bool { return p.look().in }, patience, 5*time.Millisecond)
	require.NoError(t, p.say(ctx, strings.Repeat("é", game.MaxText)))
	require.Eventually(t, func() bool { return len(p.look().chat) > 0 }, patience, 5*time.Millisecond)
	assert.Equal(t, "ada: "+strings.Repeat("é", game.MaxText/2), p.look().chat[0])
	cancel()
	require.NoError(t, <-played)
}
