package measure

import (
	"slices"
)

const (
	// reading is the time in nanoseconds between two readings of the age. Players draw
	// 60 frames a second, and how these fall between the snapshots is luck, worth up to
	// a frame: read every millisecond the age is that of a frame at any moment.
	reading = int64(1e6)

	// Stale is the age in nanoseconds from which on a player sees the game stand
	// still: beyond what clients extrapolate.
	Stale = int64(250e6)

	// bucket is the resolution of the series, in readings: 200 ms.
	bucket = 200
)

// Age is how old the newest state was at every moment.
type Age struct {
	// Readings is the distribution over the moments of all players, each from when he
	// has a session: what he waits for one is the time to open.
	Readings Histogram `json:"readings_us"`
	// StaleReadings is how many of them found a state older than Stale.
	StaleReadings uint64 `json:"stale_readings"`
	// Series is the age over time: for each 200 ms from the window's start the
	// median and the highest over all readings and players, in ms; also while a player
	// waits for a session.
	Series []AgePoint `json:"series"`
}

// AgePoint is one point of the series.
type AgePoint struct {
	Second float64 `json:"t"`
	Median float64 `json:"median"` // ms
	Max    float64 `json:"max"`    // ms
}

// Span is a part of the window, in nanoseconds from its start, in which the
// scenario took the link away or changed it.
type Span struct {
	Name string `json:"name"`
	From int64  `json:"from_ns"`
	To   int64  `json:"to_ns"`
}

// Outage is a span and how the players came out of it.
type Outage struct {
	Span
	// Recover is how long after the span's end the slowest player's state was as
	// fresh again as before, in nanoseconds; nil: not within the window.
	Recover *int64 `json:"recover_ns"`
}

// ages are the readings of the window, in nanoseconds.
type ages []int64

// agesOf reads the age as a player has it. Until the first state arrives its age is
// counted from since, when he began to connect, or from the window's start if that
// is later: who sees nothing yet does not see something fresh.
func agesOf(arrivals []Arrival, since int64, w Window) ages {
	out := make(ages, 0, (w.To-w.From)/reading)
	byTime := arrivals
	if !slices.IsSortedFunc(arrivals, earlier) {
		byTime = slices.SortedFunc(slices.Values(arrivals), earlier)
	}
	newest, i := max(since, w.From), 0
	first := true
	for t := w.From + reading; t <= w.To; t += reading {
		for ; i < len(byTime) && byTime[i].At <= t; i++ {
			if d := byTime[i].Due; first || d > newest {
				newest, first = d, false
			}
		}
		out = append(out, max(t-newest, 0))
	}
	return out
}

func earlier(a, b Arrival) int {
	switch {
	case a.At < b.At:
		return -1
	case a.At > b.At:
		return 1
	}
	return 0
}

// read takes a player's readings.
func (a *Age) read(of ages) {
	for _, age := range of {
		a.Readings.Add(age)
		if age > Stale {
			a.StaleReadings++
		}
	}
}

func seriesOf(players []ages) (out []AgePoint) {
	readings := 0
	for _, p := range players {
		readings = max(readings, len(p))
	}
	var now []int64
	for from := 0; from+bucket <= readings; from += bucket {
		now = now[:0]
		for _, p := range players {
			now = append(now, p[from:from+bucket]...)
		}
		slices.Sort(now)
		out = append(out, AgePoint{
			Second: round(float64(int64(from+bucket/2)*reading)/1e9, 2),
			Median: round(float64(now[len(now)/2])/1e6, 2),
			Max:    round(float64(now[len(now)-1])/1e6, 2),
		})
	}
	return out
}

// calm is for how many readings, a quarter of a second, the state must be fresh to
// count as recovered, and slack how much older than before, in nanoseconds.
const (
	calm  = 250
	slack = int64(10e6)
)

// recoveries finds for each outage how long the slowest player took.
func recoveries(players []ages, outages []Span) []Outage {
	var out []Outage
	for i, o := range outages {
		end := int64(1<<62 - 1)
		if i+1 < len(outages) {
			end = outages[i+1].From
		}
		var slowest int64
		all := true
		for _, p := range players {
			took, ok := p.recovery(o, end)
			all = all && ok
			slowest = max(slowest, took)
		}
		r := Outage{Span: o}
		if all {
			r.Recover = &slowest
		}
		out = append(out, r)
	}
	return out
}

// recovery is the time from the outage's end until the first of calm readings in
// a row that are no older than the 95th percentile before the outage and slack. It
// is looked for until end.
func (a ages) recovery(o Span, end int64) (ns int64, ok bool) {
	before := slices.Sorted(slices.Values(a[:min(len(a), int(o.From/reading))]))
	if len(before) == 0 {
		return 0, false
	}
	fresh := before[min(len(before)*95/100, len(before)-1)] + slack
	run := 0
	for i := int(o.To / reading); i < len(a) && int64(i)*reading < end; i++ {
		if a[i] > fresh {
			run = 0
			continue
		}
		if run++; run == calm {
			return max(int64(i-calm+2)*reading-o.To, 0), true
		}
	}
	return 0, false
}
