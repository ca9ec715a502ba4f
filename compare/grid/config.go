package grid

import (
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"runtime"
	"slices"
	"time"

	"strait/compare/game"
	"strait/compare/grid/contender"
	"strait/compare/link"
	"strait/compare/measure"
	"strait/compare/report/plot"
	"strait/compare/scenario"
)

// The defaults of Config.
const (
	DefaultRepetitions       = 5
	DefaultMeasured          = 6 * time.Second
	DefaultWarmUp            = 2 * time.Second
	DefaultSettle            = 2 * time.Second
	DefaultParallel          = 4 // for each processor
	DefaultCongestionControl = "cubic"
)

const (
	maxRepetitions = 100
	maxMeasured    = time.Hour
	maxPlayers     = 200
	maxParallel    = 64

	maxDefaultParallel = 16

	// afterOutage is how much of a run is left behind a scenario's last outage.
	afterOutage = 6 * time.Second
	// roundTrips are those of the scenario that the warm-up leaves time for: an opening
	// and the first messages.
	roundTrips = 5
	// fill is how long an upload has to fill the queue before players come.
	fill = 4 * time.Second
)

// Network is a scenario, and what else is on its link.
type Network struct {
	scenario.Scenario
	// Upload has somebody else send through the link, upwards, as fast as TCP can.
	Upload bool
}

// Config says what is compared. Scenarios, Transports and Program are required; the
// zero value of the others is the documented default.
type Config struct {
	Scenarios  []Network
	Transports []contender.Contender
	// Repetitions of each cell; 0 is 5. One tells nothing apart.
	Repetitions int
	// Measured is how much of a run counts; 0 is 6 s. A scenario with an outage has at
	// least 6 s behind the last one.
	Measured time.Duration
	// WarmUp is from the start of the players until what counts; 0 is 2 s. It is at
	// least five round trips of the scenario.
	WarmUp time.Duration
	// Settle is how long players go on receiving afterwards; 0 is 2 s.
	Settle time.Duration
	// Players of each run, in one process; 0 is 1.
	Players  int
	Workload game.Workload
	// Seed decides, with a scenario's name and the repetition, what the links do.
	Seed uint64
	// Parallel is how many cells run side by side; 0 is 4 for each processor, up to 16.
	Parallel int
	// CongestionControl is TCP's on both sides, for all its users; empty is cubic. Not
	// on Loopback, where it is the machine's.
	CongestionControl string
	// Loopback compares without namespaces and links; no scenario may then ask for
	// anything.
	Loopback bool
	// Program returns a command that calls [Child] with its input and output, not yet
	// started.
	Program func() *exec.Cmd
	// Version names the program in the report.
	Version string
	// Progress hears what happens; one call at a time. nil is nobody.
	Progress func(Progress)
	// Log receives what goes wrong beside the result; nil discards it.
	Log *slog.Logger

	// unjudged has runs count whatever the machine does meanwhile; tests of all but the
	// figures set it.
	unjudged bool
}

// Validate returns all that is impossible in c.
func (c Config) Validate() error {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	within := func(what string, v, low, high any, ok bool) {
		if !ok {
			refuse("%s: %v is not from %v to %v", what, v, low, high)
		}
	}
	if len(c.Scenarios) == 0 {
		refuse("no scenario: at least one is needed")
	}
	for i, s := range c.Scenarios {
		if err := s.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("scenario %s: %w", s.Name, err))
		}
		if slices.ContainsFunc(c.Scenarios[:i], func(o Network) bool { return o.Name == s.Name }) {
			refuse("scenario %s is there twice", s.Name)
		}
		if c.Loopback && !perfect(s) {
			refuse("scenario %s: without impairment there is no link to set anything on", s.Name)
		}
	}
	if len(c.Transports) == 0 {
		refuse("no transport: at least one is needed")
	}
	if len(c.Transports) > plot.Series {
		refuse("%d transports: a report tells %d apart", len(c.Transports), plot.Series)
	}
	for i, t := range c.Transports {
		if slices.ContainsFunc(c.Transports[:i], func(o contender.Contender) bool { return o.Name == t.Name }) {
			refuse("transport %s is there twice", t.Name)
		}
	}
	within("repetitions", c.Repetitions, 1, maxRepetitions, c.Repetitions >= 0 && c.Repetitions <= maxRepetitions)
	within("seconds of a run", c.Measured, time.Second, maxMeasured, c.Measured == 0 || c.Measured >= time.Second && c.Measured <= maxMeasured)
	within("warm-up", c.WarmUp, 100*time.Millisecond, time.Minute, c.WarmUp == 0 || c.WarmUp >= 100*time.Millisecond && c.WarmUp <= time.Minute)
	within("settling", c.Settle, 100*time.Millisecond, time.Minute, c.Settle == 0 || c.Settle >= 100*time.Millisecond && c.Settle <= time.Minute)
	within("players", c.Players, 1, maxPlayers, c.Players >= 0 && c.Players <= maxPlayers)
	within("cells side by side", c.Parallel, 1, maxParallel, c.Parallel >= 0 && c.Parallel <= maxParallel)
	if err := c.Workload.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("workload: %w", err))
	}
	if c.Loopback && c.CongestionControl != "" {
		refuse("congestion control %s: without impairment it is the machine's, so leave it out", c.CongestionControl)
	}
	if c.Program == nil {
		refuse("no program for the ends of the links")
	}
	return errors.Join(errs...)
}

