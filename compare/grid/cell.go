package grid

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"strings"
	"time"

	"strait/compare/game"
	"strait/compare/grid/contender"
	"strait/compare/lab"
	"strait/compare/link"
	"strait/compare/measure"
)

// cell is one repetition of one transport in one scenario.
type cell struct {
	config     *Config
	network    Network
	transport  contender.Contender
	repetition int

	lab *lab.Lab
}

func (c *cell) name() string {
	return fmt.Sprintf("%s, %s, repetition %d", c.network.Name, c.transport.Name, c.repetition+1)
}

// seed is the same for all transports.
func (c *cell) seed() uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%s/%d", c.config.Seed, c.network.Name, c.repetition)
	return h.Sum64()
}

// run is the record of the cell without figures.
func (c *cell) run() *measure.Run {
	return &measure.Run{
		Transport: c.transport.Name, Scenario: c.network.Name, Repetition: c.repetition, Seed: c.seed(),
		Players: c.config.Players, Seconds: c.config.seconds(c.network).Seconds(),
	}
}

// fatalError is one that every other cell would meet, too.
type fatalError struct{ error }

func (e fatalError) Unwrap() error { return e.error }

// late is how much longer than planned a cell may take before it is given up.
const late = 20 * time.Second

// measure runs the cell. What went wrong with it is in Run.Invalid; an error ends the
// comparison.
func (c *cell) measure(ctx context.Context) (*measure.Run, error) {
	whole := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, c.config.lasts(c.network)+late, errors.New("the run took too long"))
	defer cancel()
	r, err := c.inLab(ctx)
	var fatal fatalError
	switch {
	case whole.Err() != nil:
		return nil, context.Cause(whole)
	case errors.As(err, &fatal):
		return nil, fatal.error
	case err != nil:
		r = c.run()
		r.Invalid = []string{err.Error()}
	}
	return r, nil
}

func (c *cell) inLab(ctx context.Context) (r *measure.Run, err error) {
	full := c.network.Link
	full.Seed = c.seed()
	calm := full
	calm.Blackouts, calm.AddressChanges = nil, nil
	if c.lab, err = lab.New(ctx, lab.Config{
		Link: calm, CongestionControl: c.config.CongestionControl, Loopback: c.config.Loopback, Log: c.config.Log,
	}); err != nil {
		return nil, fatalError{err}
	}
	defer func() {
		if failed := c.lab.Close(); err == nil && failed != nil {
			err = fmt.Errorf("closing the lab: %w", failed)
		}
	}()
	if c.network.Upload {
		if err := c.upload(ctx); err != nil {
			return nil, err
		}
	}
	o := order{
		Role: serving, Transport: c.transport.Name, At: c.at(port),
		Workload: c.config.Workload, Players: c.config.Players, Settle: c.config.settle(c.network),
	}
	server, err := c.start(lab.Gateway, o)
	if err != nil {
		return nil, err
	}
	ready, err := server.next(ctx)
	if err != nil {
		return nil, err
	}
	if ready.Endpoint == nil {
		return nil, errors.New("the server did not say where it is")
	}
	clock := game.NewClock()
	o.Window.From = clock.Now() + int64(c.config.warmUp(c.network))
	o.Window.To = o.Window.From + int64(c.config.seconds(c.network))
	if err := server.tell(o.Window); err != nil {
		return nil, err
	}
	o.Role, o.Endpoint = playing, *ready.Endpoint
	player, err := c.start(lab.Client, o)
	if err != nil {
		return nil, err
	}
	until := func(t int64) error { return c.wait(ctx, clock, t, server, player) }
	if err := until(o.Window.From); err != nil {
		return nil, err
	}
	cores := readCores()
	if !c.config.Loopback {
		if err := c.lab.Impair(full); err != nil {
			return nil, err
		}
	}
	if err := until(o.Window.To); err != nil {
		return nil, err
	}
	stats, err := c.lab.Stats()
	if err != nil {
		return nil, err
	}
	conditions := measure.Conditions{Cores: cores.until(readCores()), Emulator: strings.Join(stats.Invalid(), "; ")}
	for _, h := range c.lab.Handovers() {
		if h.Err != nil {
			conditions.Emulator = fmt.Sprintf("the client's address did not change: %v", h.Err)
		}
	}
	theirs, err := server.next(ctx)
	if err != nil {
		return nil, err
	}
	mine, err := player.next(ctx)
	if err != nil {
		return nil, err
	}
	if mine.Result == nil || theirs.Result == nil {
		return nil, errors.New("an end did not say what came of it")
	}
	return c.figures(mine.Result, theirs.Result, o.Window, &stats, conditions)
}

// port is the gateway's, the same in every run, so that errors are, too.
const port = 7777

// at is where the gateway serves. On loopback others may have the port.
func (c *cell) at(port uint16) netip.AddrPort {
	if c.config.Loopback {
		port = 0
	}
	return netip.AddrPortFrom(c.lab.Addrs(lab.Gateway).V4, port)
}

// wait returns when the clock shows t, or an end dies before.
func (c *cell) wait(ctx context.Context, clock game.Clock, t int64, ends ...*process) error {
	timer := time.NewTimer(time.Duration(t - clock.Now()))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ends[0].process.Done():
		return ends[0].died()
	case <-ends[1].process.Done():
		return ends[1].died()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// upload starts what else is on the link.
func (c *cell) upload(ctx context.Context) error {
	to, err := c.start(lab.Gateway, order{Role: sinking, At: c.at(0)})
	if err != nil {
		return err
	}
	ready, err := to.next(ctx)
	if err != nil {
		return err
	}
	if ready.Endpoint == nil {
		return errors.New("the sink did not say where it is")
	}
	from, err := c.start(lab.Client, order{Role: uploading, Endpoint: *ready.Endpoint})
	if err != nil {
		return err
	}
	return c.wait(ctx, game.NewClock(), game.NewClock().Now()+int64(fill), to, from)
}

func (c *cell) figures(mine, theirs *result, w measure.Window, stats *lab.Stats, conditions measure.Conditions) (*measure.Run, error) {
	flows := c.config.Workload.Flows()
	var players []measure.PlayerLog
	for _, p := range mine.Logs {
		logic := measure.PlayerLog{Player: p.Player, Logs: make([]measure.Log, len(flows))} // of one who never came
		for _, l := range theirs.Logs {
			if l.Player == p.Player {
				logic = l
			}
		}
		joined, err := measure.Join(p, logic)
		if err != nil {
			return nil, err
		}
		players = append(players, joined)
	}
	r, err := measure.Take(flows, players, w, outages(c.network, time.Duration(w.To-w.From)))
	if err != nil {
		return nil, err
	}
	about := c.run()
	r.Transport, r.Scenario, r.Repetition, r.Seed = about.Transport, about.Scenario, about.Repetition, about.Seed
	r.Cost = measure.Cost{ClientCPU: mine.CPU, ServerCPU: theirs.CPU, ServerPeak: theirs.Peak}
	// What an upload sends cannot be told from what the players do.
	if !c.config.Loopback && !c.network.Upload {
		r.Cost.WireUp, r.Cost.WireDown = bytesOf(stats.Up), bytesOf(stats.Down)
	}
	r.Late.Merge(theirs.Late)
	if !c.config.unjudged {
		r.Judge(conditions)
	}
	return r, nil
}

func bytesOf(c link.Counters) *uint64 { return &c.Bytes }
