package game

import (
	"encoding/binary"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// ParseError says why a message was refused.
type ParseError struct{ Why string }

func (e *ParseError) Error() string { return "arena message: " + e.Why }

// ParseToArena reads a message of a player: Enter, Say or Input. b is borrowed until
// return.
func ParseToArena(b []byte) (Message, error) {
	r := &reader{rest: b}
	var m Message
	switch k := kind(r.byte()); k {
	case kindEnter:
		m = Enter{Name: r.text(MaxName)}
	case kindSay:
		m = Say{Text: r.text(MaxText)}
	case kindInput:
		in := Input{Number: r.uint16(), Direction: Direction(r.byte()), Shots: r.byte()}
		r.check(in.Direction < directions, "there is no such direction")
		m = in
	default:
		r.check(false, fmt.Sprintf("kind %d is none that a player sends", k))
	}
	return r.done(m)
}

// ParseFromArena reads a message of the arena: Welcome, You, Joined, Gone, Said or
// *Snapshot. b is borrowed until return.
func ParseFromArena(b []byte) (Message, error) {
	r := &reader{rest: b}
	var m Message
	switch k := kind(r.byte()); k {
	case kindWelcome:
		m = Welcome{Grid: r.grid()}
	case kindYou:
		m = You{Player: r.id()}
	case kindJoined:
		m = Joined{Player: r.id(), Name: r.text(MaxName)}
	case kindGone:
		m = Gone{Player: r.id()}
	case kindSaid:
		m = Said{Player: r.id(), Text: r.text(MaxText)}
	case kindSnapshot:
		m = r.snapshot()
	default:
		r.check(false, fmt.Sprintf("kind %d is none that the arena sends", k))
	}
	return r.done(m)
}

// reader takes values off the front of a message. After the first failure it gives
// zeros, so that only the end has to be looked at.
type reader struct {
	rest []byte
	err  error
}

// check fails unless ok.
func (r *reader) check(ok bool, why string) {
	if !ok && r.err == nil {
		r.err, r.rest = &ParseError{Why: why}, nil
	}
}

func (r *reader) done(m Message) (Message, error) {
	r.check(len(r.rest) == 0, "it goes on after its end")
	if r.err != nil {
		return nil, r.err
	}
	return m, nil
}

// take returns the next n bytes; nil if there are fewer.
func (r *reader) take(n int) []byte {
	r.check(len(r.rest) >= n, "it is cut off")
	if r.err != nil {
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) id() ID {
	id := r.byte()
	r.check(id < MaxPlayers, "there is no such player")
	return ID(id)
}

func (r *reader) point() Point {
	x, y := r.byte(), r.byte()
	return Point{x, y}
}

// count reads a number of items, of which so many bytes each have to be there.
func (r *reader) count(limit, size int) int {
	n := int(r.byte())
	r.check(n <= limit, "there are more of one kind than there can be")
	r.check(n*size <= len(r.rest), "it is cut off")
	if r.err != nil {
		return 0
	}
	return n
}

func (r *reader) text(limit int) string {
	n := r.count(limit, 1)
	s := string(r.take(n))
	r.check(n > 0, "a text is empty")
	r.check(Printable(s), "a text is not printable UTF-8")
	return s
}

// Printable reports whether s may be a name or chat: valid UTF-8 of visible
// characters and plain spaces, so that nobody can write to the terminals of others
// what they would take for a command.
func Printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, c := range s {
		if !unicode.IsPrint(c) {
			return false
		}
	}
	return true
}

func (r *reader) grid() Grid {
	g := Grid{Width: r.byte(), Height: r.byte()}
	cells := int(g.Width) * int(g.Height)
	r.check(cells > 0, "the maze has no cells")
	bits := r.take((cells + 7) / 8)
	if bits == nil {
		return Grid{}
	}
	g.walls = make([]bool, cells)
	for i := range g.walls {
		g.walls[i] = bits[i/8]&(0x80>>(i%8)) != 0
	}
	r.check(bits[len(bits)-1]&(0xff>>((cells-1)%8+1)) == 0, "bits after the maze are set")
	return g
}
