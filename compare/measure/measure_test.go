package measure_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/compare/measure"
)

const ms = int64(1e6)

var snapshots = measure.Flow{Name: "snapshots", Bytes: 500, PerSecond: 10, State: true}

// steady is a log of a message each 100 ms from 0 on, each arriving after delay.
func steady(n int, delay int64) measure.Log {
	var l measure.Log
	for i := range n {
		due := int64(i) * 100 * ms
		l.Due = append(l.Due, due)
		l.Arrivals = append(l.Arrivals, measure.Arrival{Seq: uint32(i), Due: due, At: due + delay})
	}
	return l
}

func take(t *testing.T, l measure.Log, w measure.Window, outages ...measure.Span) *measure.Run {
	t.Helper()
	r, err := measure.Take([]measure.Flow{snapshots}, []measure.PlayerLog{{Dialled: 0, Opened: 5 * ms, Logs: []measure.Log{l}}}, w, outages)
	require.NoError(t, err)
	return r
}

func TestCounts(t *testing.T) {
	l := steady(20, 30*ms)
	a := l.Arrivals
	l.Refused = []uint32{7, 19, 400}
	// 3 is lost, 5 comes twice, 8 comes before 7.
	l.Arrivals = append([]measure.Arrival{a[0], a[1], a[2], a[4], a[5], a[5], a[6], a[8], a[7]}, a[9:]...)
	r := take(t, l, measure.Window{From: 100 * ms, To: 1500 * ms})
	f := r.Flows[0]
	assert.EqualValues(t, 14, f.Sent)
	assert.EqualValues(t, 13, f.Delivered)
	assert.EqualValues(t, 1, f.Lost())
	assert.EqualValues(t, 1, f.Skipped)
	assert.EqualValues(t, 1, f.Duplicates)
	assert.EqualValues(t, 1, f.OutOfOrder)
	assert.EqualValues(t, 1, f.Refused, "one of the three fell due in the window")
	assert.EqualValues(t, 13, f.Latency.Count())
	assert.EqualValues(t, 13*500, f.Useful())
	assert.InDelta(t, 30, f.Latency.Quantile(0.5), 0.05)
	assert.InDelta(t, 5, r.Open.Mean(), 0.01)
	assert.Equal(t, 200*ms, f.LongestGap, "around the lost one")
}

// What is missing at the end may still be under way; what a later one overtook is not.
func TestSkipped(t *testing.T) {
	l := steady(20, 30*ms)
	l.Arrivals = append(l.Arrivals[:4], l.Arrivals[6:15]...)
	f := take(t, l, measure.Window{To: 2000 * ms}).Flows[0]
	assert.EqualValues(t, 2, f.Skipped)
	assert.EqualValues(t, 7, f.Lost())
	f = take(t, measure.Log{Due: l.Due}, measure.Window{To: 2000 * ms}).Flows[0]
	assert.Zero(t, f.Skipped)
	assert.EqualValues(t, 20, f.Lost())
}

// Latency counts from when a message was due, however late its sender was.
func TestLatencyCountsFromDue(t *testing.T) {
	l := steady(10, 20*ms)
	for i := 4; i < 8; i++ { // held up, then sent at once
		l.Arrivals[i].At = l.Due[8]
	}
	r := take(t, l, measure.Window{To: 1000 * ms})
	assert.InDelta(t, 400, r.Flows[0].Latency.Max(), 0.5)
	assert.Equal(t, 10, int(r.Flows[0].Latency.Count()))
}

func TestAgeOfAKnownSchedule(t *testing.T) {
	r := take(t, steady(100, 30*ms), measure.Window{From: 1000 * ms, To: 9000 * ms})
	// The age grows from 30 ms to 130 ms and falls back.
	assert.InDelta(t, 30, r.Age.Readings.Quantile(0.001), 5)
	assert.InDelta(t, 80, r.Age.Readings.Quantile(0.5), 3)
	assert.InDelta(t, 130, r.Age.Readings.Max(), 5)
	assert.InDelta(t, 80, r.Age.Readings.Mean(), 1)
	assert.Zero(t, r.Age.StaleReadings)
	require.Len(t, r.Age.Series, 40)
	assert.InDelta(t, 0.1, r.Age.Series[0].Second, 0.01)
	for _, p := range r.Age.Series {
		assert.InDelta(t, 80, p.Median, 10)
		assert.InDelta(t, 128, p.Max, 5)
	}
}

