package transport

// Turns is told by the loops of a listener where a turn begins and ends: between
// the two, one goroutine delivers for many connections, so that what follows from
// all of them can be done once, at the end. Loops are numbered from 0.
type Turns interface {
	BeginTurn(loop int)
	EndTurn(loop int)
}

// TurnTaker is a Listener whose connections are served in turns. SetTurns is
// called before Serve.
type TurnTaker interface{ SetTurns(Turns) }

// Looped is a Conn that one of its listener's loops will serve.
type Looped interface {
	// Loop is the number of the loop; false: none.
	Loop() (n int, ok bool)
}
