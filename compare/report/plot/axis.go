package plot

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// Scale is how an axis spreads its values.
type Scale uint8

const (
	Linear Scale = iota
	// Log is logarithmic, for values above 0.
	Log
	// Nines is for shares of 0 to 1: 50, 90, 99 and 99.9 % stand at equal distances,
	// so that the rare slow messages, which players notice, can be seen.
	Nines
)

// Axis is one direction of a picture.
type Axis struct {
	Name  string // with its unit
	Scale Scale
	// Min and Max are the least range shown; the values widen it.
	Min, Max float64
	// Marks are the values that are labelled; none: round ones.
	Marks []float64
}

// most is the share at which an axis of Nines ends.
const most = 0.999

// tick is a labelled position.
type tick struct {
	at   float64 // 0 to 1 along the axis
	text string
}

// span is an axis with its range settled.
type span struct {
	Axis
	low, high float64
}

func (a Axis) over(values []float64) span {
	s := span{Axis: a, low: a.Min, high: a.Max}
	if a.Scale == Nines {
		s.low, s.high = 0, most
		return s
	}
	first := a.Max <= a.Min
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) || a.Scale == Log && v <= 0 {
			continue
		}
		if first {
			s.low, s.high, first = v, v, false
			if a.Scale == Linear {
				s.low = min(v, 0)
			}
		}
		s.low, s.high = min(s.low, v), max(s.high, v)
	}
	switch {
	case a.Scale == Log:
		if s.low <= 0 {
			s.low, s.high = 1, 10
		}
		if s.high < s.low*4 {
			s.low, s.high = s.low/1.6, max(s.high*1.6, s.low*4)
		}
	case s.high <= s.low:
		s.high = s.low + 1
	default:
		step := niceStep(s.high - s.low)
		s.high = math.Ceil(s.high/step-1e-9) * step
	}
	return s
}

// place is where v stands, 0 to 1.
func (s span) place(v float64) float64 {
	switch s.Scale {
	case Log:
		return clamp(math.Log(max(v, s.low)/s.low) / math.Log(s.high/s.low))
	case Nines:
		return clamp(math.Log10(1-min(v, most)) / math.Log10(1-most))
	}
	return clamp((v - s.low) / (s.high - s.low))
}

func clamp(v float64) float64 { return min(max(v, 0), 1) }

func (s span) ticks() []tick {
	var out []tick
	add := func(v float64, text string) { out = append(out, tick{s.place(v), text}) }
	if s.Marks != nil {
		for _, v := range s.Marks {
			add(v, short(v))
		}
		return out
	}
	switch s.Scale {
	case Nines:
		for _, v := range []float64{0, 0.5, 0.9, 0.99, 0.999} {
			add(v, short(v*100)+" %")
		}
	case Log:
		steps := []float64{1, 2, 5}
		if s.high/s.low > 80 {
			steps = []float64{1}
		}
		for e := math.Floor(math.Log10(s.low)); e <= math.Ceil(math.Log10(s.high)); e++ {
			for _, m := range steps {
				if v := m * math.Pow(10, e); v >= s.low*0.999 && v <= s.high*1.001 {
					add(v, short(v))
				}
			}
		}
	default:
		step := niceStep(s.high - s.low)
		for i := math.Ceil(s.low/step - 1e-9); i*step <= s.high+step*1e-9; i++ {
			add(i*step, short(i*step))
		}
	}
	return out
}

// niceStep divides a range into four to eight steps of 1, 2 or 5.
func niceStep(r float64) float64 {
	e := math.Pow(10, math.Floor(math.Log10(r/4)))
	steps := []float64{1, 2, 5, 10}
	i := slices.IndexFunc(steps, func(m float64) bool { return r/(m*e) <= 5.5 })
	if i < 0 {
		i = len(steps) - 1
	}
	return steps[i] * e
}

// short prints v with at most three significant figures and no exponent.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a < 1e-9:
		return "0"
	case a >= 10000:
		return short(v/1000) + "k"
	case a >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	s := strconv.FormatFloat(v, 'f', 3, 64)
	return strings.TrimRight(strings.TrimRight(s, "0"), ".")
}