// A snapshot that comes after a newer one makes nothing older.
func TestAgeIgnoresWhatIsOutdated(t *testing.T) {
	l := steady(20, 10*ms)
	l.Arrivals = append(l.Arrivals, measure.Arrival{Seq: 2, Due: 200 * ms, At: 1950 * ms})
	r := take(t, l, measure.Window{From: 500 * ms, To: 2000 * ms})
	assert.Less(t, r.Age.Readings.Max(), 112.0)
}

// Who sees nothing sees something old.
func TestAgeWithoutAnySnapshot(t *testing.T) {
	r := take(t, measure.Log{}, measure.Window{To: 1000 * ms})
	assert.InDelta(t, 995, r.Age.Readings.Max(), 1, "from when he has a session")
	assert.InDelta(t, 0.75, float64(r.Age.StaleReadings)/float64(r.Age.Readings.Count()), 0.01)
	assert.Equal(t, 1000*ms, r.Flows[0].LongestGap)
}

// A session that opens late is late, and its state no older for it.
func TestAgeOfALateSession(t *testing.T) {
	l := steady(100, 30*ms)
	l.Arrivals = l.Arrivals[25:] // from 2.5 s
	r, err := measure.Take([]measure.Flow{snapshots}, []measure.PlayerLog{{Opened: 2500 * ms, Logs: []measure.Log{l}}}, measure.Window{To: 5000 * ms}, nil)
	require.NoError(t, err)
	assert.Less(t, r.Age.Readings.Max(), 135.0)
	assert.EqualValues(t, 2500, r.Age.Readings.Count())
	assert.Greater(t, r.Age.Series[10].Max, 2000.0)
}

func TestRecovery(t *testing.T) {
	l := steady(100, 30*ms)
	kept := l.Arrivals[:0]
	for _, a := range l.Arrivals {
		if a.Due < 3000*ms || a.Due >= 4700*ms { // away from 3 s to 4 s, and 0.7 s more
			kept = append(kept, a)
		}
	}
	l.Arrivals = kept
	r := take(t, l, measure.Window{To: 9000 * ms}, measure.Span{Name: "blackout", From: 3000 * ms, To: 4000 * ms})
	require.Len(t, r.Outages, 1)
	require.NotNil(t, r.Outages[0].Recover)
	assert.InDelta(t, 730, float64(*r.Outages[0].Recover)/1e6, 6)

	l.Arrivals = l.Arrivals[:30]
	r = take(t, l, measure.Window{To: 9000 * ms}, measure.Span{Name: "blackout", From: 3000 * ms, To: 4000 * ms})
	assert.Nil(t, r.Outages[0].Recover)
	v, ok := measure.MetricByID("recover").Of(r)
	require.True(t, ok)
	assert.InDelta(t, 5000, v, 1, "counts with the time there was")
}

func TestTakeRefuses(t *testing.T) {
	_, err := measure.Take([]measure.Flow{snapshots}, nil, measure.Window{To: 1}, nil)
	require.ErrorContains(t, err, "no player")
	_, err = measure.Take([]measure.Flow{snapshots}, []measure.PlayerLog{{}}, measure.Window{To: 1}, nil)
	require.ErrorContains(t, err, "other flows")
	_, err = measure.Take(nil, []measure.PlayerLog{{}}, measure.Window{From: 5, To: 5}, nil)
	require.ErrorContains(t, err, "To must be after From")
}

func TestJoin(t *testing.T) {
	sent, came := steady(3, 0), steady(3, 0)
	sent.Arrivals, came.Due = nil, nil
	player := measure.PlayerLog{Player: 4, Opened: 9, Logs: []measure.Log{sent, {}}}
	logic := measure.PlayerLog{Player: 4, Logs: []measure.Log{came, {Due: []int64{1}}}}
	joined, err := measure.Join(player, logic)
	require.NoError(t, err)
	assert.Equal(t, steady(3, 0), joined.Logs[0])
	assert.Equal(t, []int64{1}, joined.Logs[1].Due)
	assert.EqualValues(t, 9, joined.Opened)
	assert.Nil(t, player.Logs[0].Arrivals, "arguments stay as they are")

	other := logic
	other.Player = 5
	_, err = measure.Join(player, other)
	require.ErrorContains(t, err, "player 5 do not go with those of player 4")
	_, err = measure.Join(player, player)
	require.ErrorContains(t, err, "both ends")
	_, err = measure.Join(player, measure.PlayerLog{Player: 4})
	require.ErrorContains(t, err, "flows")
}

