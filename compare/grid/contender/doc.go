// Package contender is what a comparison compares: each way to carry the game, with
// both of its ends.
//
// It owns the catalogue and the two ends' wiring; it measures nothing. Every server
// has the same game logic behind it, in its own process: a gateway as it is embedded,
// with the listeners that the contender needs, or a rival's server. Every player has
// the Go SDK or the rival's client. Names are resolved, certificates verified and
// sessions opened as players do it.
//
//  1. [All] and [Lookup] give the catalogue.
//  2. [Contender.Serve] starts a server at an address and says with
//     its [Endpoint] how to reach it, also from another process.
//  3. [Contender.Dial] makes the [game.Dial] of a player.
package contender
