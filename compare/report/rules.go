package report

import (
	"fmt"
	"math"
	"slices"

	"strait/compare/measure"
)

// margin is the relative difference below which two values are the same.
const margin = 0.05

// criterion is one that decides, in the order of criteria.
type criterion struct {
	metric string
	// felt says that players notice it; the others are what it costs.
	felt bool
}

var criteria = []criterion{
	{measure.AgeP95, true}, {measure.EventLost, true}, {measure.EventP95, true}, {measure.InputP95, true},
	{measure.WireRatio, false}, {measure.ServerCPU, false},
}

// Rules are those by which verdicts are reached, for people.
func Rules() []string {
	out := []string{
		"A run counts only if the machine and the emulator kept up; one that does not is listed with its reason and averaged into nothing.",
		"A transport works in a scenario if in every run that counts every player could connect and play to the end, and no reliable event was skipped while its session lasted. (Events that go down with a connection count as lost, but are no failure.) Only transports that work can be recommended.",
		fmt.Sprintf("One transport is worse than the best if the difference, taken run by run under the same seed (with fewer than three such pairs between the means, after Welch), is above zero at %.0f %% confidence (by Student's t, or by Wilcoxon's signed ranks, which one run that stalls does not upset; what is left to error is divided by the number of comparisons and by these two, after Bonferroni), and also above %.0f %% and above what anybody would notice (%g ms for delays). Else they are not told apart; more repetitions might. One repetition tells nothing apart.",
			measure.Confidence*100, margin*100, measure.MetricByID(measure.AgeP95).Margin),
	}
	for i, c := range criteria {
		what := "Those not told apart so far are compared next by"
		switch {
		case i == 0:
			what = "The first criterion is what players see:"
		case !c.felt && criteria[i-1].felt:
			what = "Those still left are not told apart by what players feel, so cost decides: first"
		}
		out = append(out, fmt.Sprintf("%s %s; those that are worse drop out.", what, measure.MetricByID(c.metric).Name))
	}
	return append(out,
		"If one is left, it is recommended. If several are left, there is no clear winner between them.",
		fmt.Sprintf("Overall, the transport that is among the best for players in the most scenarios is recommended; if several are, the one that works in more; if they still tie, the one whose age of state is the lowest taken over all scenarios (their geometric mean), if it is so by more than %.0f %%, and then the one that is recommended in more scenarios; else there is no clear winner. Where it does not work, the best of those that do is its fallback.", margin*100))
}

// Verdict is what a scenario comes to.
type Verdict struct {
	Scenario string `json:"scenario"`
	// Leaders are left at the end: one is recommended, of several none is the clear
	// winner, and none is that nothing works or was measured.
	Leaders []string `json:"leaders"`
	// Alike feel best to players; Leaders are among them.
	Alike []string `json:"alike"`
	// Steps are the criteria that were applied.
	Steps []Step `json:"steps"`
	// Failing do not work here, Unmeasured have no run that counts.
	Failing    []Exclusion `json:"failing,omitempty"`
	Unmeasured []Exclusion `json:"unmeasured,omitempty"`
	// Text says it in words, the most important first.
	Text []string `json:"text"`
}

// Exclusion is a transport and why it was not considered.
type Exclusion struct {
	Transport string `json:"transport"`
	Why       string `json:"why"`
}

// Step is one criterion.
type Step struct {
	Metric string `json:"metric"`
	Best   string `json:"best"`
	// Worse dropped out, each with how much worse than Best it is.
	Worse []Worse `json:"worse,omitempty"`
}

// Worse is a transport with its difference to the best one, in the metric's unit.
type Worse struct {
	Transport  string           `json:"transport"`
	Difference measure.Estimate `json:"difference"`
}

// judge applies the rules to a scenario.
func (r *Report) judge(s Scenario) Verdict {
	v := Verdict{Scenario: s.ID, Leaders: []string{}, Alike: []string{}, Steps: []Step{}}
	var left []*measure.Cell
	for _, t := range r.Transports {
		c := r.cell(s.ID, t.ID)
		switch {
		case c == nil:
			v.Unmeasured = append(v.Unmeasured, Exclusion{t.ID, "it was not run"})
		case c.Valid == 0:
			v.Unmeasured = append(v.Unmeasured, Exclusion{t.ID, "no run counts: " + join(c.Why)})
		case c.Failed > 0:
			v.Failing = append(v.Failing, Exclusion{t.ID, fmt.Sprintf("it failed in %d of %d runs: %s", c.Failed, c.Valid, join(c.Failures))})
		case c.EventsLost > 0:
			v.Failing = append(v.Failing, Exclusion{t.ID, fmt.Sprintf("%d reliable events were skipped", c.EventsLost)})
		default:
			left = append(left, c)
		}
	}
	felt := names(left)
	for _, c := range criteria {
		if len(left) < 2 {
			break
		}
		step, rest, ok := narrow(left, c.metric)
		if !ok {
			continue
		}
		v.Steps = append(v.Steps, step)
		left = rest
		if c.felt {
			felt = names(left)
		}
	}
	v.Alike, v.Leaders = felt, names(left)
	v.Text = r.words(s, &v)
	return v
}