// Student's t interval against tables and a worked example.
func TestEstimate(t *testing.T) {
	// 8 values with mean 5, standard deviation 2.1380899; t(0.975, 7) = 2.364624.
	e, ok := measure.EstimateOf([]float64{2, 4, 4, 4, 5, 5, 7, 9}, 0.95)
	require.True(t, ok)
	assert.InDelta(t, 5, e.Mean, 1e-12)
	assert.InDelta(t, 2.364624*2.1380899/math.Sqrt(8), e.Half(), 1e-5)
	assert.InDelta(t, 5-e.Half(), *e.Low, 1e-12)
	assert.Equal(t, 8, e.N)
	// For 0 and 2 the interval is the quantile itself, of one degree of freedom.
	for confidence, quantile := range map[float64]float64{0.8: 3.077684, 0.95: 12.706205, 0.99: 63.656741, 0.999: 636.619249} {
		e, _ = measure.EstimateOf([]float64{0, 2}, confidence)
		assert.InEpsilon(t, quantile, e.Half(), 1e-6)
	}
	// t(0.975, 30) = 2.042272: 31 values.
	vs := make([]float64, 31)
	for i := range vs {
		vs[i] = float64(i)
	}
	e, _ = measure.EstimateOf(vs, 0.95)
	assert.InEpsilon(t, 2.042272*math.Sqrt(82.666666666/31), e.Half(), 1e-6)

	e, ok = measure.EstimateOf([]float64{7}, 0.95)
	require.True(t, ok)
	assert.Nil(t, e.Low)
	assert.True(t, math.IsNaN(e.Half()))
	_, ok = measure.EstimateOf(nil, 0.95)
	assert.False(t, ok)
}

// The interval covers the truth as often as it says.
func TestEstimateCovers(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	covered := 0
	const trials = 4000
	for range trials {
		vs := make([]float64, 5)
		for i := range vs {
			vs[i] = 10 + 3*random.NormFloat64()
		}
		if e, _ := measure.EstimateOf(vs, 0.95); *e.Low <= 10 && 10 <= *e.High {
			covered++
		}
	}
	assert.InDelta(t, 0.95, float64(covered)/trials, 0.012)
}

func TestHistogram(t *testing.T) {
	var h measure.Histogram
	assert.True(t, math.IsNaN(h.Quantile(0.5)))
	assert.True(t, math.IsNaN(h.Mean()))
	for i := range int64(1000) {
		h.Add((i + 1) * ms)
	}
	assert.InEpsilon(t, 500, h.Quantile(0.5), 0.002)
	assert.InEpsilon(t, 990, h.Quantile(0.99), 0.002)
	assert.InEpsilon(t, 1000, h.Max(), 0.002)
	assert.InEpsilon(t, 500.5, h.Mean(), 0.002)
	h.Add(-5)
	h.Add(math.MaxInt64)
	assert.EqualValues(t, 1002, h.Count())
	assert.InEpsilon(t, 600e3, h.Max(), 0.002, "ten minutes is the longest")

	b, err := json.Marshal(struct{ H measure.Histogram }{h})
	require.NoError(t, err)
	var back struct{ H measure.Histogram }
	require.NoError(t, json.Unmarshal(b, &back))
	assert.Equal(t, h.Count(), back.H.Count())
	for _, q := range []float64{0, 0.1, 0.5, 0.99, 1} {
		assert.Equal(t, h.Quantile(q), back.H.Quantile(q))
	}
	again, err := json.Marshal(back)
	require.NoError(t, err)
	assert.Equal(t, b, again)
	for _, bad := range []string{`{}`, `[[1]]`, `[[-1,2]]`, `[[1,0]]`, `[[1,-9]]`} {
		assert.Error(t, json.Unmarshal([]byte(bad), new(measure.Histogram)), bad)
	}
}

