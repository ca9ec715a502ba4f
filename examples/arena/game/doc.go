// Package game is the arena itself: a small maze in which players collect coins and
// shoot each other, and the messages in which arena and players speak.
//
// It owns the rules, the state of the world and the wire format. It never does I/O,
// reads no clock and starts no goroutine: the same seed, the same calls and the same
// times give the same world.
//
//  1. [World.Enter] and [World.Leave] add and remove players; [World.Apply] takes what
//     a player wants now.
//  2. [World.Tick] takes the time, makes all steps of 1/30 s that are due, and returns
//     the [Snapshot] of the world.
//  3. The snapshot is one message of at most [MaxSnapshot] bytes, which fits an
//     unreliable message on any transport; everybody gets the same bytes.
//
// # Rules
//
// A player runs in one direction until a wall stops him, and turns as soon as there is
// room; he may stop. A coin is worth [CoinScore]. A shot flies straight until it hits a
// wall or somebody else: that gives the shooter [HitScore], costs the victim [HitCost],
// and takes the victim out of the maze for [RespawnSteps].
//
// # Wire format
//
// Every message begins with one byte for its kind; numbers are big endian; a text is
// one byte for its length and then so many bytes of printable UTF-8. A message that is
// longer or shorter than it should be is refused, and so is any value that the sender
// could not have meant: there is one encoding of each message.
//
//	to the arena, reliable on channel 0
//	  1 Enter     text name, 1 to 16 bytes. The answer to each Welcome
//	  2 Say       text, 1 to 160 bytes
//	to the arena, unreliable on channel 1, every 50 ms and at each change
//	  3 Input     u16 number, u8 direction, u8 shots
//	from the arena, reliable on channel 0
//	  16 Welcome  u8 width, u8 height, then the walls, a bit a cell, row by row, the
//	              highest bit first, unused bits 0. Forget all players
//	  17 You      u8 player. You play, as this one
//	  18 Joined   u8 player, text name
//	  19 Gone     u8 player
//	  20 Said     u8 player, text
//	from the arena, unreliable on channel 1, 30 times a second
//	  32 Snapshot u32 step
//	              u8 players, each: u8 player, u8 x, u8 y, u8 direction (with 0x80: out
//	                 of the maze), u16 score, u16 number of the last input applied
//	              u8 shots, each: u8 x, u8 y
//	              u8 coins, each: u8 x, u8 y
//
// What may be lost is sent as a state, not as an event: an Input says which way the
// player wants to go, and how many shots he has fired so far (modulo 256), so that the
// next one makes good for one that was lost.
package game
