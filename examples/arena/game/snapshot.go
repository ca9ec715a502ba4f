package game

import "encoding/binary"

// Sizes of the parts of a Snapshot in bytes.
const (
	snapshotHead = 1 + 4 // kind, step
	countSize    = 1
	playerSize   = 8
	pointSize    = 2

	// MaxSnapshot is the longest Snapshot: MaxPlayers, all of their shots, and as
	// many coins as there can be.
	MaxSnapshot = snapshotHead + 3*countSize + MaxPlayers*playerSize + (maxShots+maxCoins)*pointSize
	// maxUnreliable is what an unreliable message holds on any transport.
	maxUnreliable = 1100
)

// A snapshot that does not fit does not compile.
const _ = uint(maxUnreliable - MaxSnapshot)

// outFlag marks the direction of a player who is out of the maze.
const outFlag = 0x80

// Snapshot is all that is to be seen.
type Snapshot struct {
	Step    uint32 // 30 a second
	Players []PlayerView
	Shots   []Point
	Coins   []Point
}

// PlayerView is a player as everybody sees him. IDs rise within a snapshot.
type PlayerView struct {
	ID     ID
	At     Point
	Facing Direction // never Stop
	Out    bool      // hit, and not back yet
	Score  uint16
	Input  uint16 // the number of the last Input that counts in this state; 0 before the first
}

// Player finds a player; nil if he is not there.
func (s *Snapshot) Player(id ID) *PlayerView {
	for i := range s.Players {
		if s.Players[i].ID == id {
			return &s.Players[i]
		}
	}
	return nil
}

// Append implements [Message].
func (s *Snapshot) Append(dst []byte) []byte {
	dst = append(dst, byte(kindSnapshot))
	dst = binary.BigEndian.AppendUint32(dst, s.Step)
	dst = append(dst, byte(len(s.Players)))
	for i := range s.Players {
		p := &s.Players[i]
		facing := byte(p.Facing)
		if p.Out {
			facing |= outFlag
		}
		dst = append(dst, byte(p.ID), p.At.X, p.At.Y, facing)
		dst = binary.BigEndian.AppendUint16(dst, p.Score)
		dst = binary.BigEndian.AppendUint16(dst, p.Input)
	}
	dst = appendPoints(dst, s.Shots)
	return appendPoints(dst, s.Coins)
}

func appendPoints(dst []byte, ps []Point) []byte {
	dst = append(dst, byte(len(ps)))
	for _, p := range ps {
		dst = append(dst, p.X, p.Y)
	}
	return dst
}

// snapshot reads what follows the kind.
func (r *reader) snapshot() *Snapshot {
	s := &Snapshot{Step: r.uint32()}
	for range r.count(MaxPlayers, playerSize) {
		p := PlayerView{ID: r.id(), At: r.point()}
		facing := r.byte()
		p.Out, p.Facing = facing&outFlag != 0, Direction(facing&^outFlag)
		p.Score, p.Input = r.uint16(), r.uint16()
		r.check(p.Facing != Stop && p.Facing < directions, "a player has no direction")
		r.check(len(s.Players) == 0 || s.Players[len(s.Players)-1].ID < p.ID, "the players are out of order")
		s.Players = append(s.Players, p)
	}
	s.Shots = r.points(maxShots)
	s.Coins = r.points(maxCoins)
	return s
}

func (r *reader) points(limit int) []Point {
	var ps []Point
	for range r.count(limit, pointSize) {
		ps = append(ps, r.point())
	}
	return ps
}
