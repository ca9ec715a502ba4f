package session

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"strait/transport"
	"strait/transport/lane"
)

// Run moves everything between the connection and peer until the connection has ended
// and Gone was said. peer is nil for a connection that is refused: then Close was called
// before. Called once.
func (s *Session) Run(peer transport.Peer) {
	s.peer = peer
	if s.datagrams && s.crew.enter() {
		go s.lane.receive()
	}
	control, err := s.establish()
	if err == nil {
		s.control.Store(control)
		s.writer.release()
		s.read(control)
	} else {
		s.failed(err)
	}
	s.end()
}

// establish opens the control stream, or waits for the client to. A connection that is
// to be refused is given until Linger after its handshake, so that CLOSE can say more
// than the QUIC stack.
func (s *Session) establish() (*quicgo.Stream, error) {
	if s.config.Role == lane.Client {
		return s.conn.OpenStream()
	}
	control, err := s.conn.AcceptStream(s.accept)
	if err != nil && s.ending.Load() != nil && s.conn.Context().Err() == nil {
		ctx, cancel := context.WithDeadline(context.Background(), s.born.Add(s.config.Linger))
		defer cancel()
		return s.conn.AcceptStream(ctx)
	}
	return control, err
}

// read moves what arrives on the control stream until reading has ended and Closing was
// told.
func (s *Session) read(control *quicgo.Stream) {
	for {
		if r := s.ending.Load(); r != nil {
			s.core.End(*r)
			return
		}
		s.listen()
		space := s.core.Space()
		if space == nil {
			if s.core.Finished() {
				return
			}
			<-s.signal
			_ = s.core.Resume() // an error is the end that Finished tells
			s.owe()
			continue
		}
		n, err := control.Read(space)
		if n > 0 {
			now := time.Now()
			_ = s.core.Advance(n, now) // likewise
			s.owe()
			s.countStreams(now)
		}
		if err != nil && !s.core.Finished() {
			s.failed(err)
		}
	}
}

// owe wakes the writer if what was read asks for an answer.
func (s *Session) owe() {
	if s.core.Owes() {
		s.writer.wake()
	}
}

// failed judges an error of the connection or the control stream. After it either
// reading has ended or the end was asked for.
func (s *Session) failed(err error) {
	var reset *quicgo.StreamError
	switch {
	case s.ending.Load() != nil && (errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
		s.core.End(*s.ending.Load())
	case errors.As(err, &reset) && reset.Remote:
		s.breach("%s reset the control stream: it ends with CLOSE and FIN", s.sender())
	default:
		s.dead = true
		s.core.End(s.lossOf(err))
	}
}

// lossOf is the reason of a connection that ended without CLOSE. Where this end had
// asked for the end before, that counts, whatever the peer then said.
func (s *Session) lossOf(err error) transport.Reason {
	var app *quicgo.ApplicationError
	switch {
	case s.ending.Load() != nil:
		return *s.ending.Load()
	case errors.As(err, &app) && app.Remote:
		return transport.Reason{Code: transport.Code(min(app.ErrorCode, 0xffff)), Text: app.ErrorMessage, Remote: true}
	case errors.Is(err, io.EOF):
		err = errors.New(s.sender() + " ended the control stream without CLOSE")
	}
	return transport.Reason{Code: transport.Normal, Lost: true, Text: err.Error()}
}

// cancelled is a context that lets a call look and not wait.
var cancelled = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// lookEvery is the least time between two looks for streams that must not be there.
const lookEvery = 50 * time.Millisecond

// countStreams ends the session if the peer has opened a bidirectional stream beside the
// control stream. quic-go tells of one only to who waits for it; looking when something
// else has arrived, and whenever the path is measured, spares every session a goroutine.
func (s *Session) countStreams(now time.Time) {
	if s.control.Load() == nil {
		return // the first one is not there yet
	}
	if at := s.looked.Load(); now.UnixNano()-at < int64(lookEvery) {
		return
	}
	s.looked.Store(now.UnixNano())
	if stream, err := s.conn.AcceptStream(cancelled); err == nil {
		stream.CancelRead(0)
		stream.CancelWrite(0)
		s.breach("%s opened a second bidirectional stream: there is one, the control stream", s.sender())
	}
}
