package report

import (
	"fmt"
	"math"
	"slices"

	"strait/compare/report/page"
	"strait/compare/report/plot"
)

// benchGrid is the tables of one load with every size and number of clients.
type benchGrid struct {
	load          string
	sizes, counts []int // ascending
	tables        []*BenchTable
}

// grids finds them, in the order of the tables.
func (b *Bench) grids() (out []*benchGrid) {
	for i := range b.Tables {
		t := &b.Tables[i]
		if t.Grid == nil {
			continue
		}
		at := slices.IndexFunc(out, func(g *benchGrid) bool { return g.load == t.Grid.Load })
		if at < 0 {
			at = len(out)
			out = append(out, &benchGrid{load: t.Grid.Load})
		}
		g := out[at]
		g.tables = append(g.tables, t)
		g.sizes, g.counts = append(g.sizes, t.Grid.Size), append(g.counts, t.Grid.Clients)
	}
	for _, g := range out {
		for _, of := range []*[]int{&g.sizes, &g.counts} {
			slices.Sort(*of)
			*of = slices.Compact(*of)
		}
	}
	return out
}

// overviews are a section for each grid: every metric over the sizes and over the
// numbers of clients, and as a table that opens on demand.
func (b *Bench) overviews(looks []string) (out []page.Section) {
	for i, g := range b.grids() {
		s := page.Section{ID: fmt.Sprintf("grid-%d", i+1), Title: "Overview: " + g.load}
		for k, m := range g.tables[0].Metrics {
			if m.Plain {
				continue
			}
			id := fmt.Sprintf("%s-%d", s.ID, k+1)
			s.Pictures = append(s.Pictures, g.pictures(id, m, looks)...)
			s.Tables = append(s.Tables, g.table(m, looks))
		}
		out = append(out, s)
	}
	return out
}

// pictures draw a metric over what the grid varies, with the other fixed in each.
func (g *benchGrid) pictures(id string, m BenchMetric, looks []string) (out []page.Picture) {
	if len(g.sizes) > 1 {
		for _, n := range g.counts {
			at := func(size int) *BenchTable { return g.at(size, n) }
			out = append(out, line(fmt.Sprintf("%s-s%d", id, n), m, fmt.Sprintf("%d clients", n), "bytes of a message", g.sizes, at, looks))
		}
	}
	if len(g.counts) > 1 {
		for _, size := range g.sizes {
			at := func(n int) *BenchTable { return g.at(size, n) }
			out = append(out, line(fmt.Sprintf("%s-c%d", id, size), m, fmt.Sprintf("%d bytes", size), "clients", g.counts, at, looks))
		}
	}
	return out
}

func (g *benchGrid) at(size, clients int) *BenchTable {
	for _, t := range g.tables {
		if t.Grid.Size == size && t.Grid.Clients == clients {
			return t
		}
	}
	return nil
}

// line draws a metric of every target over xs.
func line(id string, m BenchMetric, fixed, x string, xs []int, at func(int) *BenchTable, looks []string) *plot.Line {
	l := &plot.Line{
		ID: id, Title: m.Name + ": " + fixed,
		Description: fmt.Sprintf("%s over %s, with %s, for each target; median of the repetitions.", m.Name, x, fixed),
		X:           plot.Axis{Name: x, Scale: plot.Log},
		Y:           plot.Axis{Name: m.Name},
	}
	for _, v := range xs {
		l.X.Marks = append(l.X.Marks, float64(v))
	}
	lowest, highest := math.Inf(1), 0.0
	for look, target := range looks {
		curve := plot.Curve{Name: target, Look: look, Marked: true}
		for _, v := range xs {
			t := at(v)
			if t == nil {
				continue
			}
			if median, _, _ := t.spread(target, m.Name); !math.IsNaN(median) {
				curve.Points = append(curve.Points, plot.Point{X: float64(v), Y: median})
				lowest, highest = min(lowest, median), max(highest, median)
			}
		}
		if len(curve.Points) > 0 {
			l.Curves = append(l.Curves, curve)
		}
	}
	if lowest > 0 && highest > 15*lowest {
		l.Y.Scale = plot.Log
	}
	return l
}

// table has a metric at every point of the grid.
func (g *benchGrid) table(m BenchMetric, looks []string) page.Table {
	out := page.Table{Caption: sentence(m.Name), Folded: true, Columns: append([]string{""}, looks...)}
	for _, size := range g.sizes {
		for _, n := range g.counts {
			t := g.at(size, n)
			if t == nil {
				continue
			}
			row := page.Row{Name: fmt.Sprintf("%d bytes, %d clients", size, n)}
			for _, target := range looks {
				row.Cells = append(row.Cells, page.Cell{Text: t.cell(target, m, false)})
			}
			out.Rows = append(out.Rows, row)
		}
	}
	return out
}
