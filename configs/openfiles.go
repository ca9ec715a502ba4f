package configs

import "fmt"

// What the process needs of its open files besides one for each session and each
// unfinished connection.
const (
	ownFiles      = 128 // standard streams, listeners, pollers, admin, certificates, names being resolved
	minHandshakes = 16  // the least that a default is lowered to
)

// FitOpenFiles holds the limits on sessions and unfinished connections against the
// process's limits of open files, as [OpenFiles] returns them; it counts with soft,
// which Go has raised to hard at start. Defaults that do not fit are lowered, each
// with a notice; values that the environment gave are refused, with an [*Errors].
func (c *Config) FitOpenFiles(soft, hard uint64) ([]Notice, error) {
	own := int64(ownFiles)
	for range c.Upstream.Backends {
		own += 2 * c.Upstream.Streams // the next connection may open before the last one is gone
	}
	g := &c.Gateway
	if soft >= uint64(own+g.MaxSessions+g.MaxHandshakes) {
		return nil, nil
	}
	free := int64(soft) - own
	sessions, handshakes := g.MaxSessions, g.MaxHandshakes
	if !c.given[nameHandshakes] {
		handshakes = min(handshakes, max(free/8, minHandshakes))
		if c.given[nameSessions] {
			handshakes = min(g.MaxHandshakes, max(free-sessions, minHandshakes))
		}
	}
	if !c.given[nameSessions] {
		sessions = min(sessions, free-handshakes)
	}
	if sessions < 1 || sessions+handshakes > free {
		return nil, c.tooFewFiles(soft, hard, own)
	}
	var notices []Notice
	lower := func(name string, field *int64, to int64) {
		if *field == to {
			return
		}
		text := fmt.Sprintf("lowered from %d to fit the limit of %d open files", *field, soft)
		c.note(name, text)
		notices = append(notices, Notice{Variables: []string{name}, Text: fmt.Sprintf("%d, %s; %s for more", to, text, raise(soft, hard))})
		*field = to
	}
	lower(nameSessions, &g.MaxSessions, sessions)
	lower(nameHandshakes, &g.MaxHandshakes, handshakes)
	return notices, nil
}

func (c *Config) tooFewFiles(soft, hard uint64, own int64) error {
	name, value := nameSessions, c.Gateway.MaxSessions
	if !c.given[nameSessions] && c.given[nameHandshakes] {
		name, value = nameHandshakes, c.Gateway.MaxHandshakes
	}
	need := own + c.Gateway.MaxSessions
	switch {
	case c.given[nameHandshakes] && c.given[nameSessions]:
		need += c.Gateway.MaxHandshakes
	case c.given[nameHandshakes]:
		need = own + 1 + c.Gateway.MaxHandshakes
	case c.given[nameSessions]:
		need += minHandshakes
	default:
		need = own + 1 + minHandshakes
	}
	return &Errors{Problems: []*Problem{{
		Variable: name,
		Given:    fmt.Sprintf("\"%d\"", value),
		Reason:   fmt.Sprintf("needs at least %d open files (one a session, one an unfinished connection, %d for the gateway itself), and the process may have %d", need, own, soft),
		Want:     fmt.Sprintf("a smaller number, or %s", raise(soft, hard)),
	}}}
}

// raise says which limit stands in the way.
func raise(soft, hard uint64) string {
	if hard > soft {
		return fmt.Sprintf("raise the soft limit (ulimit -Sn; the hard one is %d)", hard)
	}
	return "raise the hard limit (LimitNOFILE= in systemd, --ulimit nofile= in Docker, ulimit -Hn as root)"
}
