package game

import "encoding/binary"

// The channels of the session.
const (
	Control uint8 = iota // reliable: everything that must arrive
	State                // unreliable: inputs one way, snapshots the other
)

// The longest texts in bytes.
const (
	MaxName = 16
	MaxText = 160
)

type kind byte

const (
	kindEnter    kind = 1
	kindSay      kind = 2
	kindInput    kind = 3
	kindWelcome  kind = 16
	kindYou      kind = 17
	kindJoined   kind = 18
	kindGone     kind = 19
	kindSaid     kind = 20
	kindSnapshot kind = 32
)

// Message is one message of the game.
type Message interface {
	// Append appends the encoding to dst. Fields beyond their limits make a message
	// that nobody accepts.
	Append(dst []byte) []byte
}

// To the arena.
type (
	// Enter asks to play; it answers each Welcome.
	Enter struct{ Name string }
	// Say is chat.
	Say struct{ Text string }
	// Input is what a player wants from now on.
	Input struct {
		Number    uint16 // one more each time, from 1
		Direction Direction
		Shots     uint8 // fired so far, modulo 256
	}
)

// From the arena.
type (
	// Welcome begins: nobody is known yet.
	Welcome struct{ Grid Grid }
	// You says that the player is in, and who he is.
	You struct{ Player ID }
	// Joined gives a player a name.
	Joined struct {
		Player ID
		Name   string
	}
	// Gone takes a player away.
	Gone struct{ Player ID }
	// Said is chat.
	Said struct {
		Player ID
		Text   string
	}
)

// Append implements [Message].
func (m Enter) Append(dst []byte) []byte { return appendText(append(dst, byte(kindEnter)), m.Name) }

// Append implements [Message].
func (m Say) Append(dst []byte) []byte { return appendText(append(dst, byte(kindSay)), m.Text) }

// Append implements [Message].
func (m Input) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(append(dst, byte(kindInput)), m.Number)
	return append(dst, byte(m.Direction), m.Shots)
}

// Append implements [Message].
func (m Welcome) Append(dst []byte) []byte {
	dst = append(dst, byte(kindWelcome), m.Grid.Width, m.Grid.Height)
	var bits byte
	for i, wall := range m.Grid.walls {
		if wall {
			bits |= 0x80 >> (i % 8)
		}
		if i%8 == 7 || i == len(m.Grid.walls)-1 {
			dst, bits = append(dst, bits), 0
		}
	}
	return dst
}

// Append implements [Message].
func (m You) Append(dst []byte) []byte { return append(dst, byte(kindYou), byte(m.Player)) }

// Append implements [Message].
func (m Joined) Append(dst []byte) []byte {
	return appendText(append(dst, byte(kindJoined), byte(m.Player)), m.Name)
}

// Append implements [Message].
func (m Gone) Append(dst []byte) []byte { return append(dst, byte(kindGone), byte(m.Player)) }

// Append implements [Message].
func (m Said) Append(dst []byte) []byte {
	return appendText(append(dst, byte(kindSaid), byte(m.Player)), m.Text)
}

func appendText(dst []byte, s string) []byte {
	return append(append(dst, byte(len(s))), s...)
}
