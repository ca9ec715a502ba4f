// Package kcp carries the game over KCP (github.com/xtaci/kcp-go), set up as games
// set it up: NoDelay(1, 10, 2, 1), wide windows, stream mode off, no forward error
// correction, and AES on every packet with a key that both ends know.
//
// KCP has no opening and no end. So a client sends one frame and waits for it to
// come back, which proves that the server is there, and a server ends a session from
// which nothing came for Config.Idle. A session does not survive a change of the
// client's address. Frames have a length of their own, because KCP cuts what is
// longer than a packet into several messages.
//
//  1. Listen opens the socket; every session has a goroutine that reads and one that
//     writes.
//  2. Dial opens a session and returns when the server has answered.
package kcp
