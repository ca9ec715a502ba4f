package grid

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"strait/compare/grid/contender"
	"strait/compare/link"
	"strait/compare/measure"
	"strait/compare/report"
)

// report makes what was measured a report; nil if nothing was, and an error if none of
// it counts.
func (s *schedule) report() (*report.Report, error) {
	if len(s.runs) == 0 {
		var why []string
		for _, r := range s.why {
			why = append(why, r.Invalid...)
		}
		slices.Sort(why)
		if why = slices.Compact(why); len(why) > 0 {
			return nil, fmt.Errorf("no run counts: %s", strings.Join(why, "; "))
		}
		return nil, nil
	}
	c := &s.config
	r := &report.Report{
		Title:       "Strait: transports compared",
		Created:     time.Now().UTC().Format(time.RFC3339),
		Environment: environment(c.Version),
		Plan: report.Plan{
			Seed: c.Seed, Repetitions: c.Repetitions, Seconds: c.Measured.Seconds(), WarmUp: c.WarmUp.Seconds(),
			Players: c.Players, Flows: c.Workload.Flows(),
		},
		Runs: append(slices.Clone(s.runs), s.why...),
	}
	for _, t := range c.Transports {
		r.Transports = append(r.Transports, report.Transport{ID: t.Name, Note: t.Note})
	}
	for _, n := range c.Scenarios {
		r.Scenarios = append(r.Scenarios, describe(n, c.seconds(n)))
	}
	r.Notes = s.notes()
	// The order of their ends is nobody's concern.
	place := func(id string, of func(int) string, n int) int {
		for i := range n {
			if of(i) == id {
				return i
			}
		}
		return n
	}
	key := func(scenario, transport string, repetition int) int {
		a := place(scenario, func(i int) string { return r.Scenarios[i].ID }, len(r.Scenarios))
		b := place(transport, func(i int) string { return r.Transports[i].ID }, len(r.Transports))
		return (a*(len(r.Transports)+1)+b)*maxRepetitions + repetition
	}
	slices.SortFunc(r.Runs, func(a, b *measure.Run) int {
		return cmp.Compare(key(a.Scenario, a.Transport, a.Repetition), key(b.Scenario, b.Transport, b.Repetition))
	})
	return r, r.Finish()
}

// notes are what one must know to read the figures.
func (s *schedule) notes() (out []string) {
	c := &s.config
	control := c.CongestionControl
	if c.Loopback {
		control = machineControl()
		out = append(out, "Nothing was impaired: both ends talked over this machine's loopback.")
	}
	by := make(map[string][]string)
	for _, t := range c.Transports {
		name := t.CongestionControl
		if name == contender.Kernel {
			name = "the kernel's " + control
		}
		by[name] = append(by[name], t.Name)
	}
	var controls []string
	for name, who := range by {
		controls = append(controls, fmt.Sprintf("%s (%s)", name, strings.Join(who, ", ")))
	}
	slices.Sort(controls)
	out = append(out, "Congestion control: "+strings.Join(controls, "; ")+".")
	if !c.Loopback && control != machineControl() {
		out = append(out, fmt.Sprintf("This machine's own default is %s.", machineControl()))
	}
	for _, n := range c.Scenarios {
		if d := c.seconds(n); d != c.Measured {
			out = append(out, fmt.Sprintf("Runs in %s last %v, so that there is time behind the outage.", n.Name, d))
		}
		if d := c.warmUp(n); d != c.WarmUp {
			out = append(out, fmt.Sprintf("Players in %s begin %v before what counts.", n.Name, d.Round(time.Millisecond)))
		}
		if n.Upload {
			out = append(out, fmt.Sprintf("In %s the bytes on the wire are not told: an upload shares the link.", n.Name))
		}
	}
	side := "one after the other"
	if c.Parallel > 1 {
		side = fmt.Sprintf("up to %d runs side by side, each with a link of its own", c.Parallel)
	}
	out = append(out, fmt.Sprintf("The repetitions were interleaved; %s.", side))
	if s.repeated > 0 {
		out = append(out, fmt.Sprintf("%d of %d runs were spoiled at first and repeated at the end.", s.repeated, s.total-s.repeated))
	}
	if s.unrepeated > 0 {
		out = append(out, fmt.Sprintf("%d more were spoiled and not repeated: that may take %v. They do not count.", s.unrepeated, c.repeats().Round(time.Second)))
	}
	if missing := s.total - s.repeated - len(s.runs) - len(s.why); missing > 0 {
		out = append(out, fmt.Sprintf("It was interrupted: %d of %d runs are missing.", missing, s.total-s.repeated))
	}
	return out
}

// machineControl is the congestion control that TCP has here unless told otherwise.
func machineControl() string {
	b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	if err != nil {
		return "default"
	}
	return strings.TrimSpace(string(b))
}

// players says who meets the catalogue's scenarios.
var players = map[string]string{
	"lan":               "players in the same building",
	"fiber":             "players on fibre",
	"cable-bufferbloat": "players on cable with large buffers",
	"wifi-good":         "players on good Wi-Fi",
	"wifi-bad":          "players on bad Wi-Fi",
	"5g":                "players on 5G",
	"4g":                "players on 4G",
	"3g":                "players on 3G",
	"intercontinental":  "players on another continent",
	"satellite":         "players behind satellites in low orbit",
	"satellite-geo":     "players behind a geostationary satellite",
	"mobile-handover":   "players whose phone leaves Wi-Fi for 4G",
	"udp-blocked":       "players whose network blocks UDP",
}

func describe(n Network, seconds time.Duration) report.Scenario {
	out := report.Scenario{
		ID: n.Name, Players: cmp.Or(players[n.Name], "players on "+n.Name), Description: n.About,
		Outages: outages(n, seconds),
	}
	if n.Upload {
		out.Players += " that an upload fills"
		out.Parameters = append(out.Parameters, fmt.Sprintf("a TCP upload on %d connections shares the link, and has filled it for %v before players come", uploads, fill))
	}
	if n.RTT() > 0 {
		out.Parameters = append(out.Parameters, "round trip: "+n.RTT().String())
	}
	// The text form without what has been said.
	bare := n.Scenario
	bare.Name, bare.About, bare.Sources = "", "", nil
	for line := range strings.Lines(bare.String()) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
		out.Parameters = append(out.Parameters, key+": "+value)
	}
	for _, d := range []struct {
		name     string
		settings link.Settings
	}{{"up", n.Link.Up}, {"down", n.Link.Down}} {
		if s := d.settings; s.Rate > 0 {
			full := time.Duration(float64(s.QueueBytes()) * 8 / float64(s.Rate) * float64(time.Second))
			out.Parameters = append(out.Parameters, fmt.Sprintf("full queue %s: %v", d.name, full.Round(time.Millisecond)))
		}
	}
	return out
}
