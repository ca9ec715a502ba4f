package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"strait/examples/arena/game"
)

// drawEvery redraws when nothing changes, so that a stall shows.
const drawEvery = 500 * time.Millisecond

// runHuman plays on the terminal until ctx is done or the player quits.
func runHuman(ctx context.Context, p *player) error {
	in, out := os.Stdin, os.Stdout
	old, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return err
	}
	defer func() { _ = term.Restore(int(in.Fd()), old) }()
	if _, err := io.WriteString(out, enterScreen); err != nil {
		return err
	}
	defer func() { _, _ = io.WriteString(out, leaveScreen) }()
	// Reading from a terminal cannot be interrupted everywhere: this goroutine ends
	// with the process, or with the next key.
	typed := make(chan []byte)
	go read(ctx, in, typed)
	h := human{player: p, size: func() (int, int, error) { return term.GetSize(int(out.Fd())) }}
	return h.run(ctx, typed, out)
}

// read sends what it reads until the end, which closes typed, or ctx is done.
func read(ctx context.Context, in io.Reader, typed chan<- []byte) {
	defer close(typed)
	for {
		b := make([]byte, 64)
		n, err := in.Read(b)
		if err != nil {
			return
		}
		select {
		case typed <- b[:n]:
		case <-ctx.Done():
			return
		}
	}
}

// human joins keys, player and screen.
type human struct {
	player *player
	size   func() (cols, rows int, err error)

	keys   keys
	typing bool
	line   string
	rate   rate
	frame  bytes.Buffer
}

func (h *human) run(ctx context.Context, typed <-chan []byte, out io.Writer) error {
	redraw := time.NewTicker(drawEvery)
	defer redraw.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case b, ok := <-typed:
			if !ok {
				return nil
			}
			for _, k := range h.keys.feed(b) {
				quit, err := h.press(ctx, k)
				if quit || err != nil {
					return err
				}
			}
		case <-h.player.changed:
		case <-redraw.C:
		}
		if err := h.draw(out); err != nil {
			return err
		}
	}
}

func (h *human) draw(out io.Writer) error {
	cols, rows, err := h.size()
	if err != nil {
		return err
	}
	v, now := h.player.look(), time.Now()
	s := screen{
		view: v, cols: cols, rows: rows, typing: h.typing, line: h.line,
		rate: h.rate.of(v.counts.snapshots, now), now: now,
	}
	h.frame.Reset()
	s.frame(&h.frame)
	_, err = out.Write(h.frame.Bytes())
	return err
}

// press does what a key says.
func (h *human) press(ctx context.Context, k key) (quit bool, err error) {
	if k == keyInterrupt {
		return true, nil
	}
	if h.typing {
		return false, h.edit(ctx, k)
	}
	switch k {
	case 'q', 'Q':
		return true, nil
	case keyEnter:
		h.typing, h.line = true, ""
	case ' ':
		h.player.shoot()
	case keyUp, 'w', 'W':
		h.player.steer(game.Up, false)
	case keyRight, 'd', 'D':
		h.player.steer(game.Right, false)
	case keyDown, 's', 'S':
		h.player.steer(game.Down, false)
	case keyLeft, 'a', 'A':
		h.player.steer(game.Left, false)
	case 'x', 'X':
		h.player.steer(game.Stop, false)
	}
	return false, nil
}

// edit takes a key for the line of chat.
func (h *human) edit(ctx context.Context, k key) error {
	switch {
	case k == keyEnter:
		line := h.line
		h.typing, h.line = false, ""
		if line != "" {
			return h.player.say(ctx, line)
		}
	case k == keyEscape:
		h.typing, h.line = false, ""
	case k == keyBackspace:
		_, n := utf8.DecodeLastRuneInString(h.line)
		h.line = h.line[:len(h.line)-n]
	case k <= utf8.MaxRune && len(h.line)+utf8.RuneLen(rune(k)) <= game.MaxText:
		h.line += string(rune(k))
	}
	return nil
}

// rate is how fast a count grows, over about a second.
type rate struct {
	count int
	since time.Time
	last  float64
}

func (r *rate) of(count int, now time.Time) float64 {
	switch past := now.Sub(r.since); {
	case r.since.IsZero():
		r.count, r.since = count, now
	case past >= time.Second:
		r.last = float64(count-r.count) / past.Seconds()
		r.count, r.since = count, now
	}
	return r.last
}
