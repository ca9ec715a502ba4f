package measure

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// Cell is what the repetitions of one transport in one scenario come to.
type Cell struct {
	Transport string `json:"transport"`
	Scenario  string `json:"scenario"`
	// Valid and Invalid count the repetitions. Why holds the reasons of the invalid
	// ones, each once.
	Valid   int      `json:"valid"`
	Invalid int      `json:"invalid"`
	Why     []string `json:"why,omitempty"`
	// Failures are those of the valid repetitions, each once; Failed counts the
	// repetitions that had one.
	Failed   int      `json:"failed"`
	Failures []string `json:"failures,omitempty"`
	// EventsLost are the reliable messages that were skipped in valid repetitions in
	// which every session lasted: so a transport breaks its promise. What goes down
	// with a session is counted by the metric alone.
	EventsLost uint64 `json:"events_lost"`
	// Estimates are by the metric's ID, over the valid repetitions that have it.
	Estimates map[string]Estimate `json:"estimates"`
	// Distributions of all valid repetitions together; those of delays hold what arrived of
	// the Sent, by the names of Run.Latency.
	Sent      map[string]uint64 `json:"sent"`
	Age       Histogram         `json:"age_us"`
	Inputs    Histogram         `json:"inputs_us"`
	Snapshots Histogram         `json:"snapshots_us"`
	Events    Histogram         `json:"events_us"`
	// Series is the mean over the repetitions, point by point.
	Series []AgePoint `json:"series"`

	values map[string]map[int]float64 // metric, repetition
}

// Merge returns the cell of runs, all of one transport and scenario. They are
// borrowed until return, and may come in any order.
func Merge(runs []*Run) *Cell {
	runs = slices.SortedStableFunc(slices.Values(runs), func(a, b *Run) int { return cmp.Compare(a.Repetition, b.Repetition) })
	c := &Cell{Estimates: make(map[string]Estimate), Sent: make(map[string]uint64), values: make(map[string]map[int]float64)}
	var series [][]AgePoint
	for _, r := range runs {
		c.Transport, c.Scenario = r.Transport, r.Scenario
		if len(r.Invalid) > 0 {
			c.Invalid++
			c.Why = addOnce(c.Why, r.Invalid...)
			continue
		}
		c.Valid++
		c.add(r)
		series = append(series, r.Age.Series)
	}
	c.Series = meanSeries(series)
	for _, m := range Metrics {
		byRepetition := c.values[m.ID]
		var vs []float64
		for _, r := range runs {
			if v, ok := byRepetition[r.Repetition]; ok && len(r.Invalid) == 0 {
				vs = append(vs, v)
			}
		}
		if e, ok := EstimateOf(vs, Confidence); ok {
			c.Estimates[m.ID] = e
		}
	}
	return c
}

func (c *Cell) add(r *Run) {
	if r.Failure != "" {
		c.Failed++
		c.Failures = addOnce(c.Failures, r.Failure)
	}
	for i := range r.Flows {
		if f := &r.Flows[i]; f.Reliable && r.Failure == "" && r.Reconnects == 0 {
			c.EventsLost += f.Skipped
		}
	}
	for name, k := range kinds {
		c.Sent[name] += r.sent(k)
	}
	c.Age.Merge(&r.Age.Readings)
	c.Inputs.Merge(r.Latency("inputs"))
	c.Snapshots.Merge(r.Latency("snapshots"))
	c.Events.Merge(r.Latency("events"))
	for i := range Metrics {
		m := &Metrics[i]
		if v, ok := m.Of(r); ok {
			if c.values[m.ID] == nil {
				c.values[m.ID] = make(map[int]float64)
			}
			c.values[m.ID][r.Repetition] = v
		}
	}
}

// Works reports whether players could play in every valid repetition.
func (c *Cell) Works() bool { return c.Valid > 0 && c.Failed == 0 && c.EventsLost == 0 }

