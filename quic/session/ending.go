package session

import (
	"errors"
	"io"
	"os"
	"strings"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"strait/proto/wire"
	"strait/transport"
)

// settle waits, after the peer's CLOSE, for the end of its channel streams: what was sent
// before CLOSE may arrive after it. A peer that does not end them is waited for as long as
// Linger, or as long as this end does not take what has arrived.
func (s *Session) settle() {
	if s.listen(); s.listening {
		s.cancel()
		<-s.admitted
	}
	timer := time.NewTimer(s.config.Linger)
	defer timer.Stop()
	for s.readers.Load() > 0 && s.ending.Load() == nil {
		select {
		case <-s.signal:
		case <-timer.C:
			s.mu.Lock()
			full := s.waiting > 0
			s.mu.Unlock()
			if !full {
				return
			}
			timer.Reset(s.config.Linger)
		}
	}
}

// end finishes a session whose reading has ended: the last words are written, the
// connection is closed, and the peer hears of it when no goroutine is left.
func (s *Session) end() {
	reason := s.reason
	s.ending.CompareAndSwap(nil, &reason)
	closing := s.core.Closing()
	s.core.Close(reason) // has been, unless the connection failed; the writer ends with it
	s.phase.CompareAndSwap(opening, refused)
	s.mu.Lock()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.resumed.Broadcast()
	s.mu.Unlock()
	s.cancel()
	counters := s.config.Counters
	control := s.control.Load()
	switch {
	case reason.Lost:
		counters.lost.Add(1)
	case control == nil, s.dead && !closing:
		counters.forced.Add(1)
	case s.dead && s.written(), !s.dead && s.linger(control): // dead: perhaps in answer to CLOSE
		counters.inOrder.Add(1)
	default:
		counters.forced.Add(1)
	}
	// Who was told goodbye answers with it.
	if reason.Remote {
		reason.Code, reason.Text = transport.Normal, "goodbye"
	}
	s.shut(reason)
	s.crew.end()
	counters.dropped[DropUnsent].Add(uint64(s.lane.detour.drop()))
	if s.peer != nil {
		s.peer.Gone(s.reason)
	}
}

// linger waits until everything up to FIN is written, reading and discarding meanwhile,
// and then goes on so until the peer has ended, too. It reports whether all was written.
func (s *Session) linger(control *quicgo.Stream) bool {
	until := time.Now().Add(s.config.Linger)
	_ = control.SetWriteDeadline(until)
	s.writer.wake()
	scrap := scraps.Get().(*[]byte)
	defer scraps.Put(scrap)
	var written time.Time
	ended := false
	var reset *quicgo.StreamError
	for left := s.config.LingerBytes; left > 0 && !ended; {
		if written.IsZero() && s.writer.state.Load() == stopped {
			if s.broken.Load() {
				return false
			}
			written = time.Now()
			until = written.Add(s.config.Linger)
		}
		_ = control.SetReadDeadline(until)
		n, err := control.Read((*scrap)[:min(left, len(*scrap))])
		left -= n
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(until):
			// Another deadline than the one set here means that something changed.
		case errors.Is(err, io.EOF), errors.As(err, &reset):
			ended = true
		default:
			return s.written()
		}
	}
	if !s.written() {
		return false
	}
	if written.IsZero() {
		written = time.Now()
		until = written.Add(s.config.Linger)
	}
	if ended && !s.reason.Remote {
		// quic-go does not tell what was acknowledged. The peer's FIN may be older than
		// this end's CLOSE, and a channel stream may still be on its way: time for that
		// and one loss. Who said CLOSE first closes the connection first.
		if soon := written.Add(4*s.conn.ConnectionStats().SmoothedRTT + ackDelay); soon.Before(until) {
			until = soon
		}
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-s.conn.Context().Done():
	case <-timer.C:
	}
	return true
}

// ackDelay is how long a peer may keep an acknowledgement back (RFC 9000 section 18.2).
const ackDelay = 25 * time.Millisecond

// written waits for the end of writing, which the write deadline bounds, and reports
// whether it was a good one.
func (s *Session) written() bool {
	for s.writer.state.Load() != stopped {
		<-s.signal
	}
	return !s.broken.Load()
}

// shut closes the connection with r.
func (s *Session) shut(r transport.Reason) {
	text := r.Text
	if text == "" {
		text = r.Code.String()
	}
	if len(text) > wire.MaxReason {
		text = strings.ToValidUTF8(text[:wire.MaxReason], "")
	}
	_ = s.conn.CloseWithError(quicgo.ApplicationErrorCode(r.Code), text)
}
