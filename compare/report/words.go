package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"strait/compare/measure"
)

func join(s []string) string { return strings.Join(s, "; ") }

// list is "a", "a and b" or "a, b and c".
func list(s []string) string {
	switch len(s) {
	case 0:
		return "none"
	case 1:
		return s[0]
	}
	return strings.Join(s[:len(s)-1], ", ") + " and " + s[len(s)-1]
}

// number prints with digits behind the point.
func number(v float64, digits int) string {
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Trim(s, "-0.") == "" {
		s = strings.TrimPrefix(s, "-")
	}
	return s
}

// value prints a metric's value with its unit.
func value(m *measure.Metric, v float64) string {
	switch m.Unit {
	case "":
		return number(v, m.Digits)
	case "×":
		return number(v, m.Digits) + " ×"
	}
	return number(v, m.Digits) + " " + m.Unit
}

// estimate prints mean and half of the interval.
func estimate(m *measure.Metric, e measure.Estimate) string {
	s := number(e.Mean, m.Digits)
	if h := e.Half(); !math.IsNaN(h) {
		s += " ±" + number(h, m.Digits)
	}
	return s
}

func (r *Report) words(s Scenario, v *Verdict) []string {
	var out []string
	who := sentence(cmp.Or(s.Players, s.ID))
	switch {
	case len(v.Leaders) == 0 && len(v.Failing) == 0:
		out = append(out, who+": no run counts, so there is no recommendation.")
	case len(v.Leaders) == 0:
		out = append(out, who+": no transport works.")
	case len(v.Leaders) == 1 && len(v.Alike) > 1:
		alike := list(v.Alike)
		if len(v.Alike) == len(r.Transports) {
			alike = "All of them"
		}
		out = append(out, fmt.Sprintf("%s: %s. %s could not be told apart by what players feel; of these it costs least.", who, v.Leaders[0], alike))
	case len(v.Leaders) == 1:
		out = append(out, fmt.Sprintf("%s: %s.", who, v.Leaders[0]))
	default:
		out = append(out, fmt.Sprintf("%s: no clear winner between %s.", who, list(v.Leaders)))
	}
	if len(v.Leaders) == 1 && len(v.Steps) == 0 {
		out = append(out, "It is the only one that works here and was measured.")
	}
	for _, step := range v.Steps {
		if text := r.stepWords(s, step); text != "" {
			out = append(out, text)
		}
	}
	if text := r.uncertain(s, v); text != "" {
		out = append(out, text)
	}
	if len(v.Leaders) > 1 && r.repetitions(s.ID) < 2 {
		out = append(out, "With one repetition nothing can be told apart; run at least three.")
	}
	for _, e := range v.Failing {
		out = append(out, fmt.Sprintf("%s does not work here: %s.", e.Transport, e.Why))
	}
	for _, e := range v.Unmeasured {
		out = append(out, fmt.Sprintf("%s is not judged: %s.", e.Transport, e.Why))
	}
	return out
}

func (r *Report) stepWords(s Scenario, step Step) string {
	var out []string
	if len(step.Worse) > 0 {
		out = append(out, r.worseWords(s, step))
	}
	if len(step.Spared) > 0 {
		out = append(out, fmt.Sprintf("By %s what has less is not known to be as good for players as %s, so that this decides nothing there; more repetitions might.",
			measure.MetricByID(step.Metric).Name, list(step.Spared)))
	}
	return strings.Join(out, " ")
}

func (r *Report) worseWords(s Scenario, step Step) string {
	m := measure.MetricByID(step.Metric)
	best := r.cell(s.ID, step.Best).Estimates[step.Metric]
	worse := slices.Clone(step.Worse)
	slices.SortStableFunc(worse, func(a, b Worse) int { return cmp.Compare(a.Difference.Mean, b.Difference.Mean) })
	var parts []string
	for _, w := range worse {
		part := w.Transport
		if w.Than != step.Best {
			part += " than " + w.Than
		}
		part += " by " + value(m, w.Difference.Mean)
		switch {
		case w.Difference.Low == nil:
		case *w.Difference.Low <= 0:
			part += " (certain by ranks alone)"
		default:
			part += fmt.Sprintf(" (%s to %s)", number(*w.Difference.Low, m.Digits), number(*w.Difference.High, m.Digits))
		}
		parts = append(parts, part)
	}
	return fmt.Sprintf("By %s, %s has %s; worse: %s.", m.Name, step.Best, value(m, best.Mean), strings.Join(parts, ", "))
}

// uncertain names those whose age of state is worse in the mean than that of the best
// by more than the margin, and who are left only because the runs scatter.
func (r *Report) uncertain(s Scenario, v *Verdict) string {
	m := measure.MetricByID(measure.AgeP95)
	lowest := r.lowest(s.ID)
	var who []string
	for _, name := range v.Alike {
		e, ok := r.cell(s.ID, name).Estimates[m.ID]
		if over := e.Mean - lowest; ok && over > max(margin*lowest, m.Margin) {
			who = append(who, fmt.Sprintf("%s by %s", name, value(m, over)))
		}
	}
	if len(who) == 0 {
		return ""
	}
	return fmt.Sprintf("By %s these are worse in the mean, but the runs scatter too much to be sure; more repetitions would tell: %s.", m.Name, strings.Join(who, ", "))
}

// repetitions is the most that count for a transport in a scenario.
func (r *Report) repetitions(scenario string) int {
	n := 0
	for _, t := range r.Transports {
		if c := r.cell(scenario, t.ID); c != nil {
			n = max(n, c.Valid)
		}
	}
	return n
}

func (r *Report) overallWords(o *Overall) []string {
	var out []string
	standing := func(name string) Standing {
		return o.Standings[slices.IndexFunc(o.Standings, func(s Standing) bool { return s.Transport == name })]
	}
	switch len(o.Leaders) {
	case 0:
		return []string{"Nothing can be recommended: no transport worked in a run that counts."}
	case 1:
		s := standing(o.Leaders[0])
		out = append(out, fmt.Sprintf("Use %s. It is among the best for players in %d of %d scenarios, and works in %d of the %d in which it was measured.", s.Transport, s.FeelsBest, len(r.Scenarios), s.Works, s.Measured))
	default:
		s := standing(o.Leaders[0])
		out = append(out, fmt.Sprintf("There is no clear winner overall: %s are each among the best for players in %d of %d scenarios. Choose for the players you have.", list(o.Leaders), s.FeelsBest, len(r.Scenarios)))
	}
	for _, f := range o.Fallback {
		if len(f.Transports) == 0 {
			out = append(out, fmt.Sprintf("Where %s does not work (%s), nothing else does.", o.Leaders[0], f.Scenario))
			continue
		}
		out = append(out, fmt.Sprintf("Where %s does not work (%s), fall back to %s.", o.Leaders[0], f.Scenario, strings.Join(f.Transports, " or ")))
	}
	return out
}