// Difference estimates metric of other less metric of c. Repetitions that both have
// are compared in pairs, because both met the same losses. With fewer than three
// pairs the two means are compared, by Welch's interval; with fewer than two
// repetitions of either there is no interval, and with none at all false.
func (c *Cell) Difference(other *Cell, metric string, confidence float64) (Estimate, bool) {
	pairs := c.pairs(other, metric)
	if len(pairs) >= leastPairs {
		return EstimateOf(pairs, confidence)
	}
	return welch(c.all(metric), other.all(metric), confidence)
}

// Exceeds reports whether other's metric is above c's by more than by, where doubt is how
// probable a wrong yes may be. Student's t is asked and, where there are repetitions enough
// for it to ever say yes, the signed-rank test, which one run that stalls does not upset;
// the two then share the doubt.
func (c *Cell) Exceeds(other *Cell, metric string, by, doubt float64) bool {
	pairs := c.pairs(other, metric)
	ranks := math.Pow(0.5, float64(len(pairs))) <= doubt/2
	if ranks {
		doubt /= 2
	}
	if d, ok := c.Difference(other, metric, 1-2*doubt); ok && d.Low != nil && *d.Low > by {
		return true
	}
	if !ranks {
		return false
	}
	for i := range pairs {
		pairs[i] -= by
	}
	return signedRank(pairs) <= doubt
}

// Ratio estimates the logarithm of how many times a metric is higher in others than in
// cells, as a geometric mean over scenarios: cells[i] and others[i] are of the same one,
// and count the same. Repetitions are compared in pairs; with fewer than three of them in
// a scenario, or a value that has no logarithm, it is false.
func Ratio(cells, others []*Cell, metric string, confidence float64) (Estimate, bool) {
	var e Estimate
	var square, freedom, least float64
	for i, c := range cells {
		var logs []float64
		for _, rep := range slices.Sorted(maps.Keys(c.values[metric])) {
			v := c.values[metric][rep]
			if w, ok := others[i].values[metric][rep]; ok && v > 0 && w > 0 {
				logs = append(logs, math.Log(w/v))
			}
		}
		if len(logs) < leastPairs {
			return Estimate{}, false
		}
		mean, sq := meanAndSquare(logs)
		df := float64(len(logs) - 1)
		e.Mean += mean / float64(len(cells))
		e.N += len(logs)
		square += sq
		freedom += sq * sq / df
		least += df
	}
	if len(cells) == 0 {
		return Estimate{}, false
	}
	if square > 0 { // Welch-Satterthwaite
		least = square * square / freedom
	}
	e.bound(confidence, square/float64(len(cells)*len(cells)), least)
	return e, true
}

// pairs are the differences of other to c in the repetitions that both have.
func (c *Cell) pairs(other *Cell, metric string) (out []float64) {
	for _, rep := range slices.Sorted(maps.Keys(c.values[metric])) {
		if w, ok := other.values[metric][rep]; ok {
			out = append(out, w-c.values[metric][rep])
		}
	}
	return out
}

// all are the values of every repetition.
func (c *Cell) all(metric string) (out []float64) {
	for _, rep := range slices.Sorted(maps.Keys(c.values[metric])) {
		out = append(out, c.values[metric][rep])
	}
	return out
}

const leastPairs = 3

// meanSeries is as long as the shortest of them.
func meanSeries(all [][]AgePoint) []AgePoint {
	if len(all) == 0 {
		return nil
	}
	n := math.MaxInt
	for _, s := range all {
		n = min(n, len(s))
	}
	out := make([]AgePoint, n)
	for i := range out {
		out[i].Second = all[0][i].Second
		for _, s := range all {
			out[i].Median += s[i].Median / float64(len(all))
			out[i].Max += s[i].Max / float64(len(all))
		}
		out[i].Median, out[i].Max = round(out[i].Median, 2), round(out[i].Max, 2)
	}
	return out
}

func addOnce(to []string, more ...string) []string {
	for _, s := range more {
		if !slices.Contains(to, s) {
			to = append(to, s)
		}
	}
	return to
}
