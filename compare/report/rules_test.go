package report_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/compare/measure"
	"strait/compare/report"
	"strait/compare/report/plot"
)

// figures are what a made-up repetition has: age of state and delay of events and
// inputs in ms, bytes on the wire per useful byte, CPU in µs a message.
type figures struct{ age, event, input, wire, cpu float64 }

// exact makes a run with just these figures.
func exact(transport string, repetition int, f figures) *measure.Run {
	flow := func(name string, up, reliable bool, ms float64) measure.FlowFigures {
		out := measure.FlowFigures{Flow: measure.Flow{Name: name, Up: up, Reliable: reliable, Bytes: 100}, Sent: 100, Delivered: 100}
		for range 100 {
			out.Latency.Add(int64(ms * 1e6))
		}
		return out
	}
	r := &measure.Run{Transport: transport, Scenario: "4g", Repetition: repetition, Players: 1, Seconds: 10,
		Flows: []measure.FlowFigures{flow("inputs", true, false, f.input), flow("snapshots", false, false, f.age), flow("events", true, true, f.event)}}
	for range 100 {
		r.Age.Readings.Add(int64(f.age * 1e6))
	}
	wire, zero, cpu := uint64(f.wire*300*100), uint64(0), f.cpu*300/1e6
	r.Cost = measure.Cost{WireUp: &wire, WireDown: &zero, ServerCPU: &cpu}
	return r
}

// about spreads figures over five repetitions, with the same luck for everybody.
func about(transport string, f figures) (out []*measure.Run) {
	for rep, luck := range []float64{0, 1, -1, 0.5, -0.5} {
		g := f
		g.age += 3 * luck
		g.event += 3 * luck
		g.input += 3 * luck
		out = append(out, exact(transport, rep, g))
	}
	return out
}

// judged makes a report of runs in one scenario and finishes it.
func judged(t *testing.T, runs ...[]*measure.Run) *report.Report {
	t.Helper()
	r := &report.Report{Title: "t", Scenarios: []report.Scenario{{ID: "4g", Players: "players on 4G"}}}
	for _, rs := range runs {
		r.Transports = append(r.Transports, report.Transport{ID: rs[0].Transport})
		r.Runs = append(r.Runs, rs...)
	}
	require.NoError(t, r.Finish())
	return r
}

var base = figures{age: 60, event: 80, input: 40, wire: 1.5, cpu: 10}

func with(change func(*figures)) figures {
	f := base
	change(&f)
	return f
}

func TestClearWinner(t *testing.T) {
	r := judged(t, about("a", base), about("b", with(func(f *figures) { f.age = 90 })), about("c", with(func(f *figures) { f.age = 70 })))
	v := r.Verdicts[0]
	assert.Equal(t, []string{"a"}, v.Leaders)
	assert.Equal(t, []string{"a"}, v.Alike)
	require.Len(t, v.Steps, 1)
	assert.Equal(t, measure.AgeP95, v.Steps[0].Metric)
	assert.Equal(t, "Players on 4G: a.", v.Text[0])
	assert.Contains(t, v.Text[1], "c by 10.0 ms (")
	assert.Equal(t, []string{"a"}, r.Overall.Leaders)
}

// Equal in everything is no clear winner.
func TestTie(t *testing.T) {
	r := judged(t, about("a", base), about("b", base))
	v := r.Verdicts[0]
	assert.Equal(t, []string{"a", "b"}, v.Leaders)
	assert.Equal(t, "Players on 4G: no clear winner between a and b.", v.Text[0])
	assert.Equal(t, []string{"a", "b"}, r.Overall.Leaders)
	assert.Contains(t, r.Overall.Text[0], "no clear winner overall")
}

// A difference that is certain but too small to notice does not decide.
func TestWithinTheMargin(t *testing.T) {
	r := judged(t, about("a", base), about("b", with(func(f *figures) { f.age += 1.5 })))
	assert.Equal(t, []string{"a", "b"}, r.Verdicts[0].Leaders)
}

// A difference that is large but not certain does not decide either.
func TestWithinTheNoise(t *testing.T) {
	noisy := about("b", with(func(f *figures) { f.age = 75 }))
	for i, age := range []float64{40, 130, 45, 110, 50} {
		noisy[i] = exact("b", i, with(func(f *figures) { f.age = age }))
	}
	r := judged(t, about("a", base), noisy)
	assert.Equal(t, []string{"a", "b"}, r.Verdicts[0].Alike)
	assert.Contains(t, r.Verdicts[0].Text, "By age of state, p95 these are worse in the mean, but the runs scatter too much to be sure; more repetitions would tell: b by 15.0 ms.")
}

// One run that stalls scatters so much that an interval says nothing; that every run is
// worse does.
func TestAStallDoesNotHideTheOthers(t *testing.T) {
	var calm, stalling []*measure.Run
	for i, age := range []float64{94, 143, 866, 76, 71, 101, 88, 79, 90, 85} {
		calm = append(calm, exact("a", i, with(func(f *figures) { f.age = 66 })))
		stalling = append(stalling, exact("b", i, with(func(f *figures) { f.age = age })))
	}
	r := judged(t, calm[:8], stalling[:8])
	assert.Equal(t, []string{"a", "b"}, r.Verdicts[0].Leaders, "of eight runs the ranks are never sure enough")
	r = judged(t, calm, stalling)
	assert.Equal(t, []string{"a"}, r.Verdicts[0].Leaders)
	assert.Contains(t, r.Verdicts[0].Text[1], "b by 103.3 ms (certain by ranks alone)")
}

