// Package upstream is the contract between the gateway and game logic: what a
// driver is given, what it may ask for, and how it holds back what it cannot take.
//
// It owns the types that gateway and drivers share and nothing that runs. The
// drivers are packages below it: inproc (echo, or a Go handler) and remote, the
// pool of backends, over a carrier such as link.
//
//  1. A shard's consumer hands a batch of events to [Driver.Deliver], which never
//     blocks and takes every buffer.
//  2. A driver that is falling behind shuts the [Gate] of the sessions concerned:
//     their reliable messages stay with the client until it opens.
//  3. Game logic's commands reach the gateway through [Gateway]; replies are queued
//     with Session.Send and one Flush a session ends the batch.
package upstream

import (
	"context"
	"net/netip"

	"strait/transport"
)

// EventKind is what an Event tells game logic.
type EventKind uint8

const (
	Opened  EventKind = iota + 1
	Message           // Event.Message
	Closed            // Event.Reason
	Link              // the session's Info changed
)

// Event is one thing that happened to a session. All events of one session reach
// a driver in order and from one goroutine at a time.
type Event struct {
	Session Session
	Kind    EventKind
	Message transport.Message // Kind Message
	Reason  *transport.Reason // Kind Closed
	// Stamp is when the event was queued, in nanoseconds of the gateway's monotonic
	// clock; 0 for events whose latency is not sampled.
	Stamp int64
}

// Release gives the event's buffer back and credits its session, which may then
// read on. Whoever takes an event releases it exactly once; events without a
// buffer may be released, too.
func (e *Event) Release() {
	b := e.Message.Buf
	if b == nil {
		return
	}
	e.Message.Buf = nil
	n := len(b.B)
	b.Release()
	e.Session.Consumed(n)
}

// Session is a session as drivers see it.
type Session interface {
	transport.Session
	// Announcement is what Opened tells game logic. It does not change.
	Announcement() *Announcement
	// Shard is the dispatcher shard on which the session's events come.
	Shard() int
	// Slot is the driver's own place in the session.
	Slot() *Slot
	// Consumed credits one message of n payload bytes that game logic has taken.
	Consumed(n int)
	// ResumeReading offers again what a shut gate held back. It never blocks.
	ResumeReading()
}

// Announcement introduces a session to game logic. Read-only once made.
type Announcement struct {
	ID        transport.ID
	Subject   string            // the authenticated player; empty without authentication
	Claims    map[string]string // of the authentication; nil without
	Remote    netip.AddrPort    // of the client itself
	Transport transport.Kind
	Route     string
}

// Driver carries events to game logic and its commands back.
type Driver interface {
	// Start begins work. Commands go to g. Called once, before Deliver.
	Start(g Gateway) error
	// Deliver takes a batch in order and the buffers in it; batch itself is borrowed.
	// It never blocks. Batches of different shards come concurrently, those of one
	// shard do not.
	Deliver(shard int, batch []Event)
	// Ready reports whether game logic can be reached, and if not why.
	Ready() (ok bool, why string)
	// Barrier returns when game logic has answered everything delivered before it
	// with the commands that it produces at once, or when ctx is done.
	Barrier(ctx context.Context) error
	// Status is a snapshot for admin and metrics.
	Status() Status
	// Close ends all streams and returns when all goroutines have ended. Events that
	// come later are released and counted. Idempotent.
	Close() error
}

// Gateway is what a driver may ask of the gateway. All methods are safe for
// concurrent use and do not block on any client. Sends to one session from one
// goroutine keep their order, fan-outs included.
type Gateway interface {
	// Session finds a live session; nil when the handle is unknown.
	Session(handle uint64) Session
	// Send queues m for s and takes m.Buf always. It is Session.Send in order with
	// the publishes that came before it. What it refuses it has counted.
	Send(s Session, m transport.Message) error
	// Flush is Session.Flush in the same order.
	Flush(s Session)
	// BeginBatch and EndBatch stand around the Sends and Flushes of one batch of
	// commands: what they give rise to may be written at EndBatch only, for many
	// sessions at once. Pairs of several goroutines may overlap.
	BeginBatch()
	EndBatch()
	// CloseSession is Session.Close in the same order.
	CloseSession(s Session, r transport.Reason)
	// Join and Leave change the members of a group of a route. Empty groups do not
	// exist.
	Join(route, group string, s Session)
	Leave(route, group string, s Session)
	// Publish sends one payload to every member of a group but those whose handle is
	// in except, and flushes them. It takes m.Buf always and returns the number of
	// members addressed.
	Publish(route, group string, m transport.Message, except []uint64) int
	// Moved says that s was handed to another route: it leaves its groups.
	Moved(s Session, route string)
	// Drop counts something that a driver discarded.
	Drop(r Drop, n int)
	// Buffers is the pool for payloads.
	Buffers() *transport.Pool
	// Shards is the number of dispatcher shards: Deliver's shard is below it.
	Shards() int
}

// Status describes a driver for admin and metrics.
type Status struct {
	Driver  string         `json:"driver"` // "echo", "inproc", "link", …
	Streams []StreamStatus `json:"streams,omitempty"`
	// Waiting is the number of sessions without a backend, within the grace time.
	Waiting int `json:"waiting"`
}

// StreamStatus describes one stream to a backend.
type StreamStatus struct {
	Backend      string `json:"backend"` // as configured
	Name         string `json:"name"`    // what LogicHello said
	Stream       int    `json:"stream"`
	State        string `json:"state"` // "connecting", "live", "draining"
	Sessions     int    `json:"sessions"`
	QueuedEvents int    `json:"queued_events"` // not written yet
	QueuedBytes  int    `json:"queued_bytes"`
	Unacked      int    `json:"unacked_bytes"` // kept until acknowledged
	LagMicros    int64  `json:"lag_us"`        // age of the oldest event not written yet
	Lost         uint64 `json:"lost"`          // times that this stream was lost
	Error        string `json:"error,omitempty"`
}
