//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"strait/bench/edge/report"
	"strait/bench/edge/stack"
)

// comparison is a run of the whole plan.
type comparison struct {
	o        *options
	targets  []stack.Target
	stacks   stack.Config
	idle     int // sessions: as many as o.idle says and open files allow
	facts    facts
	notes    []string
	progress io.Writer
}

// newComparison finds the programs, and builds the gateway in dir if no binary was
// given.
func newComparison(ctx context.Context, o *options, dir string, progress io.Writer) (*comparison, error) {
	c := &comparison{o: o, idle: o.idle, progress: progress}
	if err := c.find(ctx, dir); err != nil {
		return nil, err
	}
	if err := c.fit(); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cert, err := stack.NewCertificate(dir)
	if err != nil {
		return nil, err
	}
	c.stacks = stack.Config{Cert: cert, Echo: []string{self, echoCommand}, Sessions: max(o.mostClients(), c.idle, handshaking)}
	c.facts = newFacts(c.targets)
	return c, nil
}

// find makes the targets: of each kind, in their order, or the gateway by each protocol.
func (c *comparison) find(ctx context.Context, dir string) error {
	rivals := slices.DeleteFunc(slices.Clone(c.o.targets), func(k stack.Kind) bool { return k == stack.Strait || k == stack.Bare })
	found, err := stack.Find(rivals)
	if err != nil {
		return err
	}
	for _, k := range c.o.targets {
		switch k {
		case stack.Bare:
			c.targets = append(c.targets, stack.Target{Name: "bare echo", Kind: k})
		case stack.Strait:
			gateways, err := gateways(ctx, c.o, dir, c.progress)
			if err != nil {
				return err
			}
			c.targets = append(c.targets, gateways...)
		default:
			c.targets = append(c.targets, found[0])
			found = found[1:]
		}
	}
	c.targets = by(c.o.protocols, c.targets)
	return nil
}

// by is each target by each protocol; with more than one their names say which.
func by(protocols []stack.Protocol, targets []stack.Target) (out []stack.Target) {
	for _, p := range protocols {
		for _, t := range targets {
			t.Protocol = p
			if len(protocols) > 1 {
				which := strings.TrimSpace(strings.TrimPrefix(t.Name, string(stack.Strait)))
				t.Name = strings.TrimSpace(p.Title() + " " + which)
			}
			out = append(out, t)
		}
	}
	return out
}

// gateways are the targets that are the gateway: the binary, the second one, and
// the first one again with each environment.
func gateways(ctx context.Context, o *options, dir string, progress io.Writer) ([]stack.Target, error) {
	binary := o.strait
	if binary == "" {
		binary = filepath.Join(dir, "strait")
		fmt.Fprintln(progress, "building the gateway")
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "strait/cmd/strait")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		// Asked, it removes what it has begun.
		cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(os.Interrupt) }, 10*time.Second
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building the gateway: %w\n%s", err, out)
		}
	}
	targets := []stack.Target{{Name: "strait", Kind: stack.Strait, Binary: binary}}
	if o.strait2 != "" {
		targets = append(targets, stack.Target{Name: "strait2", Kind: stack.Strait, Binary: o.strait2})
	}
	for _, env := range o.straitEnv {
		targets = append(targets, stack.Target{Name: "strait " + strings.Join(env, " "), Kind: stack.Strait, Binary: binary, Env: env})
	}
	for i := range targets {
		// It will run in another folder.
		path, err := filepath.Abs(targets[i].Binary)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
		targets[i].Binary = path
	}
	return targets, nil
}

// fit holds the plan against the limit of open files.
func (c *comparison) fit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("the limit of open files: %w", err)
	}
	most := stack.Sessions(limit.Max)
	if n := c.o.mostClients(); n > most {
		return fmt.Errorf("%d clients do not fit into %d open files a process, of which nginx and HAProxy need two for each: at most %d", n, limit.Max, most)
	}
	if c.idle > most {
		c.idle = most
		c.notes = append(c.notes, fmt.Sprintf("idle sessions: %d, because %d do not fit into %d open files a process, of which nginx and HAProxy need two for each",
			most, c.o.idle, limit.Max))
	}
	return nil
}

// rotated is the order of the targets in a repetition: no target always comes
// first, or always after the same one's leftovers.
func rotated(targets []stack.Target, rep int) []stack.Target {
	n := rep % len(targets)
	return append(slices.Clone(targets[n:]), targets[:n]...)
}

// run carries the plan out.
func (c *comparison) run(ctx context.Context) (*result, error) {
	plan := c.scenarios()
	if len(plan) == 0 {
		return nil, &usageError{errors.New("the flags leave no load to run")}
	}
	var expected time.Duration
	for _, s := range plan {
		expected += s.each * time.Duration(c.o.reps*len(c.targets))
	}
	fmt.Fprintf(c.progress, "%d targets, %d repetitions, about %v\n", len(c.targets), c.o.reps, expected.Round(time.Second))
	r := &result{Notes: append(c.notes, fmt.Sprintf("repetitions: %d, each measured for %v after %v", c.o.reps, c.o.measure, c.o.warmup))}
	for _, s := range plan {
		fmt.Fprintln(c.progress, s.table.Title)
		for rep := range c.o.reps {
			for _, target := range rotated(c.targets, rep) {
				row, err := s.run(turn{c: c, target: target, rep: rep}, ctx)
				if err != nil {
					return nil, fmt.Errorf("%s, repetition %d, %s: %w", s.table.Title, rep+1, target.Name, err)
				}
				s.table.Add(row)
				fmt.Fprintf(c.progress, "  %d %-14s%s\n", rep+1, target.Name, brief(s.table.Metrics, row))
			}
		}
		if s.after != nil {
			s.after(s)
		}
		r.Tables = append(r.Tables, s.table)
	}
	r.Facts = c.facts
	if n := noise(r.Tables); n > quiet {
		r.Notes = append(r.Notes, fmt.Sprintf("not a quiet machine: other processes used up to %.2f CPUs during a run", n))
	}
	return r, nil
}

// quiet is how many CPUs others may use before the figures are marked.
const quiet = 0.1

// noise is the most CPUs that others used in any run.
func noise(tables []*report.Table) (most float64) {
	for _, t := range tables {
		for _, r := range t.Rows {
			most = max(most, r.Values[others])
		}
	}
	return most
}

// brief is a row's figures that are compared.
func brief(metrics []report.Metric, r report.Row) string {
	var b strings.Builder
	for _, m := range metrics {
		if v, ok := r.Values[m.Name]; ok && !m.Plain {
			fmt.Fprintf(&b, "  %s %.*f", m.Name, m.Digits, v)
		}
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "  (%s)", n)
	}
	return b.String()
}
