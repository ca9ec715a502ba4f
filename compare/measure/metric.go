package measure

import "math"

// Metric is one figure of a run. Lower is better for all of them.
type Metric struct {
	ID   string `json:"id"`
	Name string `json:"name"` // for people
	Unit string `json:"unit"`
	// Digits behind the decimal point that make sense to show.
	Digits int `json:"digits"`
	// Margin is the difference below which two values are the same to a player, or
	// to who pays: beside the relative one of the rules.
	Margin float64 `json:"margin"`

	value func(*Run) float64 // NaN: the run has none
}

// Of returns the run's figure and whether it has one. The run's validity is the
// caller's concern.
func (m *Metric) Of(r *Run) (float64, bool) {
	v := m.value(r)
	return v, !math.IsNaN(v) && !math.IsInf(v, 0)
}

// The metrics that rules and tables name.
const (
	AgeP95    = "age_p95"
	EventP95  = "event_p95"
	InputP95  = "input_p95"
	EventLost = "event_lost"
	WireRatio = "wire_ratio"
	ServerCPU = "server_cpu"
)

// Metrics lists every metric in the order of tables.
var Metrics = []Metric{
	{ID: "age_p50", Name: "age of state, median", Unit: "ms", Digits: 1, Margin: 2, value: age(0.5)},
	{ID: AgeP95, Name: "age of state, p95", Unit: "ms", Digits: 1, Margin: 2, value: age(0.95)},
	{ID: "age_p99", Name: "age of state, p99", Unit: "ms", Digits: 1, Margin: 2, value: age(0.99)},
	{ID: "stale", Name: "time frozen (state > 250 ms old)", Unit: "%", Digits: 2, Margin: 0.1, value: stale},
	{ID: "input_p50", Name: "inputs, median", Unit: "ms", Digits: 1, Margin: 2, value: latency(inputs, 0.5)},
	{ID: InputP95, Name: "inputs, p95", Unit: "ms", Digits: 1, Margin: 2, value: latency(inputs, 0.95)},
	{ID: "input_p99", Name: "inputs, p99", Unit: "ms", Digits: 1, Margin: 2, value: latency(inputs, 0.99)},
	{ID: "input_lost", Name: "inputs lost or superseded", Unit: "%", Digits: 2, Margin: 0.1, value: lost(inputs)},
	{ID: "snapshot_p50", Name: "snapshots, median", Unit: "ms", Digits: 1, Margin: 2, value: latency(snapshots, 0.5)},
	{ID: "snapshot_p95", Name: "snapshots, p95", Unit: "ms", Digits: 1, Margin: 2, value: latency(snapshots, 0.95)},
	{ID: "snapshot_p99", Name: "snapshots, p99", Unit: "ms", Digits: 1, Margin: 2, value: latency(snapshots, 0.99)},
	{ID: "snapshot_lost", Name: "snapshots lost or superseded", Unit: "%", Digits: 2, Margin: 0.1, value: lost(snapshots)},
	{ID: "snapshot_gap", Name: "longest gap between snapshots", Unit: "ms", Digits: 0, Margin: 5, value: gap(snapshots)},
	{ID: "event_p50", Name: "events, median", Unit: "ms", Digits: 1, Margin: 2, value: latency(events, 0.5)},
	{ID: EventP95, Name: "events, p95", Unit: "ms", Digits: 1, Margin: 2, value: latency(events, 0.95)},
	{ID: "event_p99", Name: "events, p99", Unit: "ms", Digits: 1, Margin: 2, value: latency(events, 0.99)},
	{ID: EventLost, Name: "events lost", Unit: "%", Digits: 2, Margin: 0.1, value: lost(events)},
	{ID: "duplicates", Name: "messages delivered twice", Unit: "%", Digits: 2, Margin: 0.1, value: share(func(f *FlowFigures) uint64 { return f.Duplicates })},
	{ID: "disorder", Name: "messages out of order", Unit: "%", Digits: 2, Margin: 0.1, value: share(func(f *FlowFigures) uint64 { return f.OutOfOrder })},
	{ID: "open", Name: "time to open a session", Unit: "ms", Digits: 1, Margin: 5, value: func(r *Run) float64 { return r.Open.Mean() }},
	{ID: "recover", Name: "time to recover after an outage", Unit: "ms", Digits: 0, Margin: 50, value: recovered},
	{ID: "reconnects", Name: "reconnects", Unit: "", Digits: 1, Margin: 0.5, value: func(r *Run) float64 { return float64(r.Reconnects) }},
	{ID: WireRatio, Name: "bytes on the wire per useful byte", Unit: "×", Digits: 2, Margin: 0.05, value: wire},
	{ID: ServerCPU, Name: "server CPU per message", Unit: "µs", Digits: 1, Margin: 0.5, value: func(r *Run) float64 { return r.cpu(r.Cost.ServerCPU) }},
	{ID: "client_cpu", Name: "client CPU per message", Unit: "µs", Digits: 1, Margin: 0.5, value: func(r *Run) float64 { return r.cpu(r.Cost.ClientCPU) }},
}

