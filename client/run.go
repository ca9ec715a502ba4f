package client

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"strait/transport"
)

// run reads one session after the other until the client ends.
func (c *Client) run(l *link) {
	defer close(c.done)
	for {
		opened := time.Now()
		why := l.run()
		if time.Since(opened) >= c.dialer.options.Reconnect.Max {
			c.attempts = 0
		}
		c.lose()
		if c.dialer.options.Reconnect.Off || !comesBack(why) {
			c.end(why)
		}
		if c.life.Err() != nil {
			break
		}
		c.log("session lost", slog.Any("reason", why), slog.String("session", l.session.id.String()))
		c.teller.tell(State{Kind: Lost, Session: l.session.id, Err: why})
		next, err := c.dialAgain(c.life, l.session.redirect, why)
		if err != nil {
			c.end(&ReconnectError{After: why, Attempts: c.attempts, Err: err})
			break
		}
		c.counters.reopened.Add(1)
		if !c.use(next, Reopened) {
			next.carrier.close(transport.Reason{Code: transport.Normal})
		}
		l = next
	}
	c.teller.tell(State{Kind: Closed, Session: l.session.id, Err: c.Err()})
}

// dialAgain tries, by the rules of Options.Reconnect, until there is a session,
// ctx ends or it is of no use any more. why is what went wrong before; redirect
// is where to try first, empty for the address dialled. The error is the last
// failure.
func (c *Client) dialAgain(ctx context.Context, redirect string, why error) (*link, error) {
	rules := c.dialer.options.Reconnect
	for {
		again, after := triesAgain(why)
		if !again || rules.MaxAttempts > 0 && c.attempts >= rules.MaxAttempts {
			return nil, why
		}
		c.attempts++
		delay := rules.backoff(c.attempts, after)
		c.log("opening a session again", slog.Int("attempt", c.attempts), slog.Duration("delay", delay), slog.Any("reason", why))
		c.teller.tell(State{Kind: Reconnecting, Session: c.lastID(), Attempt: c.attempts, Delay: delay, Err: why})
		wait := time.NewTimer(delay)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil, fmt.Errorf("%w, after: %w", context.Cause(ctx), why)
		}
		addr, host := c.addr, c.host
		if redirect != "" {
			var err error
			if addr, host, err = address(redirect); err != nil {
				c.log("the gateway's redirect is no address", slog.Any("reason", err))
				addr, host = c.addr, c.host
			}
			// Elsewhere is tried once; the address that the application knows is the
			// one to rely on.
			redirect = ""
		}
		l, err := c.dial(ctx, addr, host)
		if err == nil {
			return l, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		why = err
	}
}

// use makes l the current session. False: the client has ended meanwhile, and l
// is to be closed by the caller.
func (c *Client) use(l *link, kind StateKind) bool {
	c.mu.Lock()
	if c.err != nil {
		c.last = l
		c.mu.Unlock()
		return false
	}
	c.current, c.last = l, l
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	c.log("session "+kind.String(), slog.String("session", l.session.id.String()),
		slog.String("transport", l.conn.transport.String()), slog.String("remote", l.conn.remote.String()))
	c.teller.tell(State{Kind: kind, Session: l.session.id})
	return true
}

// lose leaves the client without a session.
func (c *Client) lose() {
	c.mu.Lock()
	c.current = nil
	c.mu.Unlock()
}

func (c *Client) lastID() (id transport.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil {
		id = c.last.session.id
	}
	return id
}

func (c *Client) log(msg string, attrs ...slog.Attr) {
	c.dialer.options.Logger.LogAttrs(context.Background(), slog.LevelInfo, msg, attrs...)
}