func TestMerge(t *testing.T) {
	var runs []*measure.Run
	for i, delay := range []int64{20, 30, 40} {
		r := take(t, steady(100, delay*ms), measure.Window{From: 1000 * ms, To: 9000 * ms})
		r.Transport, r.Scenario, r.Repetition = "tcp", "lan", 2-i
		runs = append(runs, r)
	}
	spoilt := take(t, steady(100, 500*ms), measure.Window{From: 1000 * ms, To: 9000 * ms})
	spoilt.Transport, spoilt.Scenario, spoilt.Repetition = "tcp", "lan", 3
	spoilt.Invalid = []string{"the emulator was late", "a core was saturated"}
	c := measure.Merge(append(runs, spoilt, spoilt))
	assert.Equal(t, "tcp", c.Transport)
	assert.Equal(t, 3, c.Valid)
	assert.Equal(t, 2, c.Invalid)
	assert.Equal(t, spoilt.Invalid, c.Why, "each reason once")
	e := c.Estimates["snapshot_p50"]
	assert.Equal(t, 3, e.N)
	assert.InDelta(t, 30, e.Mean, 0.05)
	assert.InDelta(t, 4.302653*10/math.Sqrt(3), e.Half(), 0.05) // t(0.975, 2)
	assert.EqualValues(t, 240, c.Snapshots.Count())
	assert.InDelta(t, 40, c.Snapshots.Max(), 0.05)
	require.Len(t, c.Series, 40)
	assert.InDelta(t, 80, c.Series[3].Median, 10)
	assert.True(t, c.Works())
	_, has := c.Estimates["wire_ratio"]
	assert.False(t, has, "nobody measured it")
	assert.False(t, measure.Merge([]*measure.Run{spoilt}).Works())
}

// Differences are taken within a repetition: the luck that both share drops out.
func TestDifferenceIsPaired(t *testing.T) {
	made := func(extra int64, repetitions ...int) *measure.Cell {
		var runs []*measure.Run
		for _, rep := range repetitions {
			r := take(t, steady(60, (int64(rep)*50+extra)*ms), measure.Window{To: 3000 * ms})
			r.Repetition = rep
			runs = append(runs, r)
		}
		return measure.Merge(runs)
	}
	a, b := made(10, 0, 1, 2, 3), made(15, 3, 1, 2, 7)
	d, ok := a.Difference(b, "snapshot_p50", 0.95)
	require.True(t, ok)
	assert.Equal(t, 3, d.N)
	assert.InDelta(t, 5, d.Mean, 0.2)
	assert.Less(t, d.Half(), 0.5)
	// One repetition of either: a difference without an interval.
	d, ok = a.Difference(made(10, 8), "snapshot_p50", 0.95)
	assert.True(t, ok)
	assert.Nil(t, d.Low)
	_, ok = a.Difference(b, "wire_ratio", 0.95)
	assert.False(t, ok, "nobody has it")

	// Fewer than three pairs: Welch. Both have a standard deviation of 50 over three
	// values; t(0.975, 4) = 2.776445.
	d, ok = made(10, 0, 1, 2).Difference(made(30, 10, 11, 12), "snapshot_p50", 0.95)
	require.True(t, ok)
	assert.InDelta(t, 520, d.Mean, 0.5)
	assert.InDelta(t, 2.776445*50*math.Sqrt(2.0/3), d.Half(), 0.5)
	// Unequal numbers and variances.
	d, ok = made(10, 0, 2).Difference(made(10, 4, 6, 8), "snapshot_p50", 0.95)
	require.True(t, ok)
	assert.InDelta(t, 250, d.Mean, 0.5)
	sa, sb := 5000.0/2, 10000.0/3
	assert.Greater(t, d.Half(), 2.776*math.Sqrt(sa+sb), "more than with four degrees of freedom")
	assert.Less(t, d.Half(), 4.303*math.Sqrt(sa+sb), "less than with two")
}

