// Package rival is what servers of other transports share, so that they carry the
// same game as Strait does: the session with its bounded outbound queue, and the
// frame that keeps delivery class and channel where a transport has neither.
//
// The transports themselves are packages below this one. Nothing on the serve path
// imports any of them. They do what their users do, no more: one reliable ordered
// stream carries everything, so that an unreliable message waits behind a lost
// reliable one; that is the property to be compared.
//
//  1. A server's read loop takes a frame apart and hands its payload to the Handler.
//  2. Game logic answers with Session.Send, which queues; one goroutine a session
//     writes.
//  3. A session whose queue is full refuses unreliable messages, and ends with the
//     first reliable one that finds no room.
package rival
