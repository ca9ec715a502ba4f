package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"strait/compare/measure"
	"strait/compare/report/page"
	"strait/compare/report/plot"
)

// Page arranges a finished report.
func (r *Report) Page() *page.Page {
	p := &page.Page{
		Title: r.Title,
		Lead:  []string{"The same game over each transport, on the same emulated networks: inputs of each player go up, the state of the world comes down, and reliable events go both ways. The age of state is how old the newest snapshot is, read every millisecond; it is what players see. Curves of delay are of all messages sent: what never arrived keeps a curve from the top."},
		Facts: r.facts(),
	}
	for i, t := range r.Transports {
		p.Legend = append(p.Legend, page.Series{Name: t.ID, Look: i, Note: t.Note})
	}
	p.Sections = append(p.Sections, r.recommendation(), r.glance())
	for i := range r.Scenarios {
		p.Sections = append(p.Sections, r.scenario(&r.Scenarios[i], &r.Verdicts[i]))
	}
	p.Sections = append(p.Sections, page.Section{ID: "rules", Title: "The rules", Prose: []string{"The recommendations follow from the figures by these rules alone:"}, List: r.Rules})
	if s, any := r.invalid(); any {
		p.Sections = append(p.Sections, s)
	}
	return p
}

func (r *Report) recommendation() page.Section {
	s := page.Section{ID: "recommendation", Title: "Recommendation", Verdict: r.Overall.Text}
	whom := page.Table{Caption: "Which transport for whom", Wordy: true, Columns: []string{"", "use", "not told apart from it by players", "worse, or does not work"}}
	for i, v := range r.Verdicts {
		whom.Rows = append(whom.Rows, r.whom(&r.Scenarios[i], &v))
	}
	t := page.Table{Caption: "How each transport stands", Columns: []string{"", "among the best in", "works in", "age of state (p95) against the lowest"}}
	for _, st := range r.Overall.Standings {
		distance := "–"
		if st.Distance > 0 {
			distance = number(st.Distance, 2) + " ×"
		}
		cells := []page.Cell{
			{Text: fmt.Sprintf("%d of %d", st.FeelsBest, len(r.Scenarios))},
			{Text: fmt.Sprintf("%d of %d", st.Works, st.Measured)},
			{Text: distance},
		}
		if slices.Contains(r.Overall.Leaders, st.Transport) {
			cells[0].Mark = page.Tied
			if len(r.Overall.Leaders) == 1 {
				cells[0].Mark = page.Best
			}
		}
		t.Rows = append(t.Rows, page.Row{Name: st.Transport, Cells: cells})
	}
	t.Notes = []string{"The last column is the geometric mean over the scenarios in which the transport works; 1.00 × is the lowest everywhere."}
	s.Tables = []page.Table{whom, t}
	return s
}

// whom is a scenario's line in the table of recommendations.
func (r *Report) whom(s *Scenario, v *Verdict) page.Row {
	row := page.Row{Name: sentence(cmp.Or(s.Players, s.ID))}
	var alike, worse []string
	for _, t := range r.Transports {
		switch {
		case slices.Contains(v.Leaders, t.ID):
		case slices.Contains(v.Alike, t.ID):
			alike = append(alike, t.ID)
		case slices.ContainsFunc(v.Failing, func(e Exclusion) bool { return e.Transport == t.ID }):
			worse = append(worse, t.ID+" ✗")
		case !slices.ContainsFunc(v.Unmeasured, func(e Exclusion) bool { return e.Transport == t.ID }):
			worse = append(worse, t.ID)
		}
	}
	use := page.Cell{Text: strings.Join(v.Leaders, " or ")}
	switch {
	case len(v.Leaders) == 1:
		use.Mark = page.Best
	case len(v.Leaders) > 1:
		use.Text, use.Mark = use.Text+": no clear winner", page.Tied
	case len(v.Failing) > 0:
		use.Text, use.Mark = "nothing works", page.Bad
	default:
		use.Text = "no run counts"
	}
	dash := func(s []string) page.Cell { return page.Cell{Text: cmp.Or(strings.Join(s, ", "), "–")} }
	row.Cells = []page.Cell{use, dash(alike), dash(worse)}
	return row
}

// bounds are the ratios to the lowest value at which a heat map goes one step on.
var bounds = [plot.Steps - 1]float64{1.1, 1.5, 2, 3}

