// Package client is the Go SDK: it opens a session with a Strait gateway, sends
// and receives messages by delivery class and channel, and opens the session
// again when the connection is lost.
//
// It owns the opening (connect, TLS, hello), the choice of a transport, the check of
// the server's certificate, the goroutines that read and, while there is something to
// write, write, and the decision whether to come back. It never trusts a server that
// it could not verify, never keeps more than its buffers allow, and reaches no part of
// the gateway: of QUIC and sealed UDP it has what both ends share, quic/session and
// udp/sealed.
//
//  1. [Dial] connects, verifies the server, sends CLIENT_HELLO and waits for
//     SERVER_HELLO. Why it failed is returned as a [*DialError].
//  2. [Client.Send] copies a message to the session's outbound queue; the session's
//     carrier pulls whatever is queued: into as few TLS records as it can, into the
//     channel's QUIC stream, or, if it is unreliable, into datagrams.
//  3. Readers hand whole messages to the inbox, [Client.Receive] takes them out. An
//     inbox full of reliable messages stops the reader, and TCP or QUIC the gateway.
//  4. When a session ends, its close code decides (table below): the client
//     waits, opens a new session, says so with [Options.OnState], and Send and
//     Receive go on; or it ends, and they return why.
//
// # Which transport is taken
//
// [Auto], the default, dials QUIC and, when that has failed or after
// [Options.FallbackDelay], TCP beside it; the first session that opens is used. Only
// one of the two says hello at a time, unless the gateway leaves it without an answer
// for 2 s, because a gateway may let a player have one session alone; what comes too
// late says goodbye. Where TCP won, the process begins with it at that address for ten
// minutes, also when it reconnects. Over TCP unreliable messages go by sealed UDP once
// the gateway's offer is bound ([LaneBound]), and by TCP, newest first, until then and
// whenever UDP stops ([LaneLost]).
//
// Two things end the attempts at once, because another transport would only hide them:
// a server that answers and cannot be verified ([VerifyError]), and a gateway that
// answers with a refusal, of the session or of the client's certificate
// ([ClientCertificateError]). The error then tells of that attempt alone.
//
// The UDP sockets are bound to no address, so that a session over QUIC or with a lane
// follows the machine's routes; [Client.Rebind] moves it by hand.
//
// # What a new session means
//
// There is no resume yet: a session that was opened again has a new id, and what
// game logic knew of the old one is gone. Messages that were queued but not yet
// written when the connection was lost are dropped and counted
// ([Counters.LostReliable]); whether the last ones written have arrived is not
// known. While there is no session a reliable Send waits and an unreliable one is
// dropped. Who must speak first in a new session (log in, join a match) sets
// [Reconnect.Off] and dials again himself, so that nothing overtakes it.
//
// # Which ends are followed by a new session
//
//	connection lost  yes   without a CLOSE nobody decided to end it
//	NORMAL           no    it was asked for
//	PROTOCOL_ERROR   no    the same bytes would break the same rule again
//	VERSION          no    this client is too old or too new
//	AUTH_FAILED      no    the token was refused; sending it again looks like an attack
//	IDLE             yes   the path was dead longer than the gateway waits
//	TIMEOUT          yes   the opening took too long; the next may be quicker
//	OVERLOADED       yes   after retry_after_ms
//	DRAINING         yes   after retry_after_ms, to GOAWAY's redirect if there was one
//	KICKED           no    game logic or an operator wants the player out
//	SUPERSEDED       no    the player is elsewhere; two clients would throw each other out for ever
//	TOO_SLOW         yes   mostly a path that stalled; a new session begins with empty queues,
//	                       and the backoff grows while sessions stay short
//	TOO_BIG          no    never sent by a gateway
//	UPSTREAM_LOST    yes   game logic comes back
//	RATE_LIMITED     only with retry_after_ms: coming back unasked would evade the limit
//	INTERNAL         yes   the gateway's fault, not the client's
//	unknown codes    only with retry_after_ms: then the gateway asks for it
//
// A certificate that does not verify ends the client, also while it reconnects:
// somebody else answers at that address, or the certificate was changed, and
// either is for a person to look at. So does a gateway that does not take the client's
// own certificate ([ClientCertificateError]): the next attempt would show the same one.
// Other failures to connect are tried again.
//
// # When the application does not receive
//
// The inbox is bounded ([Options.ReceiveBufferBytes]). While it is full of
// reliable messages nothing more is read: the gateway's PINGs stay unanswered,
// the client sends none of its own, [Client.Ping] waits, and the end of the
// connection goes unnoticed. In the end the gateway closes the session TOO_SLOW
// (it had more to send) or IDLE (it heard nothing). A client that only sends must
// receive, too.
package client
