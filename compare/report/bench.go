package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
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
	Grid      *BenchPoint   `json:"grid,omitempty"` // nil: of none
	Metrics   []BenchMetric `json:"metrics"`
	Targets   []string      `json:"targets"`
	Reference string        `json:"reference"`
	Rows      []BenchRow    `json:"rows"`
}

// BenchPoint is where a table stands among those of a grid: the same load with other
// sizes of messages and numbers of clients.
type BenchPoint struct {
	Load    string `json:"load"`
	Size    int    `json:"size"` // bytes
	Clients int    `json:"clients"`
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
// the least and the greatest, and its ratio taken in each repetition: so does
// bench/edge. The tables of a grid have an overview before them.
func (b *Bench) Page(title string) *page.Page {
	p := &page.Page{
		Title: title,
		Lead:  []string{fmt.Sprintf("Side by side on one machine, alternating in one run. Each figure is the median of the repetitions, from the least to the greatest; × is the ratio to %s, taken in each repetition, and the median of these.", b.Tables[0].Reference)},
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
	looks := b.looks()
	for i, name := range looks {
		p.Legend = append(p.Legend, page.Series{Name: name, Look: i})
	}
	p.Sections = b.overviews(looks)
	for i := range b.Tables {
		p.Sections = append(p.Sections, b.Tables[i].section(i, looks, b.short(i)))
	}
	return p
}

// looks are the targets of all tables: the same one looks the same everywhere.
func (b *Bench) looks() (names []string) {
	for _, t := range b.Tables {
		for _, name := range t.Targets {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// short is a table's name in the list of sections.
func (b *Bench) short(i int) string {
	t := b.Tables[i]
	if g := t.Grid; g != nil {
		return fmt.Sprintf("%s, %d bytes, %d clients", g.Load, g.Size, g.Clients)
	}
	first, _, _ := strings.Cut(t.Title, ":")
	alike := 0
	for _, other := range b.Tables {
		if strings.HasPrefix(other.Title, first+":") {
			alike++
		}
	}
	if alike > 1 {
		return t.Title
	}
	return first
}

func (t *BenchTable) section(nth int, looks []string, short string) page.Section {
	s := page.Section{ID: fmt.Sprintf("table-%d", nth+1), Title: t.Title, Short: short}
	out := page.Table{Caption: "Figures", Columns: append([]string{""}, t.Targets...)}
	for i, m := range t.Metrics {
		row := page.Row{Name: m.Name}
		bars := &plot.Bars{ID: fmt.Sprintf("%s-%d", s.ID, i+1), Title: m.Name, Description: fmt.Sprintf("%s of each target, from the least to the greatest of the repetitions.", m.Name)}
		any := false
		for _, target := range t.Targets {
			median, low, high := t.spread(target, m.Name)
			bar := plot.Bar{Name: target, Look: slices.Index(looks, target), Value: median, Low: low, High: high}
			any = any || !math.IsNaN(median)
			if !math.IsNaN(median) {
				bar.Text = figure(median, m)
			}
			bars.Bars = append(bars.Bars, bar)
			row.Cells = append(row.Cells, page.Cell{Text: t.cell(target, m, true)})
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

// cell is a target's figure, with its bounds if they are asked for, and with its ratio
// to the reference where it has one.
func (t *BenchTable) cell(target string, m BenchMetric, bounds bool) string {
	median, low, high := t.spread(target, m.Name)
	if math.IsNaN(median) {
		return "–"
	}
	text := figure(median, m)
	if bounds && low != high {
		text += fmt.Sprintf(" (%s to %s)", figure(low, m), figure(high, m))
	}
	if ratio := t.ratio(target, m.Name); !m.Plain && target != t.Reference && !math.IsNaN(ratio) {
		text += " ×" + number(ratio, 2)
	}
	return text
}

// figure prints v with the metric's digits and commas between thousands.
func figure(v float64, m BenchMetric) string {
	s := strconv.FormatFloat(v, 'f', m.Digits, 64)
	whole, rest, point := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if point {
		whole += "." + rest
	}
	return whole
}

// values are a target's figures by repetition.
func (t *BenchTable) values(target, metric string) map[int]float64 {
	vs := make(map[int]float64)
	for _, r := range t.Rows {
		if v, ok := r.Values[metric]; ok && r.Target == target {
			vs[r.Repetition] = v
		}
	}
	return vs
}

// spread is the median of a target's figures with the least and the greatest; NaN
// without any.
func (t *BenchTable) spread(target, metric string) (median, low, high float64) {
	return middle(slices.Collect(maps.Values(t.values(target, metric))))
}

// ratio is the median of the ratios to the reference in each repetition; NaN without
// any.
func (t *BenchTable) ratio(target, metric string) float64 {
	base := t.values(t.Reference, metric)
	var vs []float64
	for rep, v := range t.values(target, metric) {
		if b := base[rep]; b != 0 {
			vs = append(vs, v/b)
		}
	}
	median, _, _ := middle(vs)
	return median
}

// middle takes vs; it is the median with the least and the greatest, NaN without any.
func middle(vs []float64) (median, low, high float64) {
	if len(vs) == 0 {
		return math.NaN(), math.NaN(), math.NaN()
	}
	slices.Sort(vs)
	n := len(vs)
	return (vs[(n-1)/2] + vs[n/2]) / 2, vs[0], vs[n-1]
}