// perfect reports whether n asks for nothing.
func perfect(n Network) bool {
	l := n.Link
	return l.Up == link.Settings{} && l.Down == link.Settings{} && !l.BlockUDP && len(l.Blackouts) == 0 && len(l.AddressChanges) == 0 && !n.Upload
}

func (c Config) withDefaults() Config {
	number := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	span := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	number(&c.Repetitions, DefaultRepetitions)
	number(&c.Players, 1)
	number(&c.Parallel, min(DefaultParallel*runtime.NumCPU(), maxDefaultParallel))
	span(&c.Measured, DefaultMeasured)
	span(&c.WarmUp, DefaultWarmUp)
	span(&c.Settle, DefaultSettle)
	if c.CongestionControl == "" && !c.Loopback {
		c.CongestionControl = DefaultCongestionControl
	}
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// seconds is how much of a run in n counts.
func (c Config) seconds(n Network) time.Duration {
	d := c.Measured
	for _, b := range n.Link.Blackouts {
		if b.Every == 0 {
			d = max(d, b.At+b.For+afterOutage)
		}
	}
	for _, at := range n.Link.AddressChanges {
		d = max(d, at+afterOutage)
	}
	return d
}

// warmUp is how long before that the players begin.
func (c Config) warmUp(n Network) time.Duration {
	return max(c.WarmUp, roundTrips*n.RTT())
}

// settle is how long players then go on receiving.
func (c Config) settle(n Network) time.Duration { return max(c.Settle, roundTrips*n.RTT()) }

// lasts is about how long a cell takes.
func (c Config) lasts(n Network) time.Duration {
	d := c.warmUp(n) + c.seconds(n) + c.settle(n) + overhead
	if n.Upload {
		d += fill
	}
	return d
}

// overhead is what a cell takes beside its times: its lab, and the starts and ends of
// the programs.
const overhead = 300 * time.Millisecond

// Lasts is about how long Run takes, if nothing has to be repeated.
func (c Config) Lasts() time.Duration {
	c = c.withDefaults()
	var all time.Duration
	for _, n := range c.Scenarios {
		all += time.Duration(c.Repetitions*len(c.Transports)) * c.lasts(n)
	}
	return all / time.Duration(c.Parallel)
}

// repeats is how long Run may take longer for what has to be repeated: a third of what it
// takes without, so that a machine that is busy all the time does not double it.
func (c Config) repeats() time.Duration { return max(c.Lasts()/3, leastRepeats) }

// leastRepeats leaves time for some of a short comparison's.
const leastRepeats = time.Minute

// outages are those of a run in n, in order; those that touch are one.
func outages(n Network, seconds time.Duration) (out []measure.Span) {
	add := func(name string, from, to time.Duration) {
		if from < seconds {
			out = append(out, measure.Span{Name: name, From: int64(from), To: int64(min(to, seconds))})
		}
	}
	for _, b := range n.Link.Blackouts {
		add("blackout", b.At, b.At+b.For)
		if b.Every > 0 {
			for at := b.At + b.Every; at < seconds; at += b.Every {
				add("blackout", at, at+b.For)
			}
		}
	}
	for _, at := range n.Link.AddressChanges {
		add("new address", at, at)
	}
	slices.SortStableFunc(out, func(a, b measure.Span) int { return int(a.From - b.From) })
	merged := out[:0]
	for _, o := range out {
		if last := len(merged) - 1; last >= 0 && o.From <= merged[last].To {
			if o.Name != merged[last].Name {
				merged[last].Name = "handover"
			}
			merged[last].To = max(merged[last].To, o.To)
			continue
		}
		merged = append(merged, o)
	}
	return merged
}
