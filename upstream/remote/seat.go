package remote

import (
	"encoding/binary"
	"strings"
	"sync/atomic"
	"time"

	"strait/proto/straitv1"
	"strait/transport"
	"strait/upstream"
)

// seat is a session's place on a stream, kept in its Slot. A session that moves
// to another route gets a new one.
type seat struct {
	// Static.
	session upstream.Session
	handle  uint64
	route   string
	key     uint64 // hash of the session's id
	shard   int

	// stream is where the seat is now; written with the mutex of both its streams
	// held.
	stream atomic.Pointer[stream]

	// Guarded by the stream's mutex.
	closed  bool // Closed was queued; nothing follows
	moved   bool // closed because the session got another seat
	expired bool // waited for too long; the session is being closed

	// Guarded by the mutex of the waiting stream, while the seat is there.
	backlog []item // all but Opened
	since   time.Time
	gate    *upstream.Gate

	// announced says that the backend was told of the session. The writer of the
	// stream owns it, and once it has ended whoever empties the stream.
	announced bool
}

func newSeat(s upstream.Session, route string) *seat {
	id := s.ID()
	return &seat{
		session: s,
		handle:  s.Handle(),
		route:   route,
		shard:   s.Shard(),
		key:     mix(binary.BigEndian.Uint64(id[:8]) ^ mix(binary.BigEndian.Uint64(id[8:]))),
	}
}

// seatOf returns the session's seat; nil before it has one.
func seatOf(s upstream.Session) *seat {
	t, _ := s.Slot().Driver.Load().(*seat)
	return t
}

// opened is the announcement of the seat's session. Where it is now: a Link event
// is not repeated for a backend that comes later.
func (t *seat) opened() *straitv1.Opened {
	a, now := t.session.Announcement(), t.session.Info()
	id := a.ID
	return &straitv1.Opened{
		SessionId: id[:],
		Subject:   a.Subject,
		Claims:    a.Claims,
		Remote:    now.Remote.String(),
		Transport: straitv1.Transport(now.Kind),
		Route:     t.route,
		Again:     t.announced,
	}
}

// cleanOpened makes an announcement fit for protobuf that holds text that is not
// UTF-8.
func cleanOpened(o *straitv1.Opened) {
	const replacement = "\uFFFD"
	o.Subject = strings.ToValidUTF8(o.Subject, replacement)
	o.Route = strings.ToValidUTF8(o.Route, replacement)
	claims := make(map[string]string, len(o.Claims))
	for k, v := range o.Claims {
		claims[strings.ToValidUTF8(k, replacement)] = strings.ToValidUTF8(v, replacement)
	}
	o.Claims = claims
}

// linkChanged is the session's path as it is now.
func linkChanged(s upstream.Session) *straitv1.LinkChanged {
	info := s.Info()
	return &straitv1.LinkChanged{
		Transport:   straitv1.Transport(info.Kind),
		Remote:      info.Remote.String(),
		RttUs:       uint32(max(0, info.Path.RTT.Microseconds())),
		LossPpm:     info.Path.LossPPM,
		JitterUs:    uint32(max(0, info.Path.Jitter.Microseconds())),
		QueuedBytes: uint32(max(0, info.Queued)),
	}
}

var moved = &transport.Reason{Code: transport.Normal, Text: "moved"}
