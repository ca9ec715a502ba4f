package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"strait/compare/measure"
)

// margin is the relative difference below which two values are the same.
const margin = 0.05

// frame is the time in ms between two frames of a player's screen, at 60 Hz: less than
// that late and nothing is seen of it.
const frame = 1000.0 / 60

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

// doubt is how probable each statement about two of n transports may be wrong, so that
// those of a whole verdict together are no more probably wrong than Confidence says, after
// Bonferroni: by every criterion each transport may be worse than each other, or as good.
func doubt(n int) float64 {
	return (1 - measure.Confidence) / float64((len(criteria)+1)*n*max(n-1, 1))
}

// Rules are those by which verdicts are reached, for people.
func Rules() []string {
	out := []string{
		"A run counts only if the machine and the emulator kept up; one that does not is listed with its reason and averaged into nothing.",
		"A transport works in a scenario if in every run that counts every player could connect and play to the end, and no reliable event was skipped while its session lasted. (Events that go down with a connection count as lost, but are no failure.) Only transports that work can be recommended.",
		fmt.Sprintf("One transport is worse than another if the difference, taken run by run under the same seed (with fewer than three such pairs between the means, after Welch), is above zero beyond doubt, and above %.0f %% and what anybody would notice (%g ms for delays) in the mean. Else they are not told apart; more repetitions might. One repetition tells nothing apart.", margin*100, measure.MetricByID(measure.AgeP95).Margin),
		fmt.Sprintf("Beyond doubt is by Student's t or, with repetitions enough, by Wilcoxon's signed ranks, which one run that stalls does not upset. All statements of a scenario's verdict hold together at %.0f %% confidence: what is left to error is divided, after Bonferroni, by the number of criteria and one more, and by that of ordered pairs of the transports that work, and by two where both tests are asked. What happens more rarely than once in all these runs may not have been seen.", measure.Confidence*100),
	}
	for i, c := range criteria {
		what := "Those not told apart so far are compared next by"
		switch {
		case i == 0:
			what = "The first criterion is what players see:"
		case !c.felt && criteria[i-1].felt:
			what = fmt.Sprintf("Those still left are not told apart by what players feel. That is not to say that they are alike, so cost decides only where it is known that players lose nothing by it: one that costs more drops out if the age of state of the one that costs less is beyond doubt less than a frame (%.1f ms) above its own, and nothing else that players feel is a frame above it in the mean. First", frame)
		}
		out = append(out, fmt.Sprintf("%s %s; those that are worse drop out.", what, measure.MetricByID(c.metric).Name))
	}
	return append(out,
		"If one is left, it is recommended. If several are left, there is no clear winner between them.",
		fmt.Sprintf("Overall, the transport that is among the best for players in the most scenarios is recommended; if several are, the one that works in more; of those that still tie drops out whose age of state, over all scenarios in which both work (the geometric mean), is above another's beyond doubt (by Student's t, which may err as seldom) and by more than %.0f %%; and then the one that is recommended in more scenarios leads; else there is no clear winner. Where it does not work, the best of those that do is its fallback.", margin*100))
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
	Best   string `json:"best"` // by the mean
	// Worse dropped out, each with how much worse than another it is.
	Worse []Worse `json:"worse,omitempty"`
	// Spared cost more than another, of which it is not known whether it is as good for
	// players.
	Spared []string `json:"spared,omitempty"`
}

// Worse is a transport with its difference to a better one, in the metric's unit.
type Worse struct {
	Transport  string           `json:"transport"`
	Than       string           `json:"than"`
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
	felt, doubt := names(left), doubt(len(left))
	for _, c := range criteria {
		if len(left) < 2 {
			break
		}
		step, rest, ok := narrow(left, c, doubt)
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

// narrow drops those that are worse than another. Without a value for each of them the
// criterion decides nothing.
func narrow(cells []*measure.Cell, by criterion, doubt float64) (step Step, left []*measure.Cell, ok bool) {
	for _, c := range cells {
		if _, has := c.Estimates[by.metric]; !has {
			return Step{}, nil, false
		}
	}
	// The best one first: who is worse than it is said to be so.
	sorted := slices.Clone(cells)
	slices.SortStableFunc(sorted, func(a, b *measure.Cell) int {
		return cmp.Compare(a.Estimates[by.metric].Mean, b.Estimates[by.metric].Mean)
	})
	step = Step{Metric: by.metric, Best: sorted[0].Transport}
	for _, c := range cells {
		var than *measure.Cell
		spared := false
		for _, better := range sorted {
			if better == c {
				break // the best in the mean stays, and nobody drops out in a circle
			}
			if !worse(better, c, by.metric, doubt) {
				continue
			}
			if by.felt || asGood(better, c, doubt) {
				than = better
				break
			}
			spared = true
		}
		switch {
		case than != nil:
			d, _ := than.Difference(c, by.metric, 1-2*doubt)
			step.Worse = append(step.Worse, Worse{c.Transport, than.Transport, d})
			continue
		case spared:
			step.Spared = append(step.Spared, c.Transport)
		}
		left = append(left, c)
	}
	return step, left, true
}

// worse reports whether c is, beyond doubt and noticeably.
func worse(better, c *measure.Cell, metric string, doubt float64) bool {
	mean := better.Estimates[metric].Mean
	d, ok := better.Difference(c, metric, measure.Confidence)
	return ok && d.Mean > max(margin*mean, measure.MetricByID(metric).Margin) && better.Exceeds(c, metric, 0, doubt)
}

// asGood reports whether players lose nothing with one instead of another that may be
// better: the age of state is as good beyond doubt, the rest in the mean, since the tails
// of few messages scatter too much for more.
func asGood(one, another *measure.Cell, doubt float64) bool {
	if !one.Exceeds(another, measure.AgeP95, -frame, doubt) {
		return false
	}
	for _, c := range criteria {
		d, ok := another.Difference(one, c.metric, measure.Confidence)
		if !c.felt || !ok {
			continue
		}
		m := measure.MetricByID(c.metric)
		noticed := max(margin*another.Estimates[c.metric].Mean, m.Margin)
		if m.Unit == "ms" {
			noticed = max(noticed, frame)
		}
		if d.Mean >= noticed {
			return false
		}
	}
	return true
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
	o.Leaders = r.freshest(o.Leaders, o.Standings)
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

// freshest leaves of several leaders those whose age of state is not beyond doubt above
// that of another, and of these those that lead in the most scenarios.
func (r *Report) freshest(leaders []string, standings []Standing) []string {
	fresh := slices.DeleteFunc(slices.Clone(leaders), func(name string) bool {
		return slices.ContainsFunc(leaders, func(other string) bool { return other != name && r.staler(name, other, len(leaders)) })
	})
	most := 0
	for _, s := range standings {
		if slices.Contains(fresh, s.Transport) {
			most = max(most, s.Leads)
		}
	}
	out := []string{}
	for _, s := range standings {
		if slices.Contains(fresh, s.Transport) && s.Leads == most {
			out = append(out, s.Transport)
		}
	}
	return out
}

// staler reports whether name's age of state is above other's beyond doubt, over the
// scenarios in which both work; n transports are compared so.
func (r *Report) staler(name, other string, n int) bool {
	var its, others []*measure.Cell
	for _, s := range r.Scenarios {
		if a, b := r.cell(s.ID, name), r.cell(s.ID, other); a != nil && b != nil && a.Works() && b.Works() {
			its, others = append(its, a), append(others, b)
		}
	}
	e, ok := measure.Ratio(others, its, measure.AgeP95, 1-2*doubt(n))
	return ok && *e.Low > 0 && e.Mean > math.Log1p(margin)
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
