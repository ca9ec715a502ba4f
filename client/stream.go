package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"strait/transport"
	"strait/transport/lane"
)

const (
	// linger is how long an end waits for the gateway's CLOSE and FIN.
	linger = time.Second
	// writeChunk is about how much is encoded for one write: one TLS record.
	writeChunk = 16 << 10
)

// stream is the carrier of TLS over TCP: it moves bytes between the connection and
// the lane's core.
type stream struct {
	// static
	link   *link
	conn   *secured
	core   *lane.Core
	lane   *sealedLane // nil where none is wanted
	writer pump

	// any goroutine
	resumed chan struct{} // a token: what was not read may be read now
	broken  chan struct{} // closed by cut
	cutOnce sync.Once

	readErr error // what ended reading; owned by the reader

	// guarded by mu
	mu       sync.Mutex
	writeErr error       // what ended the writer
	last     *time.Timer // cuts a connection that does not end by itself
	ended    bool        // there is nothing to cut any more
	// suspected ends a suspicion; nil: there is none. See suspect.
	suspected *time.Timer
}

func newStream(l *link, conn *secured) *stream {
	s := &stream{
		link: l, conn: conn,
		resumed: make(chan struct{}, 1),
		broken:  make(chan struct{}),
	}
	s.writer.init(s.write)
	s.core = lane.New(lane.Config{Role: lane.Client, Pool: buffers, Resume: s.resume, Pong: l.pings.answered}, l.session)
	l.session.lane = s.core
	return s
}

// wantLane lets the stream take offers of a lane beside it.
func (s *stream) wantLane(l *sealedLane) {
	s.lane = l
	l.suspect = s.suspect
	s.link.session.offered = l.offered
}

func (s *stream) open(hello []byte) bool {
	s.core.ClientHello(hello)
	s.writer.wake()
	for !s.link.session.open.Load() {
		if !s.read() {
			return false
		}
	}
	return true
}

func (s *stream) run() {
	if s.lane != nil && !s.link.session.unwanted.Load() {
		s.lane.start()
	}
	for s.read() {
	}
	s.finish()
}

// read does one read, or waits until reading is allowed again. False: nothing
// more is to be read.
func (s *stream) read() bool {
	if s.over() {
		return false
	}
	space := s.core.Space()
	if space == nil {
		return s.hold()
	}
	n, err := s.conn.Read(space)
	if broke := s.core.Advance(n, time.Now()); broke != nil {
		return false
	}
	if s.core.Owes() {
		s.writer.wake()
	}
	if err != nil {
		s.readErr = err
		s.link.session.end(s.lost(err))
		return false
	}
	return !s.over()
}

// over reports whether the session has ended on this stream.
func (s *stream) over() bool { return s.link.session.refused || s.core.Finished() }

// hold waits until the inbox has room or the PINGs are answered.
func (s *stream) hold() bool {
	s.link.reading.Store(0)
	defer func() { s.link.reading.Store(time.Now().UnixNano()) }()
	select {
	case <-s.resumed:
	case <-s.broken:
		return false
	}
	return s.core.Resume() == nil && !s.core.Finished()
}

// lost is the reason of a connection that ended without CLOSE.
func (s *stream) lost(err error) transport.Reason {
	s.mu.Lock()
	if s.writeErr != nil && errors.Is(err, net.ErrClosed) {
		err = s.writeErr
	}
	s.mu.Unlock()
	text := err.Error()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		text = "the gateway ended the connection without CLOSE"
	}
	// IDLE is what the gateway will call it once it has noticed.
	return transport.Reason{Code: transport.Idle, Text: text, Lost: true}
}

// finish ends the connection, with CLOSE, close_notify and FIN where they can
// still be sent, and releases everything.
func (s *stream) finish() {
	graceful := s.over()
	if graceful {
		s.cutSoon()
		s.writer.wake()
	} else {
		s.cut()
	}
	s.writer.stop()
	if graceful {
		// The writer still sends what is queued and CLOSE; meanwhile what arrives is
		// discarded, so that no reset destroys either.
		_, _ = io.Copy(io.Discard, s.conn)
	}
	s.writer.wait()
	s.cut()
	if s.lane != nil {
		s.lane.stop()
	}
	s.mu.Lock()
	s.ended = true
	if s.last != nil {
		s.last.Stop()
	}
	if s.suspected != nil {
		s.suspected.Stop()
	}
	s.mu.Unlock()
	s.link.session.end(s.lost(net.ErrClosed))
	why := *s.link.session.why.Load()
	s.core.End(why)
	s.link.session.Gone(why)
}

// resume lets the reader go on. Never blocks.
func (s *stream) resume() {
	select {
	case s.resumed <- struct{}{}:
	default:
	}
}

func (s *stream) cut() {
	s.cutOnce.Do(func() {
		close(s.broken)
		_ = s.conn.raw.Close()
	})
}

// cutSoon ends the connection in a while, whatever the gateway does.
func (s *stream) cutSoon() {
	s.mu.Lock()
	if s.last == nil && !s.ended {
		s.last = time.AfterFunc(linger, s.cut)
	}
	s.mu.Unlock()
}

func (s *stream) close(r transport.Reason) {
	s.core.Close(r)
	s.cutSoon()
	s.writer.wake()
	s.resume()
}

func (s *stream) wake(d transport.Delivery, _ uint8) {
	if d == transport.Unreliable && s.link.session.datagrams.Load() {
		s.lane.wake()
		return
	}
	s.writer.wake()
}

func (s *stream) ping() { s.writer.wake() }

func (s *stream) maxUnreliable(most int) int {
	if s.link.session.datagrams.Load() {
		return max(most, s.lane.maxUnreliable())
	}
	return most
}

func (s *stream) describe(i *Info) {
	if s.lane != nil {
		s.lane.describe(i)
	}
}

// errUnbound refuses to move a session that has no lane that could.
var errUnbound = fmt.Errorf("a session over TCP cannot move: %w", errors.ErrUnsupported)

func (s *stream) rebind(ctx context.Context) error {
	if s.lane == nil {
		return errUnbound
	}
	return s.lane.rebind(ctx)
}

func (s *stream) broke() error { return s.readErr }

func (s *stream) path() transport.Path {
	p := s.core.Path()
	p.RTT, p.Jitter = s.link.pings.estimate()
	if s.lane != nil {
		if ns := s.lane.heard.Load(); ns > p.Heard.UnixNano() {
			p.Heard = time.Unix(0, ns)
		}
	}
	return p
}

// write writes until there is nothing left.
func (s *stream) write() {
	b := buffers.Get(writeChunk)
	defer b.Release()
	out := b.B[:0]
	for {
		s.writer.look()
		now := time.Now()
		out = out[:0]
		if s.link.session.open.Load() && !s.core.Closing() {
			out = s.link.pings.append(out, now)
		}
		out, done := s.core.Fill(out, writeChunk, now)
		if len(out) > 0 {
			if _, err := s.conn.Write(out); err != nil {
				s.writeFailed(err)
				return
			}
		}
		if done {
			s.conn.finishWriting()
			s.writer.stop()
			return
		}
		if len(out) == 0 {
			s.core.Idle() // before the next writer may start
			if s.writer.rest() {
				return
			}
		}
	}
}

// writeFailed leaves the reader a while for the CLOSE that may explain it.
func (s *stream) writeFailed(err error) {
	s.mu.Lock()
	s.writeErr = err
	s.mu.Unlock()
	s.writer.stop()
	s.cutSoon()
}
