//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"strait/bench/edge/load"
	"strait/bench/edge/proc"
	"strait/bench/edge/report"
	"strait/bench/edge/stack"
)

// The metrics, by the names that tables print.
const (
	perSecond     = "round trips/s"
	cpu           = "proxy CPU, µs/round trip"
	cpuUser       = "of it user"
	cpuSystem     = "of it system"
	p50           = "p50, µs"
	p99           = "p99, µs"
	p999          = "p99.9, µs"
	lost          = "lost"
	echoCPU       = "echo CPU, µs/round trip"
	loadCPU       = "load generator CPU, µs/round trip"
	loadShare     = "load generator, CPUs"
	others        = "processes of others, CPUs"
	growth        = "proxy CPU, to that with fewer clients"
	newSessions   = "new sessions/s"
	sessionCPU    = "proxy CPU, µs/session"
	idleMemory    = "resident, KiB/idle session"
	largestMemory = "KiB/session after its largest message"
)

var loadMetrics = []report.Metric{
	{Name: perSecond}, {Name: cpu, Digits: 1}, {Name: cpuUser, Digits: 1, Plain: true}, {Name: cpuSystem, Digits: 1, Plain: true},
	{Name: p50}, {Name: p99}, {Name: p999}, {Name: lost, Plain: true},
	{Name: growth, Digits: 2, Plain: true},
	{Name: echoCPU, Digits: 1, Plain: true}, {Name: loadCPU, Digits: 1, Plain: true}, {Name: loadShare, Digits: 2, Plain: true},
	{Name: others, Digits: 2, Plain: true},
}

var sessionMetrics = []report.Metric{
	{Name: newSessions}, {Name: sessionCPU}, {Name: cpuUser, Plain: true}, {Name: cpuSystem, Plain: true},
	{Name: p50}, {Name: p99}, {Name: loadShare, Digits: 2, Plain: true},
	{Name: others, Digits: 2, Plain: true},
}

var memoryMetrics = []report.Metric{{Name: idleMemory, Digits: 1}, {Name: largestMemory, Digits: 1}}

// usage is CPU time.
type usage struct {
	proxy, echo, self proc.Times
	all               time.Duration // of the machine, those among it
}

// meter reads what the processes of a run use in its measured time.
type meter struct {
	stack  *stack.Stack
	before usage
	used   usage
}

func (m *meter) read() (u usage, err error) {
	var errs [4]error
	u.proxy, errs[0] = proc.CPU(m.stack.Proxy...)
	if m.stack.Echo != 0 {
		u.echo, errs[1] = proc.CPU(m.stack.Echo)
	}
	u.self, errs[2] = proc.CPU(os.Getpid())
	u.all, errs[3] = proc.Busy()
	return u, errors.Join(errs[:]...)
}

func (m *meter) Begin() (err error) {
	m.before, err = m.read()
	return err
}

func (m *meter) End() error {
	now, err := m.read()
	m.used = usage{
		proxy: now.proxy.Sub(m.before.proxy), echo: now.echo.Sub(m.before.echo), self: now.self.Sub(m.before.self),
		all: now.all - m.before.all,
	}
	return err
}

func micros(d time.Duration, n int64) float64 {
	return float64(d) / float64(time.Microsecond) / float64(max(n, 1))
}

// values are the metrics of a stretch of load.
func values(m *load.Measured, u usage) map[string]float64 {
	at := func(percentile float64) float64 {
		return micros(time.Duration(m.Latency.ValueAtPercentile(percentile)), 1)
	}
	// The machine's time is counted in whole ticks, the processes' exactly: the
	// difference can come out below zero.
	rest := max(u.all-u.proxy.Total()-u.echo.Total()-u.self.Total(), 0)
	return map[string]float64{
		perSecond: m.PerSecond(),
		cpu:       micros(u.proxy.Total(), m.Echoes),
		cpuUser:   micros(u.proxy.User, m.Echoes),
		cpuSystem: micros(u.proxy.System, m.Echoes),
		p50:       at(50), p99: at(99), p999: at(99.9),
		lost:      float64(m.Lost),
		echoCPU:   micros(u.echo.Total(), m.Echoes),
		loadCPU:   micros(u.self.Total(), m.Echoes),
		loadShare: u.self.Total().Seconds() / m.Elapsed.Seconds(),
		others:    rest.Seconds() / m.Elapsed.Seconds(),
	}
}

// turn is one run of one load on one target.
type turn struct {
	c      *comparison
	target stack.Target
	rep    int
}

func (t turn) server(s *stack.Stack) load.Server {
	mode := load.NoQUIC
	switch t.target.Protocol {
	case stack.QUIC:
		mode = load.QUICDatagrams
	case stack.QUICStreams:
		mode = load.QUICStreams
	}
	return load.Server{Addr: s.Addr, Hello: t.target.Hello(), Datagrams: t.target.Protocol == stack.UDP, QUIC: mode}
}

