package report_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"

	"strait/compare/measure"
	"strait/compare/report"
)

// truth draws what a transport's next run has.
type truth func(*rand.Rand) figures

// scattered is f with a scatter of so many parts of it, and in one of so many runs a stall
// of up to a second in what players feel; 0 is never.
func scattered(f figures, scatter float64, stall int) truth {
	return func(random *rand.Rand) figures {
		part := func(v float64) float64 { return v * max(1+scatter*random.NormFloat64(), 0.05) }
		out := figures{part(f.age), part(f.event), part(f.input), part(f.wire), part(f.cpu)}
		if stall > 0 && random.IntN(stall) == 0 {
			late := 200 + 800*random.Float64()
			out.age, out.event, out.input = out.age+late, out.event+late, out.input+late
		}
		return out
	}
}

// skipUnderRace leaves out what is arithmetic by the million, in one goroutine.
func skipUnderRace(t *testing.T) {
	t.Helper()
	if race {
		t.Skip("nothing here runs beside anything else; without the race detector it does")
	}
}

// drawn is the report of so many repetitions of what is true, under a seed.
func drawn(t *testing.T, seed uint64, repetitions int, truths ...truth) *report.Report {
	t.Helper()
	var all [][]*measure.Run
	for i, truth := range truths {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		var runs []*measure.Run
		for rep := range repetitions {
			runs = append(runs, exact(string(rune('a'+i)), rep, truth(random)))
		}
		all = append(all, runs)
	}
	return judged(t, all...)
}

// reports is how many reports a test makes, and few a twentieth of them: what may be wrong
// at 95 % confidence.
const (
	reports = 40
	few     = reports / 20
	more    = 100 // where luck has a share: of five runs, one in two of which stalls, none may
)

// Of transports that are all the same, no more verdicts than the confidence allows say that
// any is worse than another, all criteria together.
func TestTheSameIsNotToldApart(t *testing.T) {
	skipUnderRace(t)
	for name, c := range map[string]struct {
		transports, repetitions int
		of                      truth
	}{
		"two, five repetitions":  {2, 5, scattered(base, 0.25, 0)},
		"two, three repetitions": {2, 3, scattered(base, 0.25, 0)},
		"two, ten repetitions":   {2, 10, scattered(base, 0.25, 0)},
		"five, five repetitions": {5, 5, scattered(base, 0.25, 0)},
		"five, where runs stall": {5, 5, scattered(base, 0.1, 4)},
	} {
		t.Run(name, func(t *testing.T) {
			truths := make([]truth, c.transports)
			for i := range truths {
				truths[i] = c.of
			}
			wrong, overall := 0, 0
			for seed := range uint64(reports) {
				r := drawn(t, seed, c.repetitions, truths...)
				for _, s := range r.Verdicts[0].Steps {
					if len(s.Worse) > 0 {
						wrong++
						break
					}
				}
				if len(r.Overall.Leaders) == 1 {
					overall++
				}
			}
			assert.LessOrEqual(t, wrong, few, "verdicts that tell apart what is the same")
			assert.LessOrEqual(t, overall, few, "recommendations of one that is no better")
		})
	}
}

// A transport that stalls now and then is not recommended for its price, because the runs
// scatter too much to prove that it is worse; and no report names another winner than one
// with other seeds.
func TestWinnersHoldWithOtherSeeds(t *testing.T) {
	skipUnderRace(t)
	good := scattered(base, 0.05, 0)
	for name, c := range map[string]struct {
		repetitions int
		truths      []truth
		wrong       string // must not be recommended
	}{
		"cheaper and stalls": {5, []truth{good, scattered(with(func(f *figures) { f.cpu, f.wire = 5, 1.2 }), 0.05, 2)}, "b"},
		"alike, in noise":    {5, []truth{scattered(base, 0.3, 0), scattered(with(func(f *figures) { f.cpu = 11 }), 0.3, 0)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			wrong, contradicted, named := 0, 0, make(map[string]int)
			last := ""
			for seed := range uint64(more) {
				leaders := drawn(t, seed, c.repetitions, c.truths...).Verdicts[0].Leaders
				now := ""
				if len(leaders) == 1 {
					now = leaders[0]
					named[now]++
				}
				if now == c.wrong && now != "" {
					wrong++
				}
				if seed%2 == 1 && now != "" && last != "" && now != last {
					contradicted++
				}
				last = now
			}
			assert.LessOrEqual(t, wrong, more/20, "%v", named)
			assert.LessOrEqual(t, contradicted, more/40, "pairs of reports that name different winners: %v", named)
		})
	}
}

// What is clearly worse is told apart with the default's five repetitions, and what stalls
// now and then with more.
func TestTheWorseIsToldApart(t *testing.T) {
	skipUnderRace(t)
	good := scattered(base, 0.03, 0)
	for name, c := range map[string]struct {
		repetitions int
		truths      []truth
	}{
		"half as much again":      {5, []truth{good, scattered(with(func(f *figures) { f.age = 90 }), 0.03, 0), scattered(with(func(f *figures) { f.age = 120 }), 0.03, 0)}},
		"the same for more bytes": {5, []truth{scattered(base, 0.01, 0), scattered(with(func(f *figures) { f.wire = 1.8 }), 0.01, 0)}},
		"stalls, many runs":       {16, []truth{good, scattered(with(func(f *figures) { f.age = 75 }), 0.05, 3)}},
	} {
		t.Run(name, func(t *testing.T) {
			right := 0
			for seed := range uint64(reports) {
				leaders := drawn(t, seed, c.repetitions, c.truths...).Verdicts[0].Leaders
				if len(leaders) == 1 && leaders[0] == "a" {
					right++
				}
			}
			assert.GreaterOrEqual(t, right, reports-few)
		})
	}
}
