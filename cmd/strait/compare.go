package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"strait/compare/grid"
	"strait/compare/grid/contender"
	"strait/compare/lab"
	"strait/compare/report"
	"strait/compare/scenario"
)

type compareCmd struct {
	Scenarios   []string `name:"scenario" short:"s" placeholder:"NAME,…" help:"Scenarios, or all; those of the default set if left out."`
	Set         []string `sep:"none" placeholder:"KEY=VALUE" help:"A setting of a scenario of your own, such as delay=40ms; base=NAME first starts from another one. Repeat it for each."`
	Files       []string `name:"file" type:"path" sep:"none" placeholder:"FILE" help:"A scenario of your own, one KEY = VALUE a line. Repeat it for several."`
	Uploads     []string `name:"upload" placeholder:"NAME,…" default:"cable-bufferbloat" help:"Scenarios whose link a TCP upload shares (${default}); none for none."`
	Transports  []string `name:"transport" short:"t" placeholder:"NAME,…" help:"Transports, or all; all but auto if left out."`
	Repetitions int      `short:"r" placeholder:"N" help:"Repetitions of each (5; 10 with --full)."`
	Seconds     float64  `placeholder:"N" help:"Seconds of each run that count (6; 20 with --full)."`
	Players     int      `default:"1" placeholder:"N" help:"Players of each run (${default})."`
	Seed        uint64   `default:"1" placeholder:"N" help:"Seed of what the links lose and delay (${default})."`
	Full        bool     `help:"Every scenario and transport, longer and more often: an hour instead of minutes."`
	Parallel    int      `short:"p" placeholder:"N" help:"Runs side by side (4 for each processor)."`

	CongestionControl string `placeholder:"NAME" help:"Congestion control of TCP on both sides (cubic)."`
	NoImpairment      bool   `help:"Compare on loopback, which needs no rights; nothing is impaired."`

	JSON     string `name:"json" type:"path" placeholder:"FILE" help:"Write everything to this file."`
	HTML     string `name:"html" type:"path" placeholder:"FILE" help:"Write the report to this file, which opens in a browser without a network."`
	Markdown string `type:"path" placeholder:"FILE" help:"Write the report to this file, and its pictures to a folder of the same name."`

	WarmUp time.Duration `hidden:"" help:"Time from the start of the players until what counts."`
	Settle time.Duration `hidden:"" help:"Time in which players go on receiving."`
	Child  bool          `hidden:"" help:"Be one end of a run; the order comes on the standard input."`
}

// The sets that are compared without flags.
var (
	defaultScenarios  = []string{"cable-bufferbloat", "wifi-bad", "4g", "intercontinental", "mobile-handover", "udp-blocked"}
	defaultTransports = []string{"tcp", "tcp+udp", "quic-one-stream", "quic-streams", "quic", "kcp", "websocket"}
)

const (
	fullRepetitions = 10
	fullSeconds     = 20
)

// Help is shown below the flags.
func (compareCmd) Help() string {
	return `Plays the same game over each transport on emulated networks and says which one to use for whom. Client and gateway are in network namespaces of their own, with the kernel's real network stacks; this process moves the packets between them and delays, loses and queues them as the scenario says. The same seed loses the same packets.

The default set is ` + strings.Join(defaultScenarios, ", ") + `: some five minutes on two cores. What runs alongside on this machine spoils runs; those are repeated, which may take a third longer, or a minute, and what is spoiled still does not count.

TCP uses ` + grid.DefaultCongestionControl + ` unless --congestion-control says otherwise: it is what most players' systems have, and a comparison must not hang on this machine's default.

It needs root, or a user namespace, which it makes by itself where the system lets it; --no-impairment needs neither. Ctrl-C ends it, removes everything and reports what was measured so far; it then writes no files. Exit status 1 if it could not be done, if a run does not count, or if it was interrupted.

Scenarios: ` + strings.Join(scenario.Names(), ", ") + `

Transports: ` + strings.Join(contender.Names(), ", ") + `

Settings of a scenario, for both directions or behind up. and down.: delay, jitter, distribution, hold, loss, burst.p, burst.r, burst.good, burst.bad, reorder, reorder-delay, duplicate, rate, queue; for the whole link: blackout, address-change, block-udp, name, about

Examples:
  strait compare --html report.html
  strait compare -s 4g,wifi-bad -t tcp,tcp+udp,quic -r 5
  strait compare --set delay=70ms --set jitter=5ms --set loss=1.5% --set rate=8Mbit
  strait compare --set base=4g --set "blackout=800ms at 3s"
  strait compare --full --json full.json --html full.html
  strait compare --no-impairment --seconds 3`
}

