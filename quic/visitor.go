package quic

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"strait/quic/session"
	"strait/transport"
)

// visitor is a connection from its first packet on. It travels in the connection's
// context, because that is all there is before quic-go hands the connection over.
type visitor struct {
	// static
	l       *Listener
	remote  netip.AddrPort
	from    netip.Prefix
	begun   time.Time
	opening *transport.Opening // nil without a cap
	stop    func() bool        // of the context's AfterFunc

	dropping chan struct{} // closed when dropped is set

	// guarded by mu
	mu      sync.Mutex
	done    bool // the handshake is: complete, or failed
	dropped bool // it made room, or the listener was closed, before there was a session
	why     Failure
	session *session.Session // nil: not yet
}

type visitorKey struct{}

func visitorOf(ctx context.Context) *visitor {
	v, _ := ctx.Value(visitorKey{}).(*visitor)
	return v
}

// admit is quic-go asking whether a connection may be made for a first packet.
func (l *Listener) admit(ctx context.Context, info *quicgo.ClientInfo) (context.Context, error) {
	remote := session.AddrPort(info.RemoteAddr)
	v := &visitor{l: l, remote: remote, from: transport.Network(remote.Addr()), begun: time.Now(), dropping: make(chan struct{})}
	if why, err := l.door.enter(v.from); err != nil {
		l.counters.refusals[why].Add(1)
		return nil, err
	}
	l.counters.begun.Add(1)
	if o := l.config.Openings; o != nil {
		v.opening = o.Begin(v.from, v.evict)
	}
	v.stop = context.AfterFunc(ctx, func() { v.finish(context.Cause(ctx)) })
	return context.WithValue(ctx, visitorKey{}, v), nil
}

// finish notes the end of the handshake; err is nil when it is complete. false: it had
// ended before, or is to fail.
func (v *visitor) finish(err error) bool {
	v.mu.Lock()
	if v.done {
		v.mu.Unlock()
		return false
	}
	v.done = true
	why, failed := v.why, v.dropped
	v.mu.Unlock()
	v.l.door.leave(v.from)
	switch {
	case failed:
	case err != nil:
		why, failed = failureOf(err), true
	}
	if !failed {
		v.l.counters.completed.Add(1)
		return true
	}
	v.l.counters.failures[why].Add(1)
	if why == FailedCertificate {
		if kept, ok := v.l.refused.Allow(time.Now()); ok {
			v.l.config.Logger.Info("a client's certificate was refused", "remote", v.remote, "err", err, "not_logged_before", kept)
		}
	}
	v.leave()
	return false
}

// leave gives back the place among those that are opening.
func (v *visitor) leave() {
	if v.opening != nil {
		v.opening.Done()
	}
}

// handshake waits for the end of the handshake; false: it failed, and the connection is
// closed. quic-go's own limits would let a client that goes on sending take longer than
// an opening may.
func (v *visitor) handshake(conn *quicgo.Conn) bool {
	late := time.NewTimer(time.Until(v.begun.Add(v.l.config.OpenTimeout)))
	defer late.Stop()
	select {
	case <-late.C:
		v.drop(FailedTimeout, nil)
	case <-v.dropping:
	case <-conn.HandshakeComplete():
		v.stop()
		if v.finish(nil) {
			return true
		}
	case <-conn.Context().Done():
		v.finish(context.Cause(conn.Context()))
	}
	v.abort(conn)
	return false
}

// drop makes an unfinished handshake fail, or hands the session to open; it never blocks.
func (v *visitor) drop(why Failure, open func(*session.Session)) {
	v.mu.Lock()
	s := v.session
	if s == nil && !v.dropped {
		v.dropped, v.why = true, why
		close(v.dropping)
	}
	v.mu.Unlock()
	if s != nil {
		open(s)
	}
}

// abort ends a connection that has no session.
func (v *visitor) abort(conn *quicgo.Conn) {
	v.mu.Lock()
	code, text := transport.Overloaded, tooMany
	switch v.why {
	case FailedClosed:
		code, text = transport.Draining, goingAway
	case FailedTimeout:
		code, text = transport.Timeout, session.TooLate
	}
	v.mu.Unlock()
	_ = conn.CloseWithError(quicgo.ApplicationErrorCode(code), text)
	v.finish(net.ErrClosed)
}

const (
	tooMany   = "too many connections are opening"
	goingAway = "the gateway is going away"
)

// evict makes room for a newer connection.
func (v *visitor) evict() {
	v.drop(FailedEvicted, func(s *session.Session) {
		s.CloseOpening(transport.Because(transport.Overloaded, tooMany))
	})
}

// drain ends the connection because its listener is closed.
func (v *visitor) drain() {
	v.drop(FailedClosed, func(s *session.Session) {
		s.Close(transport.Because(transport.Draining, goingAway))
	})
}

// cut ends the connection at once; it waits for quic-go's last packet.
func (v *visitor) cut() {
	v.drop(FailedClosed, func(s *session.Session) {
		s.Cut(transport.Because(transport.Draining, goingAway))
	})
}

// run is the connection's goroutine.
func (v *visitor) run(conn *quicgo.Conn, accept transport.Accept) {
	if !v.handshake(conn) {
		return
	}
	l := v.l
	s := session.New(conn, session.Config{
		Pool: l.config.Pool, MaxMessage: l.config.MaxMessage, MaxUnreliable: l.config.MaxUnreliable,
		Linger: l.config.Linger, LingerBytes: l.config.LingerBytes,
		OpenBy: v.begun.Add(l.config.OpenTimeout), Opened: v.leave, Counters: &l.counters.session,
		Turns: l.turns, Loop: l.loop(),
	})
	v.mu.Lock()
	v.session = s
	dropped, why := v.dropped, v.why
	v.mu.Unlock()
	switch {
	case dropped && why == FailedClosed:
		v.drain()
	case dropped:
		v.evict()
	}
	peer, err := accept(s)
	if err != nil || peer == nil {
		peer = nil
		l.counters.refused.Add(1)
		reason := transport.Reason{Code: transport.Internal}
		if !errors.As(err, &reason) {
			l.config.Logger.Error("a connection was refused without a reason for the client",
				"remote", conn.RemoteAddr().String(), "err", err)
		}
		s.Close(reason)
	}
	s.Run(peer)
	v.leave()
}
