package transport

// Turns is told by those who read for many connections at once where a turn begins
// and ends: between the two, one goroutine delivers for many, so that what follows
// from all of it can be done once, at the end.
type Turns interface {
	// BeginTurn asks to do the work of a dispatcher shard's consumer. Shards are
	// numbered from 0; a number that does not exist, and a shard whose consumer is at
	// work, is refused: then the turn ends without EndTurn. It never blocks.
	BeginTurn(shard int) bool
	// EndTurn does that work. After a BeginTurn that was granted, by the same goroutine.
	EndTurn(shard int)
}

// TurnTaker is a Listener or an Offerer that reads in turns. SetTurns is called
// before anything is served.
type TurnTaker interface{ SetTurns(Turns) }

// Looped is a Conn that one of its listener's loops will serve.
type Looped interface {
	// Loop is the number of the loop, and of the shard that its turns are for;
	// false: none.
	Loop() (n int, ok bool)
}

// Corker is an Offerer that writes for many sessions with one system
// call. Between Cork and Uncork a Wake may only be remembered; Uncork writes for
// all that were woken. Any goroutine; pairs may overlap. Neither blocks.
type Corker interface {
	Cork()
	Uncork()
}