func (r *Report) glance() page.Section {
	h := &plot.Heat{
		ID:          "heat",
		Title:       "Age of state, p95, in ms",
		Description: "Scenarios by transports. Each cell has the 95th percentile of the age of state; its colour is the ratio to the lowest of the row.",
		Legend:      [plot.Steps]string{"up to 1.1 × the lowest", "1.5 ×", "2 ×", "3 ×", "more"},
	}
	for _, t := range r.Transports {
		h.Columns = append(h.Columns, t.ID)
	}
	for i, s := range r.Scenarios {
		row := plot.HeatRow{Name: s.ID}
		for _, t := range r.Transports {
			row.Cells = append(row.Cells, r.heatCell(s, t, &r.Verdicts[i]))
		}
		h.Rows = append(h.Rows, row)
	}
	return page.Section{
		ID: "glance", Title: "At a glance",
		Prose: []string{"One row per scenario; lower is better. ★ is recommended, ≈ could not be told apart from the best by what players feel, ✗ does not work, – has no run that counts."},
		Heat:  h,
	}
}

func (r *Report) heatCell(s Scenario, t Transport, v *Verdict) plot.HeatCell {
	c := r.cell(s.ID, t.ID)
	label := t.ID + ", " + s.ID + ": "
	switch {
	case c == nil || c.Valid == 0:
		return plot.HeatCell{Step: -1, Text: "–", Label: label + "no run counts"}
	case !c.Works():
		return plot.HeatCell{Step: -1, Text: "fails", Mark: "✗", Label: label + "does not work"}
	}
	e, ok := c.Estimates[measure.AgeP95]
	if !ok {
		return plot.HeatCell{Step: -1, Text: "–", Label: label + "not measured"}
	}
	over := 1.0
	if lowest := r.lowest(s.ID); lowest > 0 {
		over = e.Mean / lowest
	}
	out := plot.HeatCell{Text: number(e.Mean, 0), Label: fmt.Sprintf("%s%s ms, %s × the lowest", label, estimate(measure.MetricByID(measure.AgeP95), e), number(over, 2))}
	for _, b := range bounds {
		if over > b {
			out.Step++
		}
	}
	switch {
	case len(v.Leaders) == 1 && v.Leaders[0] == t.ID:
		out.Mark = "★"
	case slices.Contains(v.Alike, t.ID):
		out.Mark = "≈"
	}
	return out
}

// key are the metrics of the short table of a scenario.
var key = []string{"age_p50", measure.AgeP95, "stale", measure.InputP95, measure.EventP95, measure.EventLost, "open", "recover", measure.WireRatio, measure.ServerCPU}

func (r *Report) scenario(s *Scenario, v *Verdict) page.Section {
	out := page.Section{ID: "scenario-" + anchor(s.ID), Title: s.ID, Short: s.ID, Verdict: v.Text}
	if s.Players != "" {
		out.Title += ": " + s.Players
	}
	if s.Description != "" {
		out.Prose = append(out.Prose, s.Description)
	}
	if len(s.Parameters) > 0 {
		out.Prose = append(out.Prose, "Emulated: "+strings.Join(s.Parameters, " · "))
	}
	out.Pictures = r.pictures(s)
	short := r.table(s, "Key figures", func(m *measure.Metric) bool { return slices.Contains(key, m.ID) })
	short.Notes = []string{fmt.Sprintf("Mean over the repetitions ± half of the %.0f %% interval (Student t); lower is better everywhere. %s", measure.Confidence*100, page.Signs)}
	long := r.table(s, "All figures of "+s.ID, func(*measure.Metric) bool { return true })
	long.Folded = true
	out.Tables = []page.Table{short, long}
	return out
}

