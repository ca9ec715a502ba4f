package client

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"strait/transport"
)

// ReconnectError says that the client has ended because it could not or would
// not open another session. It matches what its Err matches, and net.ErrClosed.
type ReconnectError struct {
	// After is why the last session ended.
	After transport.Reason
	// Attempts is how many openings failed since then.
	Attempts int
	// Err is the last failure.
	Err error
}

func (e *ReconnectError) Error() string {
	attempts := "1 attempt"
	if e.Attempts != 1 {
		attempts = fmt.Sprintf("%d attempts", e.Attempts)
	}
	return fmt.Sprintf("%v; not opened again after %s: %v", e.After, attempts, e.Err)
}

func (e *ReconnectError) Unwrap() []error { return []error{e.Err, net.ErrClosed} }

// comesBack is the table of the package comment.
func comesBack(r transport.Reason) bool {
	if r.Lost {
		return true
	}
	if !r.Remote {
		// This end closed: the gateway broke the protocol.
		return false
	}
	switch r.Code {
	case transport.Idle, transport.Timeout, transport.Overloaded, transport.Draining,
		transport.TooSlow, transport.UpstreamLost, transport.Internal:
		return true
	case transport.Normal, transport.ProtocolError, transport.Version, transport.AuthFailed,
		transport.Kicked, transport.Superseded, transport.TooBig:
		return false
	}
	return r.RetryAfter > 0
}

// triesAgain says whether an opening that failed with err is worth another, and
// after how long at the least.
func triesAgain(err error) (again bool, after time.Duration) {
	var r transport.Reason
	if errors.As(err, &r) {
		return comesBack(r), r.RetryAfter
	}
	var v *VerifyError
	var c *ClientCertificateError
	return !errors.As(err, &v) && !errors.As(err, &c), 0
}

// backoff is the wait before the n-th attempt, n from 1: what the gateway asked
// for, and a random part of the growing step so that clients do not come back
// all at once.
func (r Reconnect) backoff(n int, after time.Duration) time.Duration {
	step := r.Min
	for ; n > 1 && step < r.Max; n-- {
		if step > r.Max/2 {
			step = r.Max
			break
		}
		step *= 2
	}
	return after + rand.N(step)
}