// Each criterion decides between those that are alike by the ones before it.
func TestCriteriaInTheirOrder(t *testing.T) {
	for metric, worse := range map[string]func(*figures){
		measure.AgeP95: func(f *figures) { f.age += 20 }, measure.EventP95: func(f *figures) { f.event += 20 }, measure.InputP95: func(f *figures) { f.input += 20 },
		measure.WireRatio: func(f *figures) { f.wire += 1 }, measure.ServerCPU: func(f *figures) { f.cpu += 10 },
	} {
		r := judged(t, about("a", with(worse)), about("b", base))
		v := r.Verdicts[0]
		assert.Equal(t, []string{"b"}, v.Leaders, metric)
		assert.Equal(t, metric, v.Steps[len(v.Steps)-1].Metric)
		if metric == measure.WireRatio || metric == measure.ServerCPU {
			assert.Equal(t, []string{"a", "b"}, v.Alike, metric)
			assert.Contains(t, v.Text[0], "All of them could not be told apart by what players feel; of these it costs least")
		} else {
			assert.Equal(t, []string{"b"}, v.Alike, metric)
		}
	}
	// What players see goes before what it costs.
	r := judged(t, about("a", with(func(f *figures) { f.age -= 20; f.cpu += 50; f.wire += 3 })), about("b", base))
	assert.Equal(t, []string{"a"}, r.Verdicts[0].Leaders)
}

// A cost that is not known of everybody decides nothing.
func TestMissingMetricIsSkipped(t *testing.T) {
	some := about("b", with(func(f *figures) { f.cpu += 10 }))
	for _, run := range some {
		run.Cost.WireUp = nil
	}
	r := judged(t, about("a", base), some)
	assert.Equal(t, []string{"a"}, r.Verdicts[0].Leaders)
	for _, s := range r.Verdicts[0].Steps {
		assert.NotEqual(t, measure.WireRatio, s.Metric)
	}
}

func TestOneRepetitionTellsNothing(t *testing.T) {
	r := judged(t, about("a", base)[:1], about("b", with(func(f *figures) { f.age = 500 }))[:1])
	v := r.Verdicts[0]
	assert.Equal(t, []string{"a", "b"}, v.Leaders)
	assert.Contains(t, v.Text, "With one repetition nothing can be told apart; run at least three.")
}

// Invalid runs are averaged into nothing, and reported.
func TestInvalidRunsDoNotCount(t *testing.T) {
	spoilt := about("b", with(func(f *figures) { f.age = 30 }))
	for _, run := range spoilt[:2] {
		run.Invalid = []string{"a core was saturated"}
	}
	r := judged(t, about("a", base), spoilt)
	assert.Equal(t, []string{"b"}, r.Verdicts[0].Leaders)
	for _, run := range spoilt {
		run.Invalid = []string{"a core was saturated"}
	}
	r = judged(t, about("a", base), spoilt)
	v := r.Verdicts[0]
	assert.Equal(t, []string{"a"}, v.Leaders)
	assert.Equal(t, []report.Exclusion{{Transport: "b", Why: "no run counts: a core was saturated"}}, v.Unmeasured)
	assert.Contains(t, r.Page().Text(0), "Runs that do not count")
	assert.Equal(t, 1, r.Overall.Standings[0].Measured)
	assert.Zero(t, r.Overall.Standings[1].Measured)
}

func TestNothingCounts(t *testing.T) {
	spoilt := about("a", base)
	for _, run := range spoilt {
		run.Invalid = []string{"the emulator was late"}
	}
	r := judged(t, spoilt)
	assert.Empty(t, r.Verdicts[0].Leaders)
	assert.Equal(t, "Players on 4G: no run counts, so there is no recommendation.", r.Verdicts[0].Text[0])
	assert.Equal(t, []string{"Nothing can be recommended: no transport worked in a run that counts."}, r.Overall.Text)
}

// Who fails, or loses what is reliable, is not recommended however fast.
func TestFailuresAreNotRecommended(t *testing.T) {
	fails, loses := about("b", figures{1, 1, 1, 1, 1}), about("c", figures{1, 1, 1, 1, 1})
	fails[3].Failure = "could not connect"
	loses[1].Flows[2].Delivered, loses[1].Flows[2].Skipped = 99, 1
	r := judged(t, about("a", base), fails, loses)
	v := r.Verdicts[0]
	assert.Equal(t, []string{"a"}, v.Leaders)
	assert.Equal(t, []report.Exclusion{
		{Transport: "b", Why: "it failed in 1 of 5 runs: could not connect"},
		{Transport: "c", Why: "1 reliable events were skipped"},
	}, v.Failing)
	r = judged(t, fails)
	assert.Equal(t, "Players on 4G: no transport works.", r.Verdicts[0].Text[0])
}

