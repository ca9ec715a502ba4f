//go:build linux

package report

import (
	"math"
	"slices"
)

// Metric is a line of a table.
type Metric struct {
	Name string `json:"name"` // with its unit
	// Digits behind the decimal point.
	Digits int `json:"digits"`
	// Plain leaves the ratio out, of what is not the proxy's merit.
	Plain bool `json:"plain,omitempty"`
}

// Row is what one run gave.
type Row struct {
	Target     string `json:"target"`
	Repetition int    `json:"repetition"`
	// Values are by the metric's name; a metric that was not measured is not there.
	Values map[string]float64 `json:"values"`
	// Notes are about this run, for people.
	Notes []string `json:"notes,omitempty"`
}

// Point is where a table stands among those of a grid: the same load with other sizes
// of messages and numbers of clients.
type Point struct {
	Load    string `json:"load"`
	Size    int    `json:"size"` // bytes
	Clients int    `json:"clients"`
}

// Table is one kind of load on all targets.
type Table struct {
	Title     string   `json:"title"`
	Grid      *Point   `json:"grid,omitempty"` // nil: of none
	Metrics   []Metric `json:"metrics"`
	Targets   []string `json:"targets"`
	Reference string   `json:"reference"` // one of Targets
	Rows      []Row    `json:"rows"`
}

// Add adds a run.
func (t *Table) Add(r Row) { t.Rows = append(t.Rows, r) }

// values returns target's figures by repetition.
func (t *Table) values(target, metric string) map[int]float64 {
	out := make(map[int]float64)
	for _, r := range t.Rows {
		if v, ok := r.Values[metric]; ok && r.Target == target {
			out[r.Repetition] = v
		}
	}
	return out
}

// Spread is the median of some figures with the least and the greatest. Without
// figures all three are NaN.
type Spread struct{ Median, Min, Max float64 }

// SpreadOf returns the spread of vs, which are borrowed until return.
func SpreadOf(vs []float64) Spread {
	if len(vs) == 0 {
		return Spread{math.NaN(), math.NaN(), math.NaN()}
	}
	s := slices.Sorted(slices.Values(vs))
	n := len(s)
	return Spread{Median: (s[(n-1)/2] + s[n/2]) / 2, Min: s[0], Max: s[n-1]}
}

// Value returns the spread of target's figures.
func (t *Table) Value(target, metric string) Spread {
	var vs []float64
	for _, v := range t.values(target, metric) {
		vs = append(vs, v)
	}
	return SpreadOf(vs)
}

// Ratio returns the spread of the ratios to the reference. Repetitions in which one
// of both is missing, or the reference's figure is 0, do not count.
func (t *Table) Ratio(target, metric string) Spread {
	base := t.values(t.Reference, metric)
	var vs []float64
	for rep, v := range t.values(target, metric) {
		if b, ok := base[rep]; ok && b != 0 {
			vs = append(vs, v/b)
		}
	}
	return SpreadOf(vs)
}
