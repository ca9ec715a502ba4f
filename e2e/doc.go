// Package e2e tests the whole gateway from outside: the real binary as a child
// process, spoken to through its public faces alone.
//
// It owns a client and a backend of its own, written from the two published
// contracts and nothing else: bytes over crypto/tls for the client's wire
// protocol, length-prefixed protobuf for the link to game logic. It never imports
// the gateway's codecs, SDKs or internals, so that a mistake which both of their
// ends share is still found here. It has no code outside its tests.
//
//  1. TestMain builds the command strait once, with the race detector if the tests
//     run under it.
//  2. A test starts gateways with the environment it needs, on loopback ports that
//     the system picks and the log tells (process_test.go).
//  3. Players (player_test.go) and backends (logic_test.go) act; the test asserts
//     on the wire, the admin endpoints (admin_test.go), the log and the exit status.
//  4. Every gateway is ended with SIGTERM and must exit with status 0; a data race
//     or a panic in its output fails the test.
package e2e