// Events that went down with a connection are no failure, but count.
func TestEventsLostWithAConnection(t *testing.T) {
	lost := about("b", base)
	for _, run := range lost {
		run.Reconnects = 1
		run.Flows[2].Delivered, run.Flows[2].Skipped = 95, 5
	}
	r := judged(t, about("a", base), lost)
	v := r.Verdicts[0]
	assert.Empty(t, v.Failing)
	assert.Equal(t, []string{"a"}, v.Alike)
	assert.Equal(t, measure.EventLost, v.Steps[1].Metric)
}

// Who loses what would be late does not look fast: his curve ends at the share that came.
func TestCurvesEndWhereMessagesAreLost(t *testing.T) {
	lossy := about("b", with(func(f *figures) { f.input = 20 }))
	for _, run := range lossy {
		run.Flows[0].Sent = 125
	}
	r := judged(t, about("a", base), lossy)
	var curves []plot.Curve
	for _, s := range r.Page().Sections {
		for _, p := range s.Pictures {
			if l, ok := p.(*plot.Line); ok && l.Title == "Inputs: delay" {
				curves = l.Curves
			}
		}
	}
	require.Len(t, curves, 2)
	end := func(c plot.Curve) float64 { return c.Points[len(c.Points)-1].Y }
	assert.Greater(t, end(curves[0]), 0.99, "of 500, all of which came")
	assert.InDelta(t, 0.8, end(curves[1]), 1e-9, "500 of 625 came")
	for _, p := range curves[1].Points {
		assert.LessOrEqual(t, p.Y, 0.8)
	}
}

func TestOverallNamesAFallback(t *testing.T) {
	r := sample(t, []network{networks[4], networks[9], networks[11]}, carriers[2:], 8, 6)
	require.NoError(t, r.Finish())
	assert.Equal(t, []string{"quic+dgram"}, r.Overall.Leaders)
	assert.Equal(t, []report.Fallback{{Scenario: "udp-blocked", Transports: []string{"websocket"}}}, r.Overall.Fallback)
	assert.Contains(t, r.Overall.Text[1], "fall back to websocket")
}

// Of several that are among the best as often, the one with the fresher state leads, if
// that is certain.
func TestOverallByTheAgeOfState(t *testing.T) {
	r := judged(t, about("a", base), about("b", with(func(f *figures) { f.age = 66; f.cpu = 5 })))
	require.Equal(t, []string{"a"}, r.Overall.Leaders, "6 ms: b is worse")

	noisy := about("b", base)
	for i, age := range []float64{40, 130, 45, 110, 50} {
		noisy[i] = exact("b", i, with(func(f *figures) { f.age = age }))
	}
	r = judged(t, about("a", base), noisy)
	require.Equal(t, []string{"a", "b"}, r.Verdicts[0].Alike)
	assert.Equal(t, []string{"a", "b"}, r.Overall.Leaders, "what no scenario tells apart is not told apart overall")

	// Each is worse in one of two scenarios; taken together b is fresher.
	one, two := judged(t, about("a", base), about("b", with(func(f *figures) { f.age = 66 }))), judged(t, about("a", with(func(f *figures) { f.age = 30 })), about("b", with(func(f *figures) { f.age = 20 })))
	for _, run := range two.Runs {
		run.Scenario = "wifi"
	}
	both := &report.Report{Title: "t", Transports: one.Transports, Scenarios: []report.Scenario{{ID: "4g"}, {ID: "wifi"}}, Runs: append(one.Runs, two.Runs...)}
	require.NoError(t, both.Finish())
	require.Equal(t, []string{"a"}, both.Verdicts[0].Leaders)
	require.Equal(t, []string{"b"}, both.Verdicts[1].Leaders)
	assert.Equal(t, []string{"b"}, both.Overall.Leaders, "30 against 20 is more than 66 against 60")

	// What is recommended for the only scenario is recommended.
	r = judged(t, about("a", base), about("b", with(func(f *figures) { f.cpu = 5 })))
	require.Equal(t, []string{"a", "b"}, r.Verdicts[0].Alike)
	assert.Equal(t, []string{"b"}, r.Overall.Leaders)
}

func TestFinishRefuses(t *testing.T) {
	good := func() *report.Report {
		return &report.Report{Transports: []report.Transport{{ID: "a"}}, Scenarios: []report.Scenario{{ID: "4g"}}, Runs: about("a", base)}
	}
	require.NoError(t, good().Finish())
	for want, change := range map[string]func(*report.Report){
		"compares nothing":      func(r *report.Report) { r.Scenarios = nil },
		"no name of its own":    func(r *report.Report) { r.Transports = append(r.Transports, report.Transport{ID: "a"}) },
		"does not list":         func(r *report.Report) { r.Runs[0].Scenario = "5g" },
		"two runs of":           func(r *report.Report) { r.Runs[1].Repetition = 0 },
		"pictures tell 8 apart": func(r *report.Report) { r.Transports = make([]report.Transport, 9) },
	} {
		r := good()
		change(r)
		assert.ErrorContains(t, r.Finish(), want)
	}
}
