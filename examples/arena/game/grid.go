package game

import "strings"

// Direction is where somebody looks or wants to go.
type Direction uint8

const (
	Stop Direction = iota
	Up
	Right
	Down
	Left

	directions // count; keep last
)

// Point is a cell; 0, 0 is the upper left one.
type Point struct{ X, Y uint8 }

// Next is the neighbour of p in direction d. Only for cells inside the walls: it does
// not look at the border.
func (p Point) Next(d Direction) Point {
	switch d {
	case Up:
		p.Y--
	case Right:
		p.X++
	case Down:
		p.Y++
	case Left:
		p.X--
	}
	return p
}

// Grid is a maze. Whatever lies outside it counts as wall.
type Grid struct {
	Width, Height uint8
	walls         []bool // row by row
}

// Wall reports whether p cannot be entered.
func (g *Grid) Wall(p Point) bool {
	if p.X >= g.Width || p.Y >= g.Height {
		return true
	}
	return g.walls[int(p.Y)*int(g.Width)+int(p.X)]
}

// quarter is the upper left quarter of the maze; the others are its mirror images.
// The whole is 38 by 18: two columns a cell fill a terminal of 80 by 24.
const quarter = `
###################
#..................
#.####.###.#####.##
#.#.......#.....#..
#.#.##.##.#.###.#.#
#......#......#....
##.###.#.####.###.#
#....#...#.........
#.##...#...##.##.#.
`

// maze is the grid of every World.
func maze() Grid {
	rows := strings.Fields(quarter)
	h, w := len(rows), len(rows[0])
	g := Grid{Width: uint8(2 * w), Height: uint8(2 * h), walls: make([]bool, 4*w*h)}
	for y := range 2 * h {
		for x := range 2 * w {
			g.walls[y*2*w+x] = rows[min(y, 2*h-1-y)][min(x, 2*w-1-x)] == '#'
		}
	}
	return g
}

// open lists the cells that can be entered, row by row.
func (g *Grid) open() []Point {
	var ps []Point
	for y := range g.Height {
		for x := range g.Width {
			if p := (Point{x, y}); !g.Wall(p) {
				ps = append(ps, p)
			}
		}
	}
	return ps
}
