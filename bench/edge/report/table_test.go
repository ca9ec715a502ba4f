//go:build linux

package report_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/bench/edge/report"
)

func TestSpreadOf(t *testing.T) {
	in := []float64{5, 1, 3}
	assert.Equal(t, report.Spread{Median: 3, Min: 1, Max: 5}, report.SpreadOf(in))
	assert.Equal(t, []float64{5, 1, 3}, in, "borrowed")
	assert.Equal(t, report.Spread{Median: 2.5, Min: 1, Max: 4}, report.SpreadOf([]float64{4, 2, 3, 1}))
	assert.Equal(t, report.Spread{Median: 7, Min: 7, Max: 7}, report.SpreadOf([]float64{7}))
	assert.True(t, math.IsNaN(report.SpreadOf(nil).Median))
}

func sample() *report.Table {
	t := &report.Table{
		Title:     "saturated",
		Metrics:   []report.Metric{{Name: "round trips/s"}, {Name: "CPU µs", Digits: 1}, {Name: "load CPU", Digits: 2, Plain: true}, {Name: "unmeasured"}},
		Targets:   []string{"nginx", "strait"},
		Reference: "nginx",
	}
	for rep, v := range [][4]float64{{40000, 80000, 10, 5}, {50000, 60000, 20, 4}, {44000, 66000, 10, 8}} {
		t.Add(report.Row{Target: "nginx", Repetition: rep, Values: map[string]float64{"round trips/s": v[0], "CPU µs": v[2], "load CPU": 1}})
		t.Add(report.Row{Target: "strait", Repetition: rep, Values: map[string]float64{"round trips/s": v[1], "CPU µs": v[3], "load CPU": 0.5}})
	}
	return t
}

// The ratio is taken in each repetition, not between the medians.
func TestRatioIsWithinARepetition(t *testing.T) {
	tab := sample()
	assert.Equal(t, report.Spread{Median: 1.5, Min: 1.2, Max: 2}, tab.Ratio("strait", "round trips/s"))
	assert.Equal(t, report.Spread{Median: 0.5, Min: 0.2, Max: 0.8}, tab.Ratio("strait", "CPU µs"))
	assert.Equal(t, 66000.0, tab.Value("strait", "round trips/s").Median)
	assert.Equal(t, 44000.0, tab.Value("nginx", "round trips/s").Median)
}

func TestRatioLeavesOutWhatHasNoPair(t *testing.T) {
	tab := sample()
	tab.Add(report.Row{Target: "strait", Repetition: 3, Values: map[string]float64{"CPU µs": 100}})
	tab.Add(report.Row{Target: "strait", Repetition: 4, Values: map[string]float64{"CPU µs": 100}})
	tab.Add(report.Row{Target: "nginx", Repetition: 4, Values: map[string]float64{"CPU µs": 0}})
	assert.Equal(t, report.Spread{Median: 0.5, Min: 0.2, Max: 0.8}, tab.Ratio("strait", "CPU µs"))
	assert.True(t, math.IsNaN(tab.Ratio("strait", "unmeasured").Median))
}

func TestPrint(t *testing.T) {
	tab := sample()
	assert.Equal(t, "saturated\n"+
		"                 nginx   strait\n"+
		"  round trips/s  44,000  66,000  ×1.50 (1.20..2.00)\n"+
		"  CPU µs         10.0    5.0  ×0.50 (0.20..0.80)\n"+
		"  load CPU       1.00    0.50\n", tab.Text())
	tab.Rows[1].Notes = []string{"behind"}
	assert.Equal(t, "### saturated\n\n"+
		"|  | nginx | strait |\n"+
		"|---|---:|---:|\n"+
		"| round trips/s | 44,000 | 66,000  ×1.50 (1.20..2.00) |\n"+
		"| CPU µs | 10.0 | 5.0  ×0.50 (0.20..0.80) |\n"+
		"| load CPU | 1.00 | 0.50 |\n"+
		"\n- strait, repetition 1: behind\n", tab.Markdown())
}

func TestNumbers(t *testing.T) {
	tab := &report.Table{Metrics: []report.Metric{{Name: "m", Digits: 1}}, Targets: []string{"a"}, Reference: "a"}
	for v, want := range map[float64]string{
		0: "0.0", 999.94: "999.9", 1000: "1,000.0", 1234567.25: "1,234,567.2", -1234: "-1,234.0", -0.01: "0.0",
	} {
		tab.Rows = []report.Row{{Target: "a", Values: map[string]float64{"m": v}}}
		assert.Contains(t, tab.Text(), "m  "+want+"\n")
	}
}

func TestJSONRoundTrip(t *testing.T) {
	tab := sample()
	b, err := json.Marshal(tab)
	require.NoError(t, err)
	var back report.Table
	require.NoError(t, json.Unmarshal(b, &back))
	assert.Equal(t, *tab, back)
}