func (t turn) row() report.Row { return report.Row{Target: t.target.Name, Repetition: t.rep} }

func (t turn) stretch(m *meter) load.Stretch {
	return load.Stretch{Warmup: t.c.o.warmup, Measure: t.c.o.measure, Meter: m}
}

// start starts the target and its echo, without the garbage of the turn before.
func (t turn) start(ctx context.Context, retry stack.Retry) (*stack.Stack, error) {
	debug.FreeOSMemory()
	c := t.c.stacks
	c.Retry = retry
	return stack.Start(ctx, t.target, c)
}

// with runs f with clients sessions open on a fresh stack.
func (t turn) with(ctx context.Context, clients int, f func(*stack.Stack, load.Player) error) (err error) {
	s, err := t.start(ctx, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	return errors.Join(t.open(ctx, s, clients, func(g load.Player) error { return f(s, g) }), s.Err())
}

func (t turn) saturated(ctx context.Context, clients, size int) (report.Row, error) {
	row := t.row()
	err := t.with(ctx, clients, func(s *stack.Stack, g load.Player) error {
		m := &meter{stack: s}
		got, err := g.Saturate(ctx, size, t.c.o.window, t.stretch(m))
		if err == nil {
			row.Values = values(got, m.used)
		}
		return err
	})
	return row, err
}

// behind is the part of an offered rate below which a run is marked.
const behind = 0.98

func (t turn) offered(ctx context.Context, clients, size int) (report.Row, error) {
	row := t.row()
	err := t.with(ctx, clients, func(s *stack.Stack, g load.Player) error {
		m := &meter{stack: s}
		got, err := g.Offer(ctx, size, t.c.o.rate, uint64(t.rep)+1, t.stretch(m))
		if err != nil {
			return err
		}
		row.Values = values(got, m.used)
		if got.PerSecond() < behind*t.c.o.rate {
			row.Notes = append(row.Notes, fmt.Sprintf("fell behind the offered rate: %.0f of %.0f a second", got.PerSecond(), t.c.o.rate))
		}
		return nil
	})
	return row, err
}

// handshaking is how many sessions open at a time in the load of new sessions.
const handshaking = 32

func (t turn) sessions(ctx context.Context, retry stack.Retry) (row report.Row, err error) {
	row = t.row()
	s, err := t.start(ctx, retry)
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	m := &meter{stack: s}
	got, err := load.Sessions(ctx, t.server(s), handshaking, load.Stretch{Warmup: t.c.o.warmup, Measure: t.c.o.handshakes, Meter: m})
	if err != nil {
		return row, errors.Join(err, s.Err())
	}
	row.Values = values(got, m.used)
	row.Values[newSessions], row.Values[sessionCPU] = row.Values[perSecond], row.Values[cpu]
	return row, s.Err()
}

// warming sessions bring in what a process loads once, whatever the number of
// sessions. Memory counts from where they are open to where all are.
const warming = 32

// eachAtATime is how many of the largest messages are on the way at a time.
const eachAtATime = 32

func (t turn) idle(ctx context.Context) (row report.Row, err error) {
	row = t.row()
	s, err := t.start(ctx, "")
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	rest := t.c.o.settle
	var before int64
	err = t.open(ctx, s, warming, func(g load.Player) (err error) {
		if err := errors.Join(g.Each(ctx, load.MinSize, eachAtATime), g.Rest(ctx, rest)); err != nil {
			return err
		}
		before, err = proc.Resident(s.Proxy...)
		return err
	})
	if err != nil {
		return row, errors.Join(err, s.Err())
	}
	each := func() (float64, error) {
		now, err := proc.Resident(s.Proxy...)
		return float64(now-before) / 1024 / float64(t.c.idle-warming), err
	}
	err = t.open(ctx, s, t.c.idle, func(g load.Player) error {
		if err := g.Rest(ctx, rest); err != nil {
			return err
		}
		first, err := each()
		if err != nil {
			return err
		}
		if err := errors.Join(g.Each(ctx, t.c.o.largest(), eachAtATime), g.Rest(ctx, rest)); err != nil {
			return err
		}
		second, err := each()
		row.Values = map[string]float64{idleMemory: first, largestMemory: second}
		return err
	})
	return row, errors.Join(err, s.Err())
}

// open opens n sessions on a running stack and resets them after f.
func (t turn) open(ctx context.Context, s *stack.Stack, n int, f func(load.Player) error) (err error) {
	g, err := load.Dial(ctx, t.server(s), n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	if err := t.c.facts.negotiated(t.target.Name, g.Negotiated()); err != nil {
		return err
	}
	return f(g)
}