// Run compares and prints; the error says what could not be measured.
func (c *compareCmd) Run(ctx context.Context, out io.Writer, status logOutput) error {
	if c.Child {
		return grid.Child(ctx, os.Stdin, out)
	}
	config, err := c.config()
	if err != nil {
		return err
	}
	if err := config.Validate(); err != nil {
		return err
	}
	for _, f := range []struct{ flag, name string }{{"json", c.JSON}, {"html", c.HTML}, {"markdown", c.Markdown}} {
		if f.name == "" {
			continue
		}
		if err := writable(f.name); err != nil {
			return fmt.Errorf("--%s: %w", f.flag, err)
		}
	}
	if !c.NoImpairment {
		if again, err := access(ctx, status); again || err != nil {
			return err
		}
	}
	config.Log = slog.New(slog.NewTextHandler(status, &slog.HandlerOptions{Level: slog.LevelWarn}))
	display := newCompareDisplay(status.Writer, config)
	config.Progress = display.show
	r, err := grid.Run(ctx, config)
	display.close()
	interrupted := errors.Is(err, context.Canceled)
	switch {
	case r == nil && interrupted:
		return errors.New("interrupted before a run counted")
	case r == nil:
		return err
	}
	if _, err := io.WriteString(out, r.Page().Text(width(out))); err != nil {
		return err
	}
	switch {
	case interrupted:
		return errors.New("interrupted: not all was measured, and no files were written")
	case err != nil:
		return fmt.Errorf("not all was measured, and no files were written: %w", err)
	}
	if err := c.save(r); err != nil {
		return err
	}
	return missing(r)
}

// access makes sure that a lab can be made, if need be by running this command again in
// a user namespace; then again is true, and err what came of it.
func access(ctx context.Context, status io.Writer) (again bool, err error) {
	err = lab.Check()
	var refused *lab.AccessError
	if !errors.As(err, &refused) {
		return false, err
	}
	if refused.UserNamespace {
		fmt.Fprintln(status, "not root: running in a user namespace")
		// ctrl-C reaches both; it must not be told twice, for twice is at once.
		late, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		defer context.AfterFunc(ctx, func() { time.AfterFunc(interruptTime, cancel) })()
		code, err := lab.Reexec(late)
		switch {
		case err == nil && code == 0:
			return true, nil
		case err == nil:
			return true, saidAlready{}
		}
		if !errors.As(err, &refused) {
			return true, err
		}
	}
	return false, fmt.Errorf("%w; or compare without impaired links: --no-impairment", refused)
}

// interruptTime is how long an interrupted run in a user namespace may take to end.
const interruptTime = 3 * time.Second

// saidAlready is an error without words: another process has said them.
type saidAlready struct{}

func (saidAlready) Error() string { return "" }

func (c *compareCmd) config() (grid.Config, error) {
	config := grid.Config{
		Repetitions: c.Repetitions, Players: c.Players, Seed: c.Seed, Parallel: c.Parallel, Loopback: c.NoImpairment,
		CongestionControl: c.CongestionControl, Measured: time.Duration(c.Seconds * float64(time.Second)),
		WarmUp: c.WarmUp, Settle: c.Settle, Program: itself, Version: strings.TrimPrefix(versionText(), "strait "),
	}
	if c.Full {
		if config.Repetitions == 0 {
			config.Repetitions = fullRepetitions
		}
		if config.Measured == 0 {
			config.Measured = fullSeconds * time.Second
		}
	}
	for _, set := range []struct {
		flag  string
		given bool
		ok    bool
	}{
		{"--repetitions", c.Repetitions != 0, c.Repetitions >= 0}, {"--seconds", c.Seconds != 0, c.Seconds >= 1}, {"--players", true, c.Players >= 1}, {"--parallel", c.Parallel != 0, c.Parallel >= 0},
	} {
		if set.given && !set.ok {
			return config, fmt.Errorf("%s: it has to be at least 1", set.flag)
		}
	}
	var errs []error
	var err error
	if config.Scenarios, err = c.networks(); err != nil {
		errs = append(errs, err)
	}
	names := c.Transports
	switch {
	case len(names) == 0 && !c.Full:
		names = defaultTransports
	case len(names) == 0, slices.Equal(names, []string{"all"}):
		names = contender.Names()
	}
	for _, name := range names {
		t, err := contender.Lookup(name)
		if err != nil {
			errs = append(errs, fmt.Errorf("--transport: %w", err))
		}
		config.Transports = append(config.Transports, t)
	}
	return config, errors.Join(errs...)
}