// table has a row for each of the metrics that some transport has.
func (r *Report) table(s *Scenario, caption string, of func(*measure.Metric) bool) page.Table {
	t := page.Table{Caption: caption, Columns: []string{""}}
	runs := page.Row{Name: "runs that count"}
	var working []*measure.Cell
	for _, tr := range r.Transports {
		t.Columns = append(t.Columns, tr.ID)
		c := r.cell(s.ID, tr.ID)
		switch {
		case c == nil:
			runs.Cells = append(runs.Cells, page.Cell{Text: "–"})
		case c.Valid > 0 && !c.Works():
			runs.Cells = append(runs.Cells, page.Cell{Text: fmt.Sprintf("%d of %d, fails", c.Valid, c.Valid+c.Invalid), Mark: page.Bad})
		default:
			runs.Cells = append(runs.Cells, page.Cell{Text: fmt.Sprintf("%d of %d", c.Valid, c.Valid+c.Invalid)})
			if c.Valid > 0 {
				working = append(working, c)
			}
		}
	}
	t.Rows = append(t.Rows, runs)
	for i := range measure.Metrics {
		m := &measure.Metrics[i]
		if !of(m) {
			continue
		}
		name := m.Name
		if m.Unit != "" {
			name += ", " + m.Unit
		}
		row, any := page.Row{Name: name}, false
		marks := rank(working, m.ID, doubt(len(working)))
		for _, tr := range r.Transports {
			cell := page.Cell{Text: "–"}
			if c := r.cell(s.ID, tr.ID); c != nil {
				if e, ok := c.Estimates[m.ID]; ok {
					cell, any = page.Cell{Text: estimate(m, e), Mark: marks[tr.ID]}, true
				}
			}
			row.Cells = append(row.Cells, cell)
		}
		if any {
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

// rank marks the best of those that have the metric: one that all others are worse
// than, or those that cannot be told from the best. Where all have the same value
// nothing is marked.
func rank(cells []*measure.Cell, metric string, doubt float64) map[string]page.Mark {
	out := make(map[string]page.Mark)
	cells = slices.DeleteFunc(slices.Clone(cells), func(c *measure.Cell) bool { _, ok := c.Estimates[metric]; return !ok })
	if len(cells) < 2 {
		return out
	}
	least := func(a, b *measure.Cell) int { return cmp.Compare(a.Estimates[metric].Mean, b.Estimates[metric].Mean) }
	if least(slices.MinFunc(cells, least), slices.MaxFunc(cells, least)) == 0 {
		return out
	}
	_, left, _ := narrow(cells, criterion{metric: metric, felt: true}, doubt)
	for _, c := range left {
		out[c.Transport] = page.Tied
		if len(left) == 1 {
			out[c.Transport] = page.Best
		}
	}
	return out
}

// invalid lists the runs that do not count.
func (r *Report) invalid() (page.Section, bool) {
	t := page.Table{Caption: "Runs that do not count", Columns: []string{"", "transport", "repetition", "why"}}
	for _, run := range r.Runs {
		if len(run.Invalid) > 0 {
			t.Rows = append(t.Rows, page.Row{Name: run.Scenario, Cells: []page.Cell{{Text: run.Transport}, {Text: fmt.Sprint(run.Repetition + 1)}, {Text: join(run.Invalid)}}})
		}
	}
	return page.Section{ID: "invalid", Title: "Runs that do not count", Prose: []string{"The machine or the emulator did not keep up, so these would measure that instead of the transport."}, Tables: []page.Table{t}}, len(t.Rows) > 0
}

func (r *Report) facts() []page.Fact {
	e, pl := r.Environment, r.Plan
	out := []page.Fact{
		{Name: "Created", Value: r.Created},
		{Name: "Machine", Value: fmt.Sprintf("%d CPUs (%s), %d MiB, Linux %s", e.CPUs, e.Processor, e.MemoryMiB, e.Kernel)},
		{Name: "Built with", Value: e.Go},
		{Name: "Plan", Value: fmt.Sprintf("%d %s of %g s after %g s of warm-up, %d %s, seed %d", pl.Repetitions, plural(pl.Repetitions, "repetition"), pl.Seconds, pl.WarmUp, pl.Players, plural(pl.Players, "player"), pl.Seed)},
	}
	for _, f := range pl.Flows {
		way, class := "down", "unreliable"
		if f.Up {
			way = "up"
		}
		if f.Reliable {
			class = "reliable"
		}
		out = append(out, page.Fact{Name: "Flow", Value: fmt.Sprintf("%s: %s, %s, %g/s of %d bytes, channel %d", f.Name, way, class, f.PerSecond, f.Bytes, f.Channel)})
	}
	for _, t := range r.Transports {
		if t.Note != "" {
			out = append(out, page.Fact{Name: t.ID, Value: t.Note})
		}
	}
	for _, p := range e.Programs {
		out = append(out, page.Fact{Name: p.Name, Value: p.Version})
	}
	out = append(out, page.Fact{Name: "Delays", Value: "from the moment at which a message was due, on an open-loop schedule, to its arrival, of those that arrived; the curves show the share of all that were sent, of all runs that count together"})
	for _, n := range r.Notes {
		out = append(out, page.Fact{Name: "Note", Value: n})
	}
	return out
}

// plural is the noun that goes with n.
func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// bar is a metric's bar of a cell.
func bar(name string, look int, m *measure.Metric, c *measure.Cell) plot.Bar {
	b := plot.Bar{Name: name, Look: look, Value: math.NaN(), Low: math.NaN(), High: math.NaN()}
	if c == nil {
		return b
	}
	if e, ok := c.Estimates[m.ID]; ok {
		b.Value, b.Text = e.Mean, value(m, e.Mean)
		if e.Low != nil {
			b.Low, b.High = max(*e.Low, 0), *e.High
		}
	}
	return b
}
