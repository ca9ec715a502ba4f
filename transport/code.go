package transport

import (
	"fmt"
	"net"
	"time"
)

// Code says why a session ended (WIRE.md section 9). It is an error, so that
// errors.Is(err, transport.Kicked) asks for one cause whatever the text.
type Code uint16

const (
	Normal Code = iota
	ProtocolError
	Version
	AuthFailed
	Idle
	Timeout
	Overloaded
	Draining
	Kicked
	Superseded
	TooSlow
	TooBig
	UpstreamLost
	RateLimited
	Internal

	codes // count; keep last
)

var codeNames = [codes]string{
	"NORMAL", "PROTOCOL_ERROR", "VERSION", "AUTH_FAILED", "IDLE", "TIMEOUT", "OVERLOADED", "DRAINING",
	"KICKED", "SUPERSEDED", "TOO_SLOW", "TOO_BIG", "UPSTREAM_LOST", "RATE_LIMITED", "INTERNAL",
}

// Codes is the number of codes that WIRE.md defines; they are 0 to Codes-1.
const Codes = int(codes)

// Known reports whether WIRE.md defines c.
func (c Code) Known() bool { return c < codes }

// String returns the name of WIRE.md section 9, or "CODE_n" for an unknown one.
func (c Code) String() string {
	if c.Known() {
		return codeNames[c]
	}
	return fmt.Sprintf("CODE_%d", uint16(c))
}

// Error makes a Code usable as a target of errors.Is.
func (c Code) Error() string { return c.String() }

// Reason is why a session or a connection ended. As an error it matches its
// Code and net.ErrClosed.
type Reason struct {
	Code Code
	// Text is for a person; empty means the code says it all.
	Text string
	// RetryAfter is how long the client should stay away; 0 is not said.
	RetryAfter time.Duration
	// Remote is true when the other end said so in a CLOSE frame.
	Remote bool
	// Lost is true when the connection ended without a CLOSE frame.
	Lost bool
}

// overloadedRetry is when a client may come back to a limit of which nothing better is
// known.
const overloadedRetry = 2 * time.Second

// Because returns a local reason with formatted text. OVERLOADED says when to come back
// (WIRE.md section 9).
func Because(c Code, format string, args ...any) Reason {
	r := Reason{Code: c, Text: fmt.Sprintf(format, args...)}
	if c == Overloaded {
		r.RetryAfter = overloadedRetry
	}
	return r
}

func (r Reason) Error() string {
	by := "closed"
	switch {
	case r.Remote:
		by = "closed by the peer"
	case r.Lost:
		by = "connection lost"
	}
	if r.Text == "" {
		return by + ": " + r.Code.String()
	}
	return by + ": " + r.Code.String() + ": " + r.Text
}

// Unwrap lets errors.Is match the code and net.ErrClosed.
func (r Reason) Unwrap() []error { return []error{r.Code, net.ErrClosed} }
