package report_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/compare/report"
)

const edge = `{"facts":{"cpus":2,"processor":"p","memory_mib":1,"kernel":"k","go":"go1","tls":"TLS 1.3","programs":[{"target":"nginx","version":"1.26"}]},
"tables":[{"title":"saturated","metrics":[{"name":"CPU µs","digits":1},{"name":"load CPU","digits":2,"plain":true},{"name":"unmeasured","digits":0}],"targets":["nginx","strait"],"reference":"nginx",
"rows":[{"target":"nginx","repetition":0,"values":{"CPU µs":10,"load CPU":1}},{"target":"nginx","repetition":1,"values":{"CPU µs":14,"load CPU":1}},{"target":"strait","repetition":0,"values":{"CPU µs":8008},"notes":["behind"]}]}]}`

func TestBench(t *testing.T) {
	b, err := report.ParseBench(strings.NewReader(edge))
	require.NoError(t, err)
	p := b.Page("Beside others")
	text := p.Text(0)
	assert.Contains(t, text, "12.0 (10.0 to 14.0)")
	assert.Contains(t, text, "8,008.0 ×800.80", "the ratio is that of the repetition which both have")
	assert.Contains(t, text, "strait, repetition 1: behind")
	assert.NotContains(t, text, "unmeasured")
	assert.Equal(t, []string{"table-1-1.svg"}, pictures(b), "plain metrics are not drawn")
	var html bytes.Buffer
	require.NoError(t, p.HTML(&html))
	assert.Contains(t, html.String(), `data-series="strait" aria-pressed="false"`, "a legend")
	_, err = report.ParseBench(strings.NewReader(`{}`))
	require.ErrorContains(t, err, "no table")
}

// pictures are the names of a page's pictures but the legend's.
func pictures(b *report.Bench) []string {
	_, files := b.Page("x").Markdown("")
	delete(files, "legend.svg")
	return slices.Sorted(maps.Keys(files))
}

// gridded is a run over sizes and counts, with a load more that is in no grid.
func gridded(t *testing.T, sizes, counts []int) *report.Bench {
	t.Helper()
	targets := []string{"nginx", "strait", "haproxy STRAIT_SHARDS=1"}
	metrics := []report.BenchMetric{{Name: "round trips/s"}, {Name: "CPU, µs", Digits: 1}, {Name: "others", Digits: 2, Plain: true}}
	b := &report.Bench{Facts: report.BenchFacts{CPUs: 2, Processor: "p", Kernel: "k", Go: "go1"}, Notes: []string{"quiet"}}
	add := func(title string, point *report.BenchPoint, scale float64) {
		table := report.BenchTable{Title: title, Grid: point, Metrics: metrics, Targets: targets, Reference: "nginx"}
		for i, target := range targets {
			for rep := range 3 {
				v := scale * float64(10+i) * (1 + 0.1*float64(rep))
				table.Rows = append(table.Rows, report.BenchRow{Target: target, Repetition: rep, Values: map[string]float64{"round trips/s": 1e6 / v, "CPU, µs": v, "others": 0.01}})
			}
		}
		b.Tables = append(b.Tables, table)
	}
	for _, size := range sizes {
		for _, n := range counts {
			add(fmt.Sprintf("Saturated: %d clients, %d bytes", n, size), &report.BenchPoint{Load: "Saturated", Size: size, Clients: n}, 1+float64(size)/256+float64(n)/100)
		}
	}
	add("New sessions: full handshakes", nil, 20)
	text, err := json.Marshal(b)
	require.NoError(t, err)
	back, err := report.ParseBench(bytes.NewReader(text))
	require.NoError(t, err)
	return back
}

func TestBenchGrid(t *testing.T) {
	b := gridded(t, []int{1024, 64}, []int{10, 200, 2000})
	p := b.Page("Grid")
	require.Len(t, p.Sections, 1+6+1)
	overview := p.Sections[0]
	assert.Equal(t, "Overview: Saturated", overview.Title)
	assert.Len(t, overview.Pictures, 2*(3+2), "two metrics, over the sizes for three numbers of clients and the other way round")
	svg := overview.Pictures[0].SVG()
	assert.Contains(t, svg, "round trips/s: 10 clients")
	assert.Contains(t, svg, ">64</text>", "the sizes themselves stand at the axis")
	assert.Contains(t, svg, ">1024</text>")
	assert.Equal(t, 2*3, strings.Count(svg, `class="f`), "each point is marked")
	require.Len(t, overview.Tables, 2)
	assert.Equal(t, "64 bytes, 10 clients", overview.Tables[0].Rows[0].Name)
	assert.Equal(t, "16.3 ×1.10", overview.Tables[1].Rows[0].Cells[1].Text)
	assert.Equal(t, "Saturated, 1024 bytes, 10 clients", p.Sections[1].Short)
	assert.Equal(t, "New sessions", p.Sections[7].Short)

	assert.Len(t, gridded(t, []int{64}, []int{1, 2}).Page("x").Sections[0].Pictures, 2, "one size is nothing to draw over")
}
