package client

import (
	"fmt"
	"sync"
	"time"

	"strait/transport"
)

// StateKind says what happened to the session.
type StateKind uint8

const (
	// Opened: Dial has opened the first session.
	Opened StateKind = iota + 1
	// GoingAway: the gateway asks the client to be elsewhere by Deadline. The session
	// goes on until it is closed; then the client reconnects, to Redirect if there
	// is one. Moving earlier would cost the session's state for nothing.
	GoingAway
	// Lost: the session has ended for the reason in Err, and the client will try
	// to open another.
	Lost
	// Reconnecting: attempt Attempt begins after Delay, because of Err.
	Reconnecting
	// Reopened: there is a new session. Nothing of the old one was kept.
	Reopened
	// LaneBound: unreliable messages go by sealed UDP from now on.
	LaneBound
	// LaneLost: they go by TCP again, for the reason in Err, until the gateway has made
	// another offer.
	LaneLost
	// Closed: the client has ended for the reason in Err. The last one.
	Closed
)

// String returns the kind in lower case.
func (k StateKind) String() string {
	switch k {
	case Opened:
		return "opened"
	case GoingAway:
		return "going away"
	case Lost:
		return "lost"
	case Reconnecting:
		return "reconnecting"
	case Reopened:
		return "reopened"
	case LaneBound:
		return "lane bound"
	case LaneLost:
		return "lane lost"
	case Closed:
		return "closed"
	}
	return fmt.Sprintf("StateKind(%d)", uint8(k))
}

// State is one thing that happened to the session.
type State struct {
	Kind StateKind
	// Session is the session that it happened to; zero before the first.
	Session transport.ID
	// Err is why; of GoingAway a transport.Reason with the gateway's code.
	Err error
	// Attempt counts from 1 since the last session that lasted. Reconnecting alone.
	Attempt int
	// Delay is the wait before the attempt. Reconnecting alone.
	Delay time.Duration
	// Deadline is how long the session still lives, and Redirect the address to be
	// at then, empty for the same. GoingAway alone.
	Deadline time.Duration
	Redirect string
}

// maxStates bounds what waits for a slow OnState. Beyond it only the newest of
// several alike in a row is kept.
const maxStates = 64

// teller calls OnState in order, from a goroutine that lives while there is
// something to tell.
type teller struct {
	call func(State) // nil: nobody listens
	work sync.WaitGroup

	// guarded by mu
	mu      sync.Mutex
	queue   []State
	telling bool
}

// tell never blocks. Not to be called once wait was.
func (t *teller) tell(s State) {
	if t.call == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if last := len(t.queue) - 1; last+1 >= maxStates && t.queue[last].Kind == s.Kind {
		t.queue[last] = s
		return
	}
	t.queue = append(t.queue, s)
	if !t.telling {
		t.telling = true
		t.work.Go(t.run)
	}
}

func (t *teller) run() {
	for {
		t.mu.Lock()
		if len(t.queue) == 0 {
			t.telling = false
			t.mu.Unlock()
			return
		}
		s := t.queue[0]
		t.queue = t.queue[1:]
		t.mu.Unlock()
		t.call(s)
	}
}

func (t *teller) wait() { t.work.Wait() }
