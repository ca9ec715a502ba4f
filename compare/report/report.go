package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"strait/compare/measure"
	"strait/compare/report/plot"
)

// Schema is the version of the JSON.
const Schema = "strait-compare/1"

// Report is a comparison.
type Report struct {
	Schema string `json:"schema"`
	Title  string `json:"title"`
	// Created is RFC 3339; the caller's clock.
	Created     string      `json:"created"`
	Environment Environment `json:"environment"`
	Plan        Plan        `json:"plan"`
	// Transports and Scenarios are in the order in which they are shown.
	Transports []Transport `json:"transports"`
	Scenarios  []Scenario  `json:"scenarios"`
	Notes      []string    `json:"notes,omitempty"`
	// Runs are all runs, the invalid ones included.
	Runs []*measure.Run `json:"runs"`

	// What follows is derived by Finish.

	Cells    []*measure.Cell `json:"cells"`
	Rules    []string        `json:"rules"`
	Verdicts []Verdict       `json:"verdicts"`
	Overall  Overall         `json:"overall"`
}

// Environment is what the figures were taken on.
type Environment struct {
	Kernel    string `json:"kernel"`
	Processor string `json:"processor"`
	CPUs      int    `json:"cpus"`
	MemoryMiB int64  `json:"memory_mib"`
	Go        string `json:"go"`
	// Programs are name and version of everything that was run: Strait, the modules of
	// the rivals, the emulator.
	Programs []Program `json:"programs"`
}

// Program is a program or module.
type Program struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Plan is what was to be run.
type Plan struct {
	Seed        uint64  `json:"seed"`
	Repetitions int     `json:"repetitions"`
	Seconds     float64 `json:"seconds"`        // that count, of each run
	WarmUp      float64 `json:"warm_up_second"` // before them
	Players     int     `json:"players"`
	// Flows is the workload.
	Flows []measure.Flow `json:"flows"`
}

// Transport is one of what is compared.
type Transport struct {
	// ID is what runs refer to, and the name that is shown.
	ID string `json:"id"`
	// Note says in a few words how it carries the game.
	Note string `json:"note"`
}

// Scenario is a network.
type Scenario struct {
	ID string `json:"id"` // what runs refer to, and the short name
	// Players says who meets it: "players on 4G".
	Players     string `json:"players"`
	Description string `json:"description"`
	// Parameters are those of the emulator, for people: "delay: 40 ms ± 8 ms".
	Parameters []string `json:"parameters,omitempty"`
	// Outages are where the link was away, for the pictures.
	Outages []measure.Span `json:"outages,omitempty"`
}

// Finish checks that the report is whole and derives cells, verdicts and the overall
// recommendation.
func (r *Report) Finish() error {
	r.Schema = Schema
	if len(r.Transports) == 0 || len(r.Scenarios) == 0 {
		return fmt.Errorf("a report with %d transports and %d scenarios compares nothing", len(r.Transports), len(r.Scenarios))
	}
	if len(r.Transports) > plot.Series {
		return fmt.Errorf("%d transports: pictures tell %d apart", len(r.Transports), plot.Series)
	}
	if err := r.unique(); err != nil {
		return err
	}
	runs := make(map[[2]string][]*measure.Run)
	seen := make(map[string]bool)
	for _, run := range r.Runs {
		key := [2]string{run.Scenario, run.Transport}
		if r.look(run.Transport) < 0 || !slices.ContainsFunc(r.Scenarios, func(s Scenario) bool { return s.ID == run.Scenario }) {
			return fmt.Errorf("a run of %q in %q, which the report does not list", run.Transport, run.Scenario)
		}
		if one := fmt.Sprintf("%q in %q, repetition %d", run.Transport, run.Scenario, run.Repetition); seen[one] {
			return fmt.Errorf("two runs of %s", one)
		} else {
			seen[one] = true
		}
		runs[key] = append(runs[key], run)
	}
	r.Cells, r.Verdicts = nil, nil
	for _, s := range r.Scenarios {
		for _, t := range r.Transports {
			if rs := runs[[2]string{s.ID, t.ID}]; len(rs) > 0 {
				r.Cells = append(r.Cells, measure.Merge(rs))
			}
		}
	}
	r.Rules = Rules()
	for _, s := range r.Scenarios {
		r.Verdicts = append(r.Verdicts, r.judge(s))
	}
	r.Overall = r.overall()
	return nil
}

func (r *Report) unique() error {
	for i, t := range r.Transports {
		if t.ID == "" || slices.ContainsFunc(r.Transports[:i], func(o Transport) bool { return o.ID == t.ID }) {
			return fmt.Errorf("transport %q has no name of its own", t.ID)
		}
	}
	for i, s := range r.Scenarios {
		if s.ID == "" || slices.ContainsFunc(r.Scenarios[:i], func(o Scenario) bool { return anchor(o.ID) == anchor(s.ID) }) {
			return fmt.Errorf("scenario %q has no name of its own", s.ID)
		}
	}
	return nil
}

// look is the transport's place, by which it is drawn; -1 if there is none.
func (r *Report) look(transport string) int {
	return slices.IndexFunc(r.Transports, func(t Transport) bool { return t.ID == transport })
}

// cell returns the cell; nil if nothing was run.
func (r *Report) cell(scenario, transport string) *measure.Cell {
	for _, c := range r.Cells {
		if c.Scenario == scenario && c.Transport == transport {
			return c
		}
	}
	return nil
}

// JSON writes the record, on one line: distributions would make thousands.
func (r *Report) JSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// Parse reads a record and derives again what follows from its runs.
func Parse(in io.Reader) (*Report, error) {
	var r Report
	if err := json.NewDecoder(in).Decode(&r); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("report: schema %q; this version reads %q", r.Schema, Schema)
	}
	if err := r.Finish(); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return &r, nil
}

// anchor makes an identifier of letters, digits and dashes.
func anchor(s string) string {
	b := []byte(s)
	for i, c := range b {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') {
			b[i] = '-'
		}
	}
	return string(b)
}
