package tcp

import "sync/atomic"

// Failure says why a connection ended before its TLS handshake was done.
type Failure uint8

const (
	FailedVersion     Failure = iota // the client offers no TLS version that is allowed
	FailedALPN                       // the client does not offer strait/1
	FailedTimeout                    // the opening deadline passed
	FailedEOF                        // the client went away
	FailedTLS                        // not TLS, or not well done
	FailedCertificate                // the client's own is not good, or missing where one is asked for
	FailedEvicted                    // it made room for a newer one
	FailedClosed                     // the listener was closed

	failures // count; keep last
)

var failureNames = [failures]string{"version", "alpn", "timeout", "eof", "tls", "certificate", "evicted", "closed"}

// Failures is the number of Failure values; they are 0 to Failures-1.
const Failures = int(failures)

// String returns a name for logs and metrics.
func (f Failure) String() string {
	if f < failures {
		return failureNames[f]
	}
	return "unknown"
}

// Stats is a snapshot of a Listener's counters, all since it was made but Open.
type Stats struct {
	Accepted     uint64
	AcceptErrors uint64 // such as no file descriptors left
	// HandshakeFailures counts by Failure.
	HandshakeFailures [Failures]uint64
	Refused           uint64 // by the Accept function
	Open              int64  // connections now, whatever their state
	BytesIn, BytesOut uint64 // on the wire, with TLS's own
	Lingered          uint64 // ended in order: CLOSE, close_notify and FIN were written
	Forced            uint64 // cut before their CLOSE was written
	Lost              uint64 // ended by the client without CLOSE
}

type counters struct {
	accepted, acceptErrors, refused  atomic.Uint64
	failures                         [Failures]atomic.Uint64
	bytesIn, bytesOut                atomic.Uint64
	lingered, forced, lostByTheOther atomic.Uint64
}

// Stats returns what was counted so far.
func (l *Listener) Stats() Stats {
	c := &l.counters
	s := Stats{
		Accepted: c.accepted.Load(), AcceptErrors: c.acceptErrors.Load(), Refused: c.refused.Load(),
		Open: int64(l.conns.Len()), BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		Lingered: c.lingered.Load(), Forced: c.forced.Load(), Lost: c.lostByTheOther.Load(),
	}
	for i := range s.HandshakeFailures {
		s.HandshakeFailures[i] = c.failures[i].Load()
	}
	return s
}
