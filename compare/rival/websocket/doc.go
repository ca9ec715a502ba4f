// Package websocket carries the game over WebSocket (github.com/coder/websocket) on
// TLS: a binary message for each of the game's, no compression, TCP_NODELAY.
//
//  1. Listen serves HTTP/1.1 on TLS; the one path upgrades. Every session has a
//     goroutine that reads and one that writes.
//  2. Dial returns when the upgrade is done.
package websocket
