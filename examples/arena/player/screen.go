package main

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"strait/examples/arena/game"
)

// Control sequences (ECMA-48, and xterm for the alternate screen and line wrap).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	endLine     = "\x1b[0m\x1b[K\r\n"
	endFrame    = "\x1b[0m\x1b[J"
)

const (
	cellWidth  = 2  // columns
	boardWidth = 24 // of the list of players, where there is room for it
	minRows    = 22 // maze, status, two lines of chat, help
)

// screen is all that a frame shows.
type screen struct {
	view       view
	cols, rows int
	typing     bool
	line       string  // what is being typed
	rate       float64 // snapshots a second
	now        time.Time
}

// frame appends what draws the whole screen from its upper left corner.
func (s *screen) frame(b *bytes.Buffer) {
	b.WriteString(home)
	g := &s.view.grid
	switch width := int(g.Width) * cellWidth; {
	case s.view.snapshot == nil:
		b.WriteString("waiting for the arena" + endLine)
	case s.cols < width || s.rows < minRows:
		fmt.Fprintf(b, "make the window %d by %d at least; it is %d by %d%s", width, minRows, s.cols, s.rows, endLine)
	default:
		board := s.board()
		for y := range g.Height {
			s.row(b, y)
			if s.cols >= width+boardWidth && int(y) < len(board) {
				b.WriteString("  " + board[y])
			}
			b.WriteString(endLine)
		}
		b.WriteString(s.status() + endLine)
		for _, line := range s.chat(s.rows - int(g.Height) - 2) {
			b.WriteString(line + endLine)
		}
	}
	if s.typing {
		b.WriteString("say: " + s.line + "\x1b[7m \x1b[0m")
	} else {
		b.WriteString("\x1b[2marrows or wasd run · x stop · space shoot · enter chat · q quit")
	}
	b.WriteString(endFrame)
}

// colour is that of a player, the same on everybody's screen.
func colour(id game.ID) string { return fmt.Sprintf("\x1b[1;%dm", 31+int(id)%6) }

func (s *screen) row(b *bytes.Buffer, y uint8) {
	for x := range s.view.grid.Width {
		b.WriteString(s.cell(game.Point{X: x, Y: y}))
	}
}

// cell is two columns wide.
func (s *screen) cell(at game.Point) string {
	if s.view.grid.Wall(at) {
		return "\x1b[48;5;238m  \x1b[0m"
	}
	for _, p := range s.view.snapshot.Players {
		if p.At == at && !p.Out {
			text := colour(p.ID)
			if s.view.in && p.ID == s.view.me {
				text += "\x1b[7m"
			}
			return text + initial(s.view.names[p.ID]) + [...]string{" ", "^", ">", "v", "<"}[p.Facing] + "\x1b[0m"
		}
	}
	switch {
	case slices.Contains(s.view.snapshot.Shots, at):
		return "\x1b[1m**\x1b[0m"
	case slices.Contains(s.view.snapshot.Coins, at):
		return "\x1b[33m()\x1b[0m"
	}
	return "  "
}

// initial is one column wide whatever the name.
func initial(name string) string {
	if name == "" || name[0] <= ' ' || name[0] > '~' {
		return "@"
	}
	return strings.ToUpper(name[:1])
}

// board lists the players, the best first.
func (s *screen) board() []string {
	ps := slices.Clone(s.view.snapshot.Players)
	slices.SortStableFunc(ps, func(a, b game.PlayerView) int { return cmp.Compare(b.Score, a.Score) })
	var lines []string
	for _, p := range ps {
		lines = append(lines, fmt.Sprintf("%s%5d %s\x1b[0m", colour(p.ID), p.Score, s.view.nameOf(p.ID)))
	}
	return lines
}

func (s *screen) status() string {
	c := &s.view.counts
	text := "\x1b[7m watching"
	if me := s.view.self(); me != nil {
		place := 1
		for _, p := range s.view.snapshot.Players {
			if p.Score > me.Score {
				place++
			}
		}
		text = fmt.Sprintf("\x1b[7m %s  score %d  place %d of %d", s.view.nameOf(me.ID), me.Score, place, len(s.view.snapshot.Players))
		if me.Out {
			text += "  HIT"
		}
	}
	text += fmt.Sprintf("  rtt %.1f ms  %.0f snapshots/s  age %.0f ms", millis(c.rtt), s.rate, millis(c.age))
	if quiet := s.now.Sub(c.last); quiet > time.Second {
		text += fmt.Sprintf("  nothing for %.0f s", quiet.Seconds())
	}
	return text + " "
}

// chat is the newest lines, as many as there is room for and always so many.
func (s *screen) chat(room int) []string {
	lines := s.view.chat[max(0, len(s.view.chat)-room):]
	return append(slices.Clone(lines), make([]string, room-len(lines))...)
}
