// Package remote is the pool of game logic processes: it spreads sessions over
// backends, carries their events there and carries the commands back.
//
// It owns the streams to the backends, which sessions are on which of them, what
// is queued for them, and what happens when one is lost. It never parses a byte
// that a client sent, never decides who may play, and knows neither sockets nor
// TLS: a [Carrier] such as package link opens the streams.
//
//  1. Each configured entry is a backend with a fixed number of lines; a line
//     dials, serves one stream for as long as it lives, and dials again with
//     backoff. A new connection is a new stream object, so that an old one can
//     never speak for the sessions of its successor.
//  2. A session that opens gets a seat on a stream: the backend by rendezvous
//     hashing on the route, or on the session's id without one, then one of that
//     backend's streams by the id. Without a backend it waits.
//  3. Deliver appends events to their streams' queues and never blocks. The
//     writer of a stream takes the whole queue, encodes it straight from the
//     buffers in batches of up to 4 MiB, and releases the buffers: it flushes when
//     the queue is empty, without timers.
//  4. A full queue shuts the gate of its sessions, so that their reliable messages
//     stay with the clients; unreliable ones give way, the oldest first. A stream
//     that stays full, or does not answer a ping, is lost.
//  5. The reader of a stream carries out its commands, for sessions that are on
//     that very stream, and flushes each touched session once a batch.
//  6. The sessions of a lost stream are announced again elsewhere at once, with
//     what was not written yet and, where the backend acknowledges, what it did not
//     acknowledge. Without another backend they wait for the grace time, behind
//     shut gates, and are then closed UPSTREAM_LOST.
//
// Reliable messages reach game logic exactly once and in order while a stream
// lives. Across the loss of a stream they arrive at least once if the backend
// acknowledges batches, at most once if it does not. Messages in flight to a
// backend that moved their session away and is then lost are lost with it.
//
// # Locks
//
// Every stream has a mutex, which guards its queue and the seats on it. Deliver
// holds one of them at a time and looks again, once it has it, whether the session
// is still there. Everything that takes a session from one stream to another
// holds the pool's failover mutex first, then the source, then the targets; while
// a session has no settled place, events that come for it wait for the source's
// mutex, and so find the new place with all older events queued there. The
// gateway is never called with a stream's mutex held, but for Gate.Shut and
// Slot, which are atomic; with the failover mutex held only Gateway.Moved is.
package remote
