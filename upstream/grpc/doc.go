// Package grpc carries batches between the gateway and game logic that serves
// strait.v1.GameLogic (upstream.proto) with any gRPC library: over TCP, TLS, or a
// Unix socket, one Attach call a stream.
//
// It owns the connections that it dials and nothing else. It never looks into a
// batch, never retries, and never connects twice for one stream: package remote does
// the work, and grpc is one of its carriers. It sends no keepalive of HTTP/2, which
// servers refuse when it comes often; the pool's own pings notice a silent backend.
//
//  1. [Validate] and Parse take the URL of a backend apart.
//  2. Dial connects, and authenticates the backend where the scheme is grpcs.
//  3. Over that connection it asks the standard health service: a backend that says
//     that it is not serving is not attached to; one without the service is healthy.
//  4. It calls Attach and asks for health once more. A server without GameLogic has
//     refused the call by the time that it answers, or soon after, so that the pool
//     gives no session to it.
//  5. Write and Read are messages of that call. Batches are protobuf already and pass
//     through a codec that leaves them alone. Write returns when gRPC has taken a
//     copy, and waits while the backend does not read.
//
// Health is asked for when a stream is opened. While one lives, a backend that wants
// to leave says LogicHello.draining, and pings tell whether it works.
package grpc