// narrow drops those that are worse than the best by metric. Without a value for
// each of them the criterion decides nothing.
func narrow(cells []*measure.Cell, metric string) (step Step, left []*measure.Cell, ok bool) {
	best := cells[0]
	for _, c := range cells {
		e, has := c.Estimates[metric]
		if !has {
			return Step{}, nil, false
		}
		if e.Mean < best.Estimates[metric].Mean {
			best = c
		}
	}
	step = Step{Metric: metric, Best: best.Transport}
	confidence := 1 - (1-measure.Confidence)/float64(len(cells)-1)
	for _, c := range cells {
		if d, worse := worseThan(best, c, metric, confidence); worse {
			step.Worse = append(step.Worse, Worse{c.Transport, d})
			continue
		}
		left = append(left, c)
	}
	return step, left, true
}

func worseThan(best, c *measure.Cell, metric string, confidence float64) (measure.Estimate, bool) {
	d, ok := best.Difference(c, metric, confidence)
	if c == best || !ok || d.Low == nil {
		return d, false
	}
	if certain := *d.Low > 0 || best.Above(c, metric) <= (1-confidence)/2; !certain {
		return d, false
	}
	enough := max(margin*best.Estimates[metric].Mean, measure.MetricByID(metric).Margin)
	return d, d.Mean > enough
}

func names(cells []*measure.Cell) []string {
	out := []string{}
	for _, c := range cells {
		out = append(out, c.Transport)
	}
	return out
}

// Overall is the recommendation over all scenarios.
type Overall struct {
	// Leaders is one recommended transport, several without a clear winner, or none.
	Leaders []string `json:"leaders"`
	// Standings are in the order of the transports.
	Standings []Standing `json:"standings"`
	Fallback  []Fallback `json:"fallback,omitempty"`
	Text      []string   `json:"text"`
}

// Standing is one transport's.
type Standing struct {
	Transport string `json:"transport"`
	Measured  int    `json:"measured"` // scenarios with a run that counts
	Works     int    `json:"works"`
	FeelsBest int    `json:"feels_best"`
	Leads     int    `json:"leads"` // scenarios in which it is left at the end
	// Distance is the geometric mean, over the scenarios in which it works, of its age
	// of state (p95) to the lowest one there; 0 without any.
	Distance float64 `json:"distance"`
}

// Fallback is what to use where the recommended transport does not work.
type Fallback struct {
	Scenario   string   `json:"scenario"`
	Transports []string `json:"transports"` // none: nothing works there
}

func (r *Report) overall() Overall {
	o := Overall{Leaders: []string{}}
	for _, t := range r.Transports {
		s := Standing{Transport: t.ID}
		sum, n := 0.0, 0
		for _, v := range r.Verdicts {
			c := r.cell(v.Scenario, t.ID)
			if c == nil || c.Valid == 0 {
				continue
			}
			s.Measured++
			if !c.Works() {
				continue
			}
			s.Works++
			if slices.Contains(v.Alike, t.ID) {
				s.FeelsBest++
			}
			if slices.Contains(v.Leaders, t.ID) {
				s.Leads++
			}
			if lowest := r.lowest(v.Scenario); lowest > 0 && c.Estimates[measure.AgeP95].Mean > 0 {
				sum += math.Log(c.Estimates[measure.AgeP95].Mean / lowest)
				n++
			}
		}
		if n > 0 {
			s.Distance = math.Round(math.Exp(sum/float64(n))*1000) / 1000
		}
		o.Standings = append(o.Standings, s)
	}
	lead := Standing{FeelsBest: 1} // nobody leads who feels best nowhere
	for _, s := range o.Standings {
		switch {
		case s.FeelsBest > lead.FeelsBest || s.FeelsBest == lead.FeelsBest && s.Works > lead.Works:
			lead = s
			o.Leaders = []string{s.Transport}
		case s.FeelsBest == lead.FeelsBest && s.Works == lead.Works:
			o.Leaders = append(o.Leaders, s.Transport)
		}
	}
	o.Leaders = nearest(o.Leaders, o.Standings)
	if len(o.Leaders) == 1 {
		for _, v := range r.Verdicts {
			if !slices.Contains(v.Leaders, o.Leaders[0]) && slices.ContainsFunc(v.Failing, func(e Exclusion) bool { return e.Transport == o.Leaders[0] }) {
				o.Fallback = append(o.Fallback, Fallback{v.Scenario, v.Leaders})
			}
		}
	}
	o.Text = r.overallWords(&o)
	return o
}

// nearest leaves of several leaders those whose age of state is not more than the margin
// above the lowest of them, and of these those that lead in the most scenarios.
func nearest(leaders []string, standings []Standing) []string {
	lowest, most := math.Inf(1), 0
	for _, s := range standings {
		if slices.Contains(leaders, s.Transport) {
			lowest = min(lowest, s.Distance)
		}
	}
	near := func(s Standing) bool {
		return slices.Contains(leaders, s.Transport) && s.Distance <= lowest*(1+margin)
	}
	for _, s := range standings {
		if near(s) {
			most = max(most, s.Leads)
		}
	}
	out := []string{}
	for _, s := range standings {
		if near(s) && s.Leads == most {
			out = append(out, s.Transport)
		}
	}
	return out
}

// lowest is the lowest age of state (p95) in a scenario of those that work; 0
// without any.
func (r *Report) lowest(scenario string) float64 {
	lowest := 0.0
	for _, t := range r.Transports {
		if c := r.cell(scenario, t.ID); c != nil && c.Works() {
			if e, ok := c.Estimates[measure.AgeP95]; ok && (lowest == 0 || e.Mean < lowest) {
				lowest = e.Mean
			}
		}
	}
	return lowest
}
