package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"strait/transport"
)

// Phase is the part of an opening that failed.
type Phase string

const (
	PhaseToken   Phase = "token"   // Options.Token
	PhaseResolve Phase = "resolve" // the name of the address
	PhaseConnect Phase = "connect" // TCP, or the handshake of QUIC
	PhaseTLS     Phase = "TLS"     // handshake and check of the certificate
	PhaseHello   Phase = "hello"   // CLIENT_HELLO until SERVER_HELLO or CLOSE
)

// phases lists them in order.
var phases = [...]Phase{PhaseToken, PhaseResolve, PhaseConnect, PhaseTLS, PhaseHello}

// DialError says why an opening failed. Err is the context's error, a
// *net.DNSError, *net.OpError, *VerifyError or *ClientCertificateError, or the
// transport.Reason with which the gateway refused.
type DialError struct {
	// Transport is the one that was tried, Auto where several were.
	Transport Transport
	// Phase is the part that failed; of several attempts the last part that one of
	// them got to.
	Phase Phase
	Addr  string // host:port as it was dialled
	// Err is why; of several attempts errors.Join of them.
	Err error
	// Attempts are the attempts by transport, in the order in which they began; nil
	// where there was one, or where one has decided.
	Attempts []*DialError
}

func (e *DialError) Error() string {
	text := "no session with " + e.Addr + ": "
	if len(e.Attempts) == 0 {
		return text + e.why()
	}
	for i, a := range e.Attempts {
		if i > 0 {
			text += "; and "
		}
		if a.Addr != e.Addr {
			text += a.Addr + ": "
		}
		text += a.why()
	}
	return text
}

// why is the text of one attempt.
func (e *DialError) why() string {
	return fmt.Sprintf("%s: %s: %v%s", e.Transport, e.Phase, e.Err, e.hint())
}

// hint says what would be right, where that can be known.
func (e *DialError) hint() string {
	if errors.Is(e.Err, context.Canceled) {
		return ""
	}
	var (
		verify  *VerifyError
		refused *ClientCertificateError
		record  tls.RecordHeaderError
	)
	switch e.Phase {
	case PhaseResolve:
		return "; check the name, or give an IP address"
	case PhaseConnect:
		if errors.Is(e.Err, syscall.ECONNREFUSED) {
			return "; nothing listens there: is the gateway running, and is this its " + e.Transport.network() + " address?"
		}
		return "; check address, network and firewall"
	case PhaseTLS:
		switch {
		case errors.As(e.Err, &verify), errors.As(e.Err, &refused):
			return "" // it says so itself
		case errors.As(e.Err, &record):
			return "; what answers there does not speak TLS: is this the gateway's TCP address?"
		}
		return "; a gateway speaks TLS 1.3 with ALPN " + alpn + " there"
	case PhaseHello:
		if errors.Is(e.Err, transport.AuthFailed) {
			return "; check the token"
		}
	}
	return ""
}

func (e *DialError) Unwrap() error { return e.Err }

// joined is the error of several attempts that all failed.
func joined(addr string, errs []error) *DialError {
	all := &DialError{Transport: Auto, Addr: addr, Phase: PhaseToken, Err: errors.Join(errs...)}
	for _, err := range errs {
		var one *DialError
		if !errors.As(err, &one) {
			continue
		}
		all.Attempts = append(all.Attempts, one)
		if slices.Index(phases[:], one.Phase) > slices.Index(phases[:], all.Phase) {
			all.Phase = one.Phase
		}
	}
	return all
}

// verification turns the refusal of a certificate into a *VerifyError.
func verification(err error) error {
	var c *tls.CertificateVerificationError
	if errors.As(err, &c) && len(c.UnverifiedCertificates) > 0 {
		return &VerifyError{Fingerprint: Fingerprint(c.UnverifiedCertificates[0]), Err: c.Err}
	}
	return err
}

// cause prefers why ctx ended over what a connection made of that.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// timeoutError is the end of Options.OpenTimeout.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string { return fmt.Sprintf("not done within %v", e.after) }
func (e *timeoutError) Unwrap() error { return context.DeadlineExceeded }
func (e *timeoutError) Timeout() bool { return true }
