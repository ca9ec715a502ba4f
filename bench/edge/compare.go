//go:build linux

package main

import (
	"context"
	"encoding/json"
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
	var rivals []stack.Kind
	for _, k := range o.targets {
		if k != stack.Strait && k != stack.Bare {
			rivals = append(rivals, k)
		}
	}
	found, err := stack.Find(rivals)
	if err != nil {
		return nil, err
	}
	c := &comparison{o: o, idle: o.idle, progress: progress}
	for _, k := range o.targets {
		switch k {
		case stack.Strait:
		case stack.Bare:
			c.targets = append(c.targets, stack.Target{Name: "bare echo", Kind: k})
			continue
		default:
			c.targets = append(c.targets, found[0])
			found = found[1:]
			continue
		}
		gateways, err := gateways(ctx, o, dir, progress)
		if err != nil {
			return nil, err
		}
		c.targets = append(c.targets, gateways...)
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
	c.stacks = stack.Config{Protocol: o.protocol, Cert: cert, Echo: []string{self, echoCommand}, Sessions: max(o.clients, o.many, c.idle, handshaking)}
	c.facts = newFacts(c.targets)
	return c, nil
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
	if n := max(c.o.clients, c.o.many); n > most {
		return fmt.Errorf("%d clients do not fit into %d open files a process, of which nginx and HAProxy need two for each: at most %d", n, limit.Max, most)
	}
	if c.idle > most {
		c.idle = most
		c.notes = append(c.notes, fmt.Sprintf("idle sessions: %d, because %d do not fit into %d open files a process, of which nginx and HAProxy need two for each",
			most, c.o.idle, limit.Max))
	}
	return nil
}

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
	o := c.o
	var out []*scenario
	stretch := o.warmup + o.measure
	if o.saturated {
		out = append(out, &scenario{
			table: c.table(loadMetrics, "Saturated: %d clients, %d bytes, %d on the way for each client", o.clients, o.size, o.window),
			run:   turn.saturated, each: stretch + opening(o.clients),
		})
	}
	if o.rate > 0 {
		few := c.table(loadMetrics, "Offered: %.0f round trips/s, %d clients, %d bytes", o.rate, o.clients, o.size)
		offered := func(clients int) func(turn, context.Context) (report.Row, error) {
			return func(t turn, ctx context.Context) (report.Row, error) { return t.offered(ctx, clients) }
		}
		out = append(out, &scenario{table: few, run: offered(o.clients), each: stretch + opening(o.clients)})
		if o.many > 0 {
			out = append(out, &scenario{
				table: c.table(loadMetrics, "Offered: %.0f round trips/s, %d clients, %d bytes", o.rate, o.many, o.size),
				run:   offered(o.many), each: stretch + opening(o.many),
				after: func(s *scenario) { grow(s.table, few) },
			})
		}
	}
	if o.handshakes > 0 && o.protocol == stack.TLS {
		out = append(out, &scenario{
			table: c.table(sessionMetrics, "New sessions: full handshakes, ECDSA P-256, each with one echo, %d at a time", handshaking),
			run:   turn.sessions, each: o.warmup + o.handshakes,
		})
	}
	if c.idle > 0 {
		out = append(out, &scenario{
			table: c.table(memoryMetrics, "Memory: %d idle sessions, then each with a message of %d bytes", c.idle, o.largest()),
			run:   turn.idle, each: 3*o.settle + 2*opening(c.idle),
		})
	}
	return out
}

// opening is roughly how long it takes to open so many sessions.
func opening(sessions int) time.Duration { return time.Duration(sessions) * 700 * time.Microsecond }

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
	r := &result{Notes: c.notes}
	for _, s := range plan {
		fmt.Fprintln(c.progress, s.table.Title)
		for rep := range c.o.reps {
			for _, target := range rotated(c.targets, rep) {
				row, err := s.run(turn{c: c, target: target, rep: rep}, ctx)
				if err != nil {
					return nil, fmt.Errorf("%s, repetition %d, %s: %w", s.table.Title, rep+1, target.Name, err)
				}
				s.table.Add(row)
				fmt.Fprintf(c.progress, "  %d %-12s%s\n", rep+1, target.Name, brief(s.table.Metrics, row))
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

// result is what a comparison prints.
type result struct {
	Facts  facts           `json:"facts"`
	Notes  []string        `json:"notes,omitempty"`
	Tables []*report.Table `json:"tables"`
}

// legend says how to read a cell.
const legend = "Each figure is the median of the repetitions; behind it × is the ratio to %s, taken in each repetition: the median of these, and from the least to the greatest."

func (r *result) print(out io.Writer, f format) error {
	if f == asJSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	var b strings.Builder
	bullet := ""
	if f == asMarkdown {
		bullet = "- "
	}
	for _, l := range append(r.Facts.lines(), r.Notes...) {
		fmt.Fprintf(&b, "%s%s\n", bullet, l)
	}
	fmt.Fprintf(&b, "\n"+legend+"\n", r.Tables[0].Reference)
	for _, t := range r.Tables {
		b.WriteByte('\n')
		if f == asMarkdown {
			b.WriteString(t.Markdown())
		} else {
			b.WriteString(t.Text())
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}
