package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"strait/compare/report/page"
	"strait/compare/report/plot"
)

// Bench is what bench/edge prints as JSON: tables of figures of one machine's runs,
// without an emulated network. It is shown in the style of a Report.
type Bench struct {
	Facts  BenchFacts   `json:"facts"`
	Notes  []string     `json:"notes,omitempty"`
	Tables []BenchTable `json:"tables"`
}

// BenchFacts are on what the figures were taken.
type BenchFacts struct {
	CPUs      int    `json:"cpus"`
	Processor string `json:"processor"`
	MemoryMiB int64  `json:"memory_mib"`
	Kernel    string `json:"kernel"`
	Go        string `json:"go"`
	TLS       string `json:"tls"`
	Programs  []struct {
		Target  string `json:"target"`
		Version string `json:"version"`
	} `json:"programs"`
}

// BenchTable is one kind of load on all targets.
type BenchTable struct {
	Title     string        `json:"title"`
	Metrics   []BenchMetric `json:"metrics"`
	Targets   []string      `json:"targets"`
	Reference string        `json:"reference"`
	Rows      []BenchRow    `json:"rows"`
}

// BenchMetric is a line of a table; Name has the unit.
type BenchMetric struct {
	Name   string `json:"name"`
	Digits int    `json:"digits"`
	// Plain metrics are not the target's merit, and are not drawn.
	Plain bool `json:"plain,omitempty"`
}

// BenchRow is one run.
type BenchRow struct {
	Target     string             `json:"target"`
	Repetition int                `json:"repetition"`
	Values     map[string]float64 `json:"values"`
	Notes      []string           `json:"notes,omitempty"`
}

// ParseBench reads what bench/edge has printed.
func ParseBench(in io.Reader) (*Bench, error) {
	var b Bench
	if err := json.NewDecoder(in).Decode(&b); err != nil {
		return nil, fmt.Errorf("report: figures of bench/edge: %w", err)
	}
	if len(b.Tables) == 0 {
		return nil, fmt.Errorf("report: figures of bench/edge: no table; give the output of its JSON format")
	}
	return &b, nil
}

// Page arranges the tables. Each figure is the median of the repetitions, its bounds
// the least and the greatest: so does bench/edge.
func (b *Bench) Page(title string) *page.Page {
	p := &page.Page{
		Title: title,
		Lead:  []string{"Side by side on one machine, alternating in one run. Each figure is the median of the repetitions, from the least to the greatest."},
		Facts: []page.Fact{{Name: "Machine", Value: fmt.Sprintf("%d CPUs (%s), %d MiB, Linux %s", b.Facts.CPUs, b.Facts.Processor, b.Facts.MemoryMiB, b.Facts.Kernel)}, {Name: "Built with", Value: b.Facts.Go}},
	}
	if b.Facts.TLS != "" {
		p.Facts = append(p.Facts, page.Fact{Name: "Negotiated", Value: b.Facts.TLS})
	}
	for _, pr := range b.Facts.Programs {
		p.Facts = append(p.Facts, page.Fact{Name: pr.Target, Value: strings.TrimSpace(pr.Version)})
	}
	for _, n := range b.Notes {
		p.Facts = append(p.Facts, page.Fact{Name: "Note", Value: n})
	}
	for i := range b.Tables {
		p.Sections = append(p.Sections, b.Tables[i].section(i))
	}
	return p
}

func (t *BenchTable) section(nth int) page.Section {
	s := page.Section{ID: fmt.Sprintf("table-%d", nth+1), Title: t.Title}
	out := page.Table{Caption: "Figures", Columns: append([]string{""}, t.Targets...)}
	for i, m := range t.Metrics {
		row := page.Row{Name: m.Name}
		bars := &plot.Bars{ID: fmt.Sprintf("%s-%d", s.ID, i+1), Title: m.Name, Description: fmt.Sprintf("%s of each target, from the least to the greatest of the repetitions.", m.Name)}
		any := false
		for look, target := range t.Targets {
			median, low, high := t.spread(target, m.Name)
			bar := plot.Bar{Name: target, Look: look, Value: median, Low: low, High: high}
			cell := page.Cell{Text: "–"}
			if !math.IsNaN(median) {
				any = true
				bar.Text = number(median, m.Digits)
				cell.Text = fmt.Sprintf("%s (%s to %s)", bar.Text, number(low, m.Digits), number(high, m.Digits))
			}
			bars.Bars = append(bars.Bars, bar)
			row.Cells = append(row.Cells, cell)
		}
		if !any {
			continue
		}
		out.Rows = append(out.Rows, row)
		if !m.Plain {
			s.Pictures = append(s.Pictures, bars)
		}
	}
	for _, r := range t.Rows {
		for _, n := range r.Notes {
			out.Notes = append(out.Notes, fmt.Sprintf("%s, repetition %d: %s", r.Target, r.Repetition+1, n))
		}
	}
	s.Tables = []page.Table{out}
	return s
}

// spread is the median of a target's figures with the least and the greatest; NaN
// without any.
func (t *BenchTable) spread(target, metric string) (median, low, high float64) {
	var vs []float64
	for _, r := range t.Rows {
		if v, ok := r.Values[metric]; ok && r.Target == target {
			vs = append(vs, v)
		}
	}
	if len(vs) == 0 {
		return math.NaN(), math.NaN(), math.NaN()
	}
	slices.Sort(vs)
	n := len(vs)
	return (vs[(n-1)/2] + vs[n/2]) / 2, vs[0], vs[n-1]
}
