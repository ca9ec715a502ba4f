package configs

import (
	"fmt"
	"strings"

	"strait/upstream/endpoint"
)

// Problem is one thing wrong with the environment.
type Problem struct {
	Variable string // full name
	Given    string // the value in quotes, secrets hidden; empty when no value is to be shown
	Reason   string // what is wrong
	Want     string // what would be right; may be empty
	Err      error  // what the system said; may be nil
}

// Error returns the problem on one line.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Variable)
	if p.Given != "" {
		b.WriteString("=" + p.Given)
	}
	b.WriteString(": " + p.Reason)
	if p.Want != "" {
		b.WriteString("; want " + p.Want)
	}
	return b.String()
}

func (p *Problem) Unwrap() error { return p.Err }

// Errors is every problem of an environment. It is what [Load] and
// [Config.FitOpenFiles] return when they refuse.
type Errors struct {
	Problems []*Problem // in the order of the reference, unknown variables last
}

// Error returns one problem a line.
func (e *Errors) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.Is and errors.As look at every problem.
func (e *Errors) Unwrap() []error {
	out := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		out[i] = p
	}
	return out
}

// Notice is something that is no problem but that the operator should see once, in
// the log.
type Notice struct {
	Variables []string // full names
	Text      string
	// Warning says that something should be changed.
	Warning bool
}

// String returns the notice on one line.
func (n Notice) String() string {
	return strings.Join(n.Variables, ", ") + ": " + n.Text
}

// maxShown bounds how much of a wrong value is repeated, in bytes.
const maxShown = 200

// shown returns a value from the environment as it may be printed: in quotes, of
// bounded length, and without what somebody may have put there that is secret, the
// contents of a PEM file or a password before an @.
func shown(value string) string {
	if holdsPEM(value) {
		return fmt.Sprintf("(%d bytes, hidden)", len(value))
	}
	value = endpoint.Masked(value)
	if len(value) > maxShown {
		value = strings.ToValidUTF8(value[:maxShown], "") + "…"
	}
	return fmt.Sprintf("%q", value)
}

func holdsPEM(value string) bool { return strings.Contains(value, "-----BEGIN") }
