package quic

import (
	"context"
	"crypto/tls"
	"errors"
	"sync/atomic"

	quicgo "github.com/quic-go/quic-go"

	"strait/quic/session"
)

// Failure says why a handshake was not completed.
type Failure uint8

const (
	FailedVersion     Failure = iota // the client offers no TLS 1.3
	FailedALPN                       // the client does not offer strait/1
	FailedTimeout                    // it took too long
	FailedClient                     // the client gave up
	FailedTLS                        // TLS that is not well done
	FailedQUIC                       // QUIC that is not well done
	FailedCertificate                // the client's own is not good, or missing where one is asked for
	FailedEvicted                    // it made room for a newer one
	FailedClosed                     // the listener was closed

	failures // count; keep last
)

var failureNames = [failures]string{"version", "alpn", "timeout", "client", "tls", "quic", "certificate", "evicted", "closed"}

// Failures is the number of Failure values; they are 0 to Failures-1.
const Failures = int(failures)

// String returns a name for logs and metrics.
func (f Failure) String() string {
	if f < failures {
		return failureNames[f]
	}
	return "unknown"
}

// Refusal says why a handshake was not begun.
type Refusal uint8

const (
	RefusedFull    Refusal = iota // Config.Handshakes are unfinished
	RefusedAddress                // Config.HandshakesPerAddress of its address are
	RefusedClosed                 // the listener accepts no more

	refusals // count; keep last
)

var refusalNames = [refusals]string{"full", "address", "closed"}

// Refusals is the number of Refusal values; they are 0 to Refusals-1.
const Refusals = int(refusals)

// String returns a name for logs and metrics.
func (r Refusal) String() string {
	if r < refusals {
		return refusalNames[r]
	}
	return "unknown"
}

// Stats is a snapshot of a Listener's counters, all since it was made but Open and
// Unfinished.
type Stats struct {
	Begun             uint64           // handshakes
	Completed         uint64           // handshakes
	HandshakeFailures [Failures]uint64 // by Failure
	HandshakeRefusals [Refusals]uint64 // first packets, by Refusal; a client may send several
	Retries           uint64           // first packets answered by asking for proof of the address
	Refused           uint64           // by the Accept function
	Open              int64            // connections now, whatever their state
	Unfinished        int              // handshakes now
	// Session is what happens on connections.
	Session session.Stats
}

type counters struct {
	begun, completed, retries, refused atomic.Uint64
	failures                           [Failures]atomic.Uint64
	refusals                           [Refusals]atomic.Uint64
	session                            session.Counters
}

// Stats returns what was counted so far.
func (l *Listener) Stats() Stats {
	c := &l.counters
	s := Stats{
		Begun: c.begun.Load(), Completed: c.completed.Load(), Retries: c.retries.Load(),
		Refused: c.refused.Load(), Open: int64(l.visitors.Len()), Unfinished: l.door.unfinished(),
		Session: c.session.Stats(),
	}
	for i := range s.HandshakeFailures {
		s.HandshakeFailures[i] = c.failures[i].Load()
	}
	for i := range s.HandshakeRefusals {
		s.HandshakeRefusals[i] = c.refusals[i].Load()
	}
	return s
}

// TLS alerts, as QUIC carries them (RFC 9001 section 4.8).
const (
	cryptoError  = 0x100
	alertVersion = cryptoError + 70  // protocol_version
	alertNoALPN  = cryptoError + 120 // no_application_protocol
)

// failureOf is why a handshake ended, from the cause that quic-go gives.
func failureOf(err error) Failure {
	var (
		broken *quicgo.TransportError
		app    *quicgo.ApplicationError
		idle   *quicgo.IdleTimeoutError
		late   *quicgo.HandshakeTimeoutError
	)
	switch {
	case errors.As(err, &idle), errors.As(err, &late), errors.Is(err, context.DeadlineExceeded):
		return FailedTimeout
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return FailedCertificate
	case errors.As(err, &broken):
		switch code := broken.ErrorCode; {
		case code == alertNoALPN:
			return FailedALPN
		case code == alertVersion:
			return FailedVersion
		case broken.Remote:
			return FailedClient
		case code >= cryptoError && code <= cryptoError+0xff:
			return FailedTLS
		}
	case errors.As(err, &app) && app.Remote:
		return FailedClient
	}
	return FailedQUIC
}
