// Package link carries batches between the gateway and game logic over a plain
// byte stream: TCP, TLS over TCP, or a Unix socket, each batch behind its length
// in four bytes (upstream.proto).
//
// It owns the connections that it dials and nothing else. It never looks into a
// batch, never retries, and starts no goroutine: package remote does the work, and
// link is one of its carriers.
//
//  1. [Validate] and Parse take the URL of a backend apart.
//  2. Dial connects, and authenticates the backend where the scheme is link+tls.
//  3. Write fills the length in front of the batch in and makes one system call of
//     both; Read gives batches out of one buffer, several to a system call.
package link