// networks are the scenarios: named, of files, and of flags.
func (c *compareCmd) networks() (out []grid.Network, err error) {
	if c.NoImpairment {
		if len(c.Scenarios)+len(c.Set)+len(c.Files) > 0 {
			return nil, errors.New("--no-impairment: without an impaired link there are no scenarios; leave --scenario, --set and --file out, or this")
		}
		return []grid.Network{{Scenario: scenario.Scenario{Name: "loopback", About: "this machine's loopback: what the programs themselves cost"}}}, nil
	}
	names := c.Scenarios
	switch {
	case slices.Equal(names, []string{"all"}), len(names) == 0 && c.Full:
		names = scenario.Names()
	case len(names) == 0 && len(c.Set)+len(c.Files) == 0:
		names = defaultScenarios
	}
	var errs []error
	add := func(s scenario.Scenario, err error) {
		if err != nil {
			errs = append(errs, err)
			return
		}
		out = append(out, grid.Network{Scenario: s, Upload: slices.Contains(c.Uploads, s.Name)})
	}
	for _, name := range names {
		s, err := scenario.Lookup(name)
		if err != nil {
			err = fmt.Errorf("--scenario: %w", err)
		}
		add(s, err)
	}
	for _, name := range c.Files {
		add(readScenario(name))
	}
	if len(c.Set) > 0 {
		add(ownScenario(c.Set))
	}
	for _, name := range c.Uploads {
		if !slices.ContainsFunc(out, func(n grid.Network) bool { return n.Name == name }) && len(errs) == 0 &&
			name != "none" && !slices.Contains(scenario.Names(), name) {
			_, err := scenario.Lookup(name)
			errs = append(errs, fmt.Errorf("--upload: %w", err))
		}
	}
	return out, errors.Join(errs...)
}

func readScenario(name string) (scenario.Scenario, error) {
	f, err := os.Open(name)
	if err != nil {
		return scenario.Scenario{}, fmt.Errorf("--file: %w", err)
	}
	defer f.Close()
	return scenario.Parse(name, f)
}

// ownName is that of a scenario of flags which does not name itself.
const ownName = "own"

// ownScenario reads flags as if they were a file's lines.
func ownScenario(set []string) (scenario.Scenario, error) {
	named := func(s string) bool { return strings.HasPrefix(strings.ReplaceAll(s, " ", ""), "name=") }
	lines := slices.Clone(set)
	if !slices.ContainsFunc(lines, named) {
		lines = append(lines, "name = "+ownName)
	}
	s, err := scenario.Parse("--set", strings.NewReader(strings.Join(lines, "\n")))
	if err == nil && s.About == "" {
		s.About = strings.Join(set, ", ")
	}
	return s, err
}

// itself is this program as one end of a run.
func itself() *exec.Cmd {
	path := "/proc/self/exe" // also if it was replaced meanwhile
	if runtime.GOOS != "linux" {
		path = os.Args[0]
	}
	cmd := exec.Command(path, "compare", "--child")
	cmd.Args[0] = os.Args[0]
	return cmd
}

func (c *compareCmd) save(r *report.Report) error {
	var errs []error
	if c.JSON != "" {
		errs = append(errs, report.Save(c.JSON, r.JSON))
	}
	if c.HTML != "" {
		errs = append(errs, report.Save(c.HTML, r.Page().HTML))
	}
	if c.Markdown != "" {
		errs = append(errs, r.SaveMarkdown(c.Markdown))
	}
	return errors.Join(errs...)
}

// missing is an error that names the runs which do not count.
func missing(r *report.Report) error {
	var errs []error
	for _, run := range r.Runs {
		if len(run.Invalid) > 0 {
			errs = append(errs, fmt.Errorf("%s, %s, repetition %d does not count: %s", run.Scenario, run.Transport, run.Repetition+1, strings.Join(run.Invalid, "; ")))
		}
	}
	return errors.Join(errs...)
}

// width is how wide out is, in columns.
func width(out io.Writer) int {
	if f, ok := out.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return max(columns, leastWidth)
		}
	}
	return usualWidth
}

const (
	leastWidth = 60
	usualWidth = 100
)
