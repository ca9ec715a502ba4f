// Package gateway is the middle of Strait: it owns the sessions, their way to
// game logic and back, and the order in which everything ends. It knows
// transports and game logic only as the interfaces of packages transport and
// upstream, opens no socket and reads no environment.
//
// Towards game logic:
//
//  1. A listener hands each connection to [Gateway.Accept]; CLIENT_HELLO makes it
//     a session, with a place in the table and a dispatcher shard (opening.go).
//  2. What the session's lanes deliver is pushed on its shard's ring, together
//     with Opened and Closed, so that order holds; a session above its share of
//     the ring is not read from (inbound.go).
//  3. The shard's one consumer drains a batch and hands it to the upstream driver,
//     which never blocks (shard.go).
//
// Towards the players:
//
//  4. Drivers find the session by its handle and queue replies on its outbox
//     (session.go); a publish to a large group is spread by one worker a shard,
//     in order with the other commands (fanout.go, group.go).
//  5. A flush wakes the session's lanes that have work, which pull (outbound is
//     their work). Unreliable messages leave by the lane that an Offerer made for
//     the session while it is bound, by the connection otherwise (offered.go).
//
// Beside the way of a message: one timer wheel for all idle checks (wheel.go),
// one budget of buffered bytes (budget.go), and one written order of shutdown
// (drain.go).
package gateway
