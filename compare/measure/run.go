package measure

import (
	"errors"
	"slices"
)

// Run is one repetition of one transport in one scenario. Plain data: its JSON
// holds everything.
type Run struct {
	Transport  string `json:"transport"`
	Scenario   string `json:"scenario"`
	Repetition int    `json:"repetition"`
	// Seed is what the emulator drew its losses and delays from. Runs of one
	// repetition of a scenario share it, and are compared in pairs.
	Seed    uint64  `json:"seed"`
	Players int     `json:"players"`
	Seconds float64 `json:"seconds"` // of the window
	// Invalid says why the run does not count; empty is that it does. A run in which
	// the transport fails is valid: that is a result.
	Invalid []string `json:"invalid,omitempty"`
	// Failure is what ended the game for a player, of the first who met it.
	Failure string `json:"failure,omitempty"`

	Flows      []FlowFigures `json:"flows"`
	Age        Age           `json:"age"`
	Open       Histogram     `json:"open_us"` // from dialling until the player could send
	Reconnects int           `json:"reconnects"`
	Outages    []Outage      `json:"outages,omitempty"`
	// Late is how far behind their own schedule both ends were.
	Late Histogram `json:"late_us"`
	Cost Cost      `json:"cost"`
}

// Cost is what others measured from outside, within the window. nil is that nobody
// did.
type Cost struct {
	WireUp     *uint64  `json:"wire_up_bytes,omitempty"` // IP packets, headers included
	WireDown   *uint64  `json:"wire_down_bytes,omitempty"`
	ClientCPU  *float64 `json:"client_cpu_seconds,omitempty"`
	ServerCPU  *float64 `json:"server_cpu_seconds,omitempty"`
	ServerPeak *uint64  `json:"server_peak_bytes,omitempty"` // resident
}

// FlowFigures are those of one flow, all players together.
type FlowFigures struct {
	Flow
	Sent       uint64 `json:"sent"`    // that fell due within the window
	Refused    uint64 `json:"refused"` // of these, by the transport at once
	Delivered  uint64 `json:"delivered"`
	Duplicates uint64 `json:"duplicates"`
	OutOfOrder uint64 `json:"out_of_order"` // came after a later one
	// Skipped are those never delivered before which a later one was: of a reliable
	// flow they are lost for certain, the others may still have been under way.
	Skipped uint64 `json:"skipped"`
	// Latency is of those delivered, from when they were due.
	Latency Histogram `json:"latency_us"`
	// LongestGap is the longest time, in nanoseconds, in which nothing came to some
	// player of what the window holds.
	LongestGap int64 `json:"longest_gap_ns"`
}

// Lost is how many were sent and never delivered, the replaced by newer ones
// included.
func (f *FlowFigures) Lost() uint64 { return f.Sent - min(f.Sent, f.Delivered) }

// Useful is the payload bytes that arrived.
func (f *FlowFigures) Useful() uint64 { return f.Delivered * uint64(f.Bytes) }

// Take turns the joined logs of all players into a Run's figures. The caller fills
// in what Run is about, its Cost and Invalid. outages are those that the scenario
// made, in order.
func Take(flows []Flow, players []PlayerLog, w Window, outages []Span) (*Run, error) {
	if err := w.valid(); err != nil {
		return nil, err
	}
	if len(players) == 0 {
		return nil, errors.New("no player took part; a run has at least one")
	}
	r := &Run{Players: len(players), Seconds: w.Seconds()}
	for i, f := range flows {
		out := FlowFigures{Flow: f}
		for _, p := range players {
			if len(p.Logs) != len(flows) {
				return nil, errors.New("a player's logs have other flows than the workload")
			}
			out.take(&p.Logs[i], w)
		}
		r.Flows = append(r.Flows, out)
	}
	for _, p := range players {
		if p.Opened != 0 {
			r.Open.Add(p.Opened - p.Dialled)
		}
		if r.Failure == "" {
			r.Failure = p.Failure
		}
		r.Reconnects += p.Reconnects
		r.Late.Merge(p.Late)
	}
	if i := slices.IndexFunc(flows, func(f Flow) bool { return f.State && !f.Up }); i >= 0 {
		all := make([]ages, len(players))
		for n, p := range players {
			all[n] = agesOf(p.Logs[i].Arrivals, p.Dialled, w)
			r.Age.read(agesOf(p.Logs[i].Arrivals, max(p.Dialled, p.Opened), p.playing(w)))
		}
		r.Age.Series = seriesOf(all)
		r.Outages = recoveries(all, outages)
	}
	return r, nil
}

func (f *FlowFigures) take(l *Log, w Window) {
	for _, due := range l.Due {
		if w.holds(due) {
			f.Sent++
		}
	}
	for _, seq := range l.Refused {
		if int(seq) < len(l.Due) && w.holds(l.Due[seq]) {
			f.Refused++
		}
	}
	seen := make(map[uint32]struct{}, len(l.Arrivals))
	highest, last := int64(-1), w.From
	for _, a := range l.Arrivals {
		if !w.holds(a.Due) {
			continue
		}
		if _, again := seen[a.Seq]; again {
			f.Duplicates++
			continue
		}
		seen[a.Seq] = struct{}{}
		f.Delivered++
		f.Latency.Add(a.At - a.Due)
		if int64(a.Seq) < highest {
			f.OutOfOrder++
		}
		highest = max(highest, int64(a.Seq))
		f.LongestGap = max(f.LongestGap, a.At-last)
		last = a.At
	}
	f.LongestGap = max(f.LongestGap, w.To-last)
	for _, a := range l.Arrivals {
		highest = max(highest, int64(a.Seq))
	}
	for seq, due := range l.Due[:min(int64(len(l.Due)), highest+1)] {
		if _, came := seen[uint32(seq)]; !came && w.holds(due) {
			f.Skipped++
		}
	}
}
