package report

import (
	"fmt"
	"math"

	"strait/compare/measure"
	"strait/compare/report/page"
	"strait/compare/report/plot"
)

const (
	// cdfPoints is how many points a distribution is drawn with, at equal distances on
	// the scale of nines.
	cdfPoints = 48
	// drawn is the largest share that is.
	drawn = 0.999
	// beyond is how many messages at least a drawn quantile has above it.
	beyond = 3
	// seriesPoints is the most that a series over time is drawn with.
	seriesPoints = 120
)

// pictures are those of a scenario.
func (r *Report) pictures(s *Scenario) []page.Picture {
	id := anchor(s.ID)
	out := []page.Picture{
		r.over(s, id),
		r.cdf(s, "snapshots", "Snapshots: delay", func(c *measure.Cell) *measure.Histogram { return &c.Snapshots }),
		r.cdf(s, "events", "Reliable events: delay", func(c *measure.Cell) *measure.Histogram { return &c.Events }),
		r.cdf(s, "inputs", "Inputs: delay", func(c *measure.Cell) *measure.Histogram { return &c.Inputs }),
	}
	for _, metric := range []string{measure.WireRatio, measure.ServerCPU} {
		if b := r.bars(s, id, metric); b != nil {
			out = append(out, b)
		}
	}
	return out
}

// counted are the cells to draw, in the order of the transports.
func (r *Report) counted(s *Scenario) (cells []*measure.Cell, looks []int) {
	for i, t := range r.Transports {
		if c := r.cell(s.ID, t.ID); c != nil && c.Valid > 0 {
			cells, looks = append(cells, c), append(looks, i)
		}
	}
	return cells, looks
}

// cdf draws what arrived of all that was sent: a curve ends below the top where messages
// were lost, for who loses what is late would else look fast.
func (r *Report) cdf(s *Scenario, kind, title string, of func(*measure.Cell) *measure.Histogram) *plot.Line {
	l := &plot.Line{
		ID: anchor(s.ID) + "-" + kind, Title: title,
		Description: fmt.Sprintf("%s in %s: for each transport the share of all messages sent that arrived within a time; what was lost did not. Further up and to the left is better.", title, s.ID),
		X:           plot.Axis{Name: "delay, ms", Scale: plot.Log},
		Y:           plot.Axis{Name: "share that arrived by then", Scale: plot.Nines},
	}
	cells, looks := r.counted(s)
	for i, c := range cells {
		h := of(c)
		curve := plot.Curve{Name: c.Transport, Look: looks[i]}
		arrived := float64(h.Count()) / float64(max(c.Sent[kind], uint64(h.Count()), 1))
		for n := range cdfPoints + 1 {
			share := 1 - math.Pow(10, -3*float64(n)/cdfPoints)
			q := min(share/max(arrived, 1e-9), 1) // of those that arrived
			ends := q == 1 || n > 0 && float64(h.Count())*(1-q) < beyond
			if ends && arrived > drawn {
				break
			}
			if ends { // the rest is lost
				q, share = 1, arrived
			}
			if v := h.Quantile(q); !math.IsNaN(v) {
				curve.Points = append(curve.Points, plot.Point{X: max(v, 0.01), Y: share})
			}
			if ends {
				break
			}
		}
		if len(curve.Points) > 0 {
			l.Curves = append(l.Curves, curve)
		}
	}
	return l
}

// over is the age of state over time.
func (r *Report) over(s *Scenario, id string) *plot.Line {
	l := &plot.Line{
		ID: id + "-age", Title: "Age of state over time",
		Description: fmt.Sprintf("How old the newest state is at its worst in every moment, in %s, for each transport; mean of the repetitions. Lower is better.", s.ID),
		X:           plot.Axis{Name: "time, s"},
		Y:           plot.Axis{Name: "worst age, ms"},
	}
	lowest, highest := math.Inf(1), 0.0
	cells, looks := r.counted(s)
	for i, c := range cells {
		curve := plot.Curve{Name: c.Transport, Look: looks[i], Points: thin(c.Series)}
		for _, p := range curve.Points {
			lowest, highest = min(lowest, p.Y), max(highest, p.Y)
		}
		if len(curve.Points) > 0 {
			l.Curves = append(l.Curves, curve)
		}
	}
	if highest > 15*max(lowest, 1) {
		l.Y.Scale = plot.Log
	}
	for _, o := range s.Outages {
		l.Shades = append(l.Shades, plot.Shade{Name: o.Name, From: float64(o.From) / 1e9, To: float64(o.To) / 1e9})
	}
	return l
}

// thin keeps the worst of as many neighbours as are too many.
func thin(series []measure.AgePoint) []plot.Point {
	every := (len(series) + seriesPoints - 1) / seriesPoints
	var out []plot.Point
	for i := 0; i < len(series); i += max(every, 1) {
		p := plot.Point{X: series[i].Second}
		for _, v := range series[i:min(i+every, len(series))] {
			p.Y = max(p.Y, v.Max)
		}
		out = append(out, p)
	}
	return out
}

// bars draws a metric; nil if nobody has it.
func (r *Report) bars(s *Scenario, id, metric string) *plot.Bars {
	m := measure.MetricByID(metric)
	b := &plot.Bars{
		ID: id + "-" + anchor(metric), Title: sentence(m.Name),
		Description: fmt.Sprintf("%s in %s, for each transport with its interval. Shorter is better.", sentence(m.Name), s.ID),
		X:           plot.Axis{Name: m.Unit},
	}
	if m.Unit == "×" {
		b.X.Name = "bytes"
	}
	any := false
	for i, t := range r.Transports {
		one := bar(t.ID, i, m, r.cell(s.ID, t.ID))
		any = any || !math.IsNaN(one.Value)
		b.Bars = append(b.Bars, one)
	}
	if !any {
		return nil
	}
	return b
}

func sentence(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}
