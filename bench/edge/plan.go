//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"strait/bench/edge/report"
	"strait/bench/edge/stack"
)

// scenario is one table and how a row of it comes about.
type scenario struct {
	table *report.Table
	run   func(turn, context.Context) (report.Row, error)
	each  time.Duration // roughly, of one turn
	after func(*scenario)
}

// reference is nginx where it is a target, else the first one.
func (c *comparison) reference() string {
	i := max(slices.IndexFunc(c.targets, func(t stack.Target) bool { return t.Kind == stack.Nginx }), 0)
	return c.targets[i].Name
}

func (c *comparison) table(metrics []report.Metric, title string, a ...any) *report.Table {
	t := &report.Table{Title: fmt.Sprintf(title, a...), Metrics: metrics, Reference: c.reference()}
	for _, target := range c.targets {
		t.Targets = append(t.Targets, target.Name)
	}
	return t
}

// scenarios are the plan.
func (c *comparison) scenarios() []*scenario {
	var out []*scenario
	counts, sizes := c.o.points()
	for _, size := range sizes {
		for _, clients := range counts {
			if c.o.saturated {
				out = append(out, c.saturated(clients, size))
			}
		}
	}
	for _, size := range sizes {
		for _, clients := range counts {
			if c.o.rate > 0 {
				out = append(out, c.offered(clients, size))
			}
		}
	}
	if c.o.many > 0 {
		few, many := out[len(out)-1].table, c.offered(c.o.many, c.o.size)
		many.after = func(s *scenario) { grow(s.table, few) }
		out = append(out, many)
	}
	if c.o.handshakes > 0 {
		out = append(out, c.newSessions()...)
	}
	if c.idle > 0 {
		out = append(out, &scenario{
			table: c.table(memoryMetrics, "Memory: %d idle sessions, then each with a message of %d bytes", c.idle, c.o.largest()),
			run:   turn.idle, each: 3*c.o.settle + 2*c.opening(c.idle),
		})
	}
	return out
}

func (c *comparison) saturated(clients, size int) *scenario {
	t := c.table(loadMetrics, "Saturated: %d clients, %d bytes, %d on the way for each client", clients, size, c.o.window)
	return c.load(t, "Saturated", clients, size, turn.saturated)
}

func (c *comparison) offered(clients, size int) *scenario {
	t := c.table(loadMetrics, "Offered: %.0f round trips/s, %d clients, %d bytes", c.o.rate, clients, size)
	return c.load(t, fmt.Sprintf("Offered %.0f round trips/s", c.o.rate), clients, size, turn.offered)
}

// load is a scenario of messages, at its place in the grid if there is one.
func (c *comparison) load(t *report.Table, name string, clients, size int, run func(t turn, ctx context.Context, clients, size int) (report.Row, error)) *scenario {
	if c.o.grid() {
		t.Grid = &report.Point{Load: name, Size: size, Clients: clients}
	}
	return &scenario{
		table: t,
		run:   func(t turn, ctx context.Context) (report.Row, error) { return run(t, ctx, clients, size) },
		each:  c.o.warmup + c.o.measure + c.opening(clients),
	}
}

// newSessions are the scenarios of handshakes, where all targets have some. Who speaks
// QUIC to all does it without Retry and with it; what decides is set for both, because
// the gateway's default asks for it while many handshakes are unfinished.
func (c *comparison) newSessions() (out []*scenario) {
	all := func(f func(stack.Target) bool) bool {
		return !slices.ContainsFunc(c.targets, func(t stack.Target) bool { return !f(t) })
	}
	if !all(stack.Target.Sessions) {
		return nil
	}
	add := func(retry stack.Retry, title string) {
		out = append(out, &scenario{
			table: c.table(sessionMetrics, "New sessions: full handshakes, ECDSA P-256, each with one echo, %d at a time%s", handshaking, title),
			run:   func(t turn, ctx context.Context) (report.Row, error) { return t.sessions(ctx, retry) },
			each:  c.o.warmup + c.o.handshakes,
		})
	}
	overQUIC := all(func(t stack.Target) bool { return t.Protocol.OverQUIC() })
	switch {
	case overQUIC:
		add(stack.RetryOff, ", without Retry")
		add(stack.RetryAlways, ", Retry demanded of each")
		c.notes = append(c.notes, fmt.Sprintf("new sessions without Retry: the gateway has STRAIT_QUIC_RETRY=off, with it always; %d at a time stay below its limits of unfinished handshakes, 64 from one address and 1,024 in all", handshaking))
	case len(c.o.protocols) > 1:
		add(stack.RetryOff, "; of sealed UDP the session and its bound lane")
		c.notes = append(c.notes, "new sessions: the gateway has STRAIT_QUIC_RETRY=off and STRAIT_UDP_RETRY=off")
	default:
		add("", "")
	}
	return out
}

// opening is roughly how long it takes to open so many sessions.
func (c *comparison) opening(sessions int) time.Duration {
	each := 700 * time.Microsecond
	if slices.ContainsFunc(c.targets, func(t stack.Target) bool { return t.Protocol.OverQUIC() }) {
		each = 2 * time.Millisecond
	}
	return time.Duration(sessions) * each
}

// grow adds the growth of CPU time over the table with fewer clients.
func grow(many, few *report.Table) {
	for i := range many.Rows {
		r := &many.Rows[i]
		for _, f := range few.Rows {
			if f.Target == r.Target && f.Repetition == r.Repetition && f.Values[cpu] > 0 {
				r.Values[growth] = r.Values[cpu] / f.Values[cpu]
			}
		}
	}
}
