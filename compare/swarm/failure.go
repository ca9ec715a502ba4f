package swarm

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"

	"strait/client"
	"strait/transport"
)

// maxReasons bounds how many reasons are told apart; what is beyond is "other".
const maxReasons = 32

// What failed.
const (
	opening   = "open"   // the first session of a client
	session   = "ended"  // a session that was open
	reopening = "reopen" // another attempt after that
	sending   = "send"
)

// Failure is something that went wrong, and how often.
type Failure struct {
	// What is "open" for the first session of a client, "ended" for a session that
	// was open, "reopen" for a vain attempt to open another, or "send".
	What    string `json:"what"`
	Reason  string `json:"reason"`
	Count   int    `json:"count"`
	Example string `json:"example"` // the text of the first one
}

// failures counts errors by reason.
type failures struct {
	mu    sync.Mutex
	kinds []Failure
	total int
}

func (f *failures) add(what string, err error) {
	reason := reasonOf(err)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.total++
	if len(f.kinds) >= maxReasons-1 && f.find(what, reason) == nil {
		reason = "other"
	}
	if k := f.find(what, reason); k != nil {
		k.Count++
		return
	}
	f.kinds = append(f.kinds, Failure{What: what, Reason: reason, Count: 1, Example: err.Error()})
}

// find is called with mu held.
func (f *failures) find(what, reason string) *Failure {
	i := slices.IndexFunc(f.kinds, func(k Failure) bool { return k.What == what && k.Reason == reason })
	if i < 0 {
		return nil
	}
	return &f.kinds[i]
}

func (f *failures) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.total
}

// list is the most frequent first.
func (f *failures) list() []Failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := slices.Clone(f.kinds)
	slices.SortStableFunc(list, func(a, b Failure) int { return cmp.Compare(b.Count, a.Count) })
	return list
}

// reasonOf is the part of an error that many clients have in common: no address, no
// session, no port.
func reasonOf(err error) string {
	var dial *client.DialError
	if errors.As(err, &dial) {
		if len(dial.Attempts) > 0 {
			var each []string
			for _, a := range dial.Attempts {
				each = append(each, reasonOf(a))
			}
			return strings.Join(each, "; ")
		}
		return dial.Transport.String() + " " + string(dial.Phase) + ": " + causeOf(dial.Err)
	}
	return causeOf(err)
}

func causeOf(err error) string {
	var (
		reason  transport.Reason
		verify  *client.VerifyError
		errno   syscall.Errno
		dns     *net.DNSError
		large   *transport.TooLargeError
		timeout interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &reason):
		switch {
		case reason.Lost:
			return "connection lost"
		case reason.Remote:
			return "closed by the gateway: " + reason.Code.String()
		}
		return "closed by the client: " + reason.Code.String()
	case errors.As(err, &verify):
		return "certificate not verified"
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &dns):
		return dns.Err
	case errors.As(err, &large):
		return "message too large"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return "other"
}