// MetricByID returns the metric; nil if there is none.
func MetricByID(id string) *Metric {
	for i := range Metrics {
		if Metrics[i].ID == id {
			return &Metrics[i]
		}
	}
	return nil
}

// A kind groups flows: inputs go up and snapshots come down unreliably, events are
// reliable both ways.
type kind func(*Flow) bool

func inputs(f *Flow) bool    { return !f.Reliable && f.Up }
func snapshots(f *Flow) bool { return !f.Reliable && !f.Up }
func events(f *Flow) bool    { return f.Reliable }

var kinds = map[string]kind{"inputs": inputs, "snapshots": snapshots, "events": events}

// sent is how many messages of a kind fell due.
func (r *Run) sent(k kind) (n uint64) {
	for i := range r.Flows {
		if f := &r.Flows[i]; k(&f.Flow) {
			n += f.Sent
		}
	}
	return n
}

// Latency returns the merged latency of the flows of the three kinds that players
// know: "inputs", "snapshots" and "events". It is to be read only.
func (r *Run) Latency(name string) *Histogram {
	k := kinds[name]
	if k == nil {
		return new(Histogram)
	}
	return r.latency(k)
}

// latency does without a copy where there is one flow.
func (r *Run) latency(k kind) *Histogram {
	var out *Histogram
	merged := false
	for i := range r.Flows {
		f := &r.Flows[i]
		switch {
		case !k(&f.Flow):
			continue
		case out == nil:
			out = &f.Latency
			continue
		case !merged:
			first := out
			out, merged = new(Histogram), true
			out.Merge(first)
		}
		out.Merge(&f.Latency)
	}
	if out == nil {
		out = new(Histogram)
	}
	return out
}

func age(q float64) func(*Run) float64 {
	return func(r *Run) float64 { return r.Age.Readings.Quantile(q) }
}

func stale(r *Run) float64 {
	return percent(r.Age.StaleReadings, uint64(r.Age.Readings.Count()))
}

func latency(k kind, q float64) func(*Run) float64 {
	return func(r *Run) float64 { return r.latency(k).Quantile(q) }
}

func lost(k kind) func(*Run) float64 {
	return func(r *Run) float64 {
		var gone, sent uint64
		for i := range r.Flows {
			if f := &r.Flows[i]; k(&f.Flow) {
				gone += f.Lost()
				sent += f.Sent
			}
		}
		return percent(gone, sent)
	}
}

func gap(k kind) func(*Run) float64 {
	return func(r *Run) float64 {
		longest := math.NaN()
		for i := range r.Flows {
			if f := &r.Flows[i]; k(&f.Flow) && !(float64(f.LongestGap)/1e6 <= longest) {
				longest = float64(f.LongestGap) / 1e6
			}
		}
		return longest
	}
}

func share(of func(*FlowFigures) uint64) func(*Run) float64 {
	return func(r *Run) float64 {
		var n uint64
		for i := range r.Flows {
			n += of(&r.Flows[i])
		}
		return percent(n, r.delivered())
	}
}

// recovered is the mean over the run's outages. One that was not recovered from
// counts with the time that was left for it.
func recovered(r *Run) float64 {
	if len(r.Outages) == 0 {
		return math.NaN()
	}
	sum := 0.0
	for i, o := range r.Outages {
		switch {
		case o.Recover != nil:
			sum += float64(*o.Recover)
		case i+1 < len(r.Outages):
			sum += float64(r.Outages[i+1].From - o.To)
		default:
			sum += r.Seconds*1e9 - float64(o.To)
		}
	}
	return sum / float64(len(r.Outages)) / 1e6
}

func wire(r *Run) float64 {
	if r.Cost.WireUp == nil || r.Cost.WireDown == nil {
		return math.NaN()
	}
	var useful uint64
	for i := range r.Flows {
		useful += r.Flows[i].Useful()
	}
	return ratio(float64(*r.Cost.WireUp+*r.Cost.WireDown), float64(useful))
}

// cpu spreads seconds over the messages that an end sent and received; those that
// arrived stand for both.
func (r *Run) cpu(seconds *float64) float64 {
	if seconds == nil {
		return math.NaN()
	}
	return ratio(*seconds*1e6, float64(r.delivered()))
}

func (r *Run) delivered() (n uint64) {
	for i := range r.Flows {
		n += r.Flows[i].Delivered
	}
	return n
}

func percent(n, of uint64) float64 { return ratio(100*float64(n), float64(of)) }

func ratio(a, b float64) float64 {
	if b == 0 {
		return math.NaN()
	}
	return a / b
}