func TestExceeds(t *testing.T) {
	cell := func(transport string, ages ...float64) *measure.Cell {
		var runs []*measure.Run
		for rep, age := range ages {
			r := &measure.Run{Transport: transport, Scenario: "s", Repetition: rep}
			r.Age.Readings.Add(int64(age * 1e6))
			runs = append(runs, r)
		}
		return measure.Merge(runs)
	}
	low, high := cell("a", 50, 51, 49, 50, 52), cell("b", 61, 60, 60, 61, 62)
	assert.True(t, low.Exceeds(high, measure.AgeP95, 0, 0.001))
	assert.True(t, low.Exceeds(high, measure.AgeP95, 5, 0.001))
	assert.False(t, low.Exceeds(high, measure.AgeP95, 10, 0.05), "it is above by about 10")
	assert.False(t, high.Exceeds(low, measure.AgeP95, 0, 0.05))
	assert.True(t, high.Exceeds(low, measure.AgeP95, -20, 0.001), "not better by 20")
	assert.False(t, low.Exceeds(high, "no such metric", 0, 0.05))
	assert.False(t, cell("a", 50).Exceeds(cell("b", 500), measure.AgeP95, 0, 0.05), "one run tells nothing")

	// One run that stalls hides the others from Student, not from the ranks, of which five
	// runs never say enough.
	calm, stalls := cell("a", 50, 50, 50, 50, 50, 50, 50, 50, 50, 50), cell("b", 60, 62, 61, 900, 59, 63, 58, 64, 57, 65)
	assert.True(t, calm.Exceeds(stalls, measure.AgeP95, 0, 0.002))
	assert.False(t, calm.Exceeds(stalls, measure.AgeP95, 0, 0.0019))
	assert.False(t, cell("a", 50, 50, 50, 50, 50).Exceeds(cell("b", 60, 62, 61, 900, 59), measure.AgeP95, 0, 0.05))

	// Twice in one scenario and half in the other is the same, over both.
	e, ok := measure.Ratio([]*measure.Cell{low, high}, []*measure.Cell{high, low}, measure.AgeP95, 0.95)
	assert.True(t, ok)
	assert.InDelta(t, 0, e.Mean, 1e-9)
	e, ok = measure.Ratio([]*measure.Cell{low, cell("a", 100, 101, 99)}, []*measure.Cell{cell("b", 100, 102, 98, 100, 104), cell("b", 200, 202, 198)}, measure.AgeP95, 0.95)
	assert.True(t, ok)
	assert.InDelta(t, math.Ln2, e.Mean, 0.001)
	assert.Less(t, e.Half(), 0.01)
	_, ok = measure.Ratio([]*measure.Cell{cell("a", 1, 2)}, []*measure.Cell{cell("b", 1, 2)}, measure.AgeP95, 0.95)
	assert.False(t, ok, "two pairs")
	_, ok = measure.Ratio(nil, nil, measure.AgeP95, 0.95)
	assert.False(t, ok)
}

func TestCostMetrics(t *testing.T) {
	r := take(t, steady(10, ms), measure.Window{To: 1000 * ms})
	up, down, cpu := uint64(1000), uint64(6500), 0.0002
	r.Cost = measure.Cost{WireUp: &up, WireDown: &down, ServerCPU: &cpu}
	v, ok := measure.MetricByID(measure.WireRatio).Of(r)
	assert.True(t, ok)
	assert.InDelta(t, 7500.0/5000, v, 1e-9)
	v, ok = measure.MetricByID(measure.ServerCPU).Of(r)
	assert.True(t, ok)
	assert.InDelta(t, 20, v, 1e-9)
	_, ok = measure.MetricByID("client_cpu").Of(r)
	assert.False(t, ok)
	assert.Nil(t, measure.MetricByID("no such"))
}

func TestJudge(t *testing.T) {
	var r measure.Run
	r.Judge(measure.Conditions{Cores: []float64{0.5, 0.949}})
	assert.Empty(t, r.Invalid)
	for range 100 {
		r.Late.Add(3 * ms)
	}
	r.Judge(measure.Conditions{})
	assert.Empty(t, r.Invalid)
	r.Late.Add(50 * ms)
	r.Late.Add(50 * ms)
	r.Judge(measure.Conditions{Cores: []float64{0.2, 0.99}, Emulator: "its queue was 20 ms behind"})
	require.Len(t, r.Invalid, 3)
	assert.Equal(t, "emulator: its queue was 20 ms behind", r.Invalid[0])
	assert.Contains(t, r.Invalid[1], "core 1 was saturated")
	assert.Contains(t, r.Invalid[2], "schedule")
}
