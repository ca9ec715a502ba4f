package grid

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/compare/grid/contender"
	"strait/compare/link"
	"strait/compare/measure"
	"strait/compare/scenario"
)

func TestOutagesOfARun(t *testing.T) {
	const s = int64(time.Second)
	with := func(c link.Config) Network { return Network{Scenario: scenario.Scenario{Link: c}} }
	for want, c := range map[*[]measure.Span]link.Config{
		{}: {Blackouts: []link.Blackout{{At: 20 * time.Second, For: time.Second}}},
		{{Name: "blackout", From: 9 * s, To: 10 * s}}:   {Blackouts: []link.Blackout{{At: 9 * time.Second, For: 5 * time.Second}}},
		{{Name: "new address", From: 3 * s, To: 3 * s}}: {AddressChanges: []time.Duration{3 * time.Second}},
		{{Name: "handover", From: 5 * s, To: 6 * s}}:    {Blackouts: []link.Blackout{{At: 5 * time.Second, For: time.Second}}, AddressChanges: []time.Duration{6 * time.Second}},
		{{Name: "new address", From: 1 * s, To: 1 * s}, {Name: "blackout", From: 4 * s, To: 5 * s}, {Name: "blackout", From: 8 * s, To: 9 * s}}: {
			Blackouts: []link.Blackout{{At: 4 * time.Second, For: time.Second, Every: 4 * time.Second}}, AddressChanges: []time.Duration{time.Second},
		},
	} {
		assert.ElementsMatch(t, *want, outages(with(c), 10*time.Second))
	}
}

// Transports of one repetition meet the same losses; repetitions and scenarios do not.
func TestSeeds(t *testing.T) {
	c := &Config{Seed: 7, Repetitions: 2, Scenarios: []Network{{Scenario: scenario.Scenario{Name: "a"}}, {Scenario: scenario.Scenario{Name: "b"}}}, Transports: contender.All()[:3]}
	seeds := make(map[uint64]map[string]bool)
	first := make(map[string]int)
	for i, one := range c.cells() {
		if seeds[one.seed()] == nil {
			seeds[one.seed()] = make(map[string]bool)
		}
		seeds[one.seed()][one.transport.Name] = true
		if i%3 == 0 {
			first[one.transport.Name]++
		}
	}
	require.Len(t, seeds, 4)
	for _, who := range seeds {
		assert.Len(t, who, 3)
	}
	assert.Len(t, first, 3, "they begin in turn")
	before := c.cells()[0].seed()
	c.Seed++
	assert.NotEqual(t, before, c.cells()[0].seed())
}

func TestCores(t *testing.T) {
	before := parseCores([]byte("cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 0 50 800 50 0 0 0 0 0\ncpu1 0 0 0 1000 0 0 0 0 0 0\nintr 5\n"))
	after := parseCores([]byte("cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 140 5 50 800 100 5 0 0 0 0\ncpu1 0 0 0 1010 0 0 0 90 0 0\n"))
	assert.Equal(t, []float64{0.5, 0.9}, before.until(after), "waiting for a disk is idle, stolen is not")
	assert.Nil(t, before.until(after[:1]))
	assert.Nil(t, parseCores([]byte("cpu0 a 0 0 0 0 0 0 0\n")))
	assert.Empty(t, before.until(before))
}

func TestLines(t *testing.T) {
	l := lines{whole: make(chan []byte, 2)}
	for _, part := range []string{"{\"a\"", ":1}\n{", "}\nrest"} {
		n, err := l.Write([]byte(part))
		require.NoError(t, err)
		require.Equal(t, len(part), n)
	}
	assert.Equal(t, `{"a":1}`, string(<-l.whole))
	assert.Equal(t, `{}`, string(<-l.whole))
	for range 2 {
		_, err := l.Write([]byte("x\n"))
		require.NoError(t, err)
	}
	_, err := l.Write([]byte("x\n"))
	require.ErrorContains(t, err, "more than")
}

func TestTailKeepsTheEnd(t *testing.T) {
	var out tail
	for range 3000 {
		_, err := out.Write([]byte("ab"))
		require.NoError(t, err)
	}
	assert.Len(t, out.String(), tailBytes)
}

// Every scenario of the catalogue says who meets it.
func TestPlayersOfTheCatalogue(t *testing.T) {
	for _, s := range scenario.All() {
		assert.NotEmpty(t, players[s.Name], s.Name)
		d := describe(Network{Scenario: s}, time.Minute)
		assert.NotEmpty(t, d.Description)
		assert.NotEmpty(t, d.Parameters)
	}
	assert.Len(t, players, len(scenario.All()), "and no other")
}

// Repeating takes no longer than it may, and evens out what counts.
func TestRepeatsAreBounded(t *testing.T) {
	var networks []Network
	for _, name := range []string{"4g", "wifi-bad"} {
		n, err := scenario.Lookup(name)
		require.NoError(t, err)
		networks = append(networks, Network{Scenario: n})
	}
	c := Config{Scenarios: networks, Transports: contender.All()[:4], Repetitions: 20, Parallel: 8}.withDefaults()
	require.Equal(t, c.Lasts()/3, c.repeats())
	s := &schedule{config: c}
	s.add(c.cells())
	// Half of all are spoiled, of tcp in 4g all.
	for i, one := range s.waiting {
		s.done++
		r := one.run()
		if i%2 == 0 || one.transport.Name == "tcp" && one.network.Name == "4g" {
			r.Invalid = []string{"a core was saturated"}
			s.spoiled, s.why = append(s.spoiled, one), append(s.why, r)
		} else {
			s.runs = append(s.runs, r)
		}
	}
	s.waiting = nil
	spoiled := len(s.spoiled)
	s.again()
	var work time.Duration
	first := 0
	for i, one := range s.waiting {
		work += c.lasts(one.network)
		if one.transport.Name == "tcp" && one.network.Name == "4g" && i < 8 {
			first++
		}
	}
	assert.LessOrEqual(t, work/few, c.repeats())
	assert.Greater(t, (work+c.lasts(networks[0]))/few, c.repeats(), "no time is left for another")
	assert.Equal(t, 8, first, "those of which none count come first")
	assert.Equal(t, spoiled, len(s.waiting)+len(s.why))
	assert.Equal(t, len(s.waiting), s.repeated)
	for _, r := range s.why {
		assert.Equal(t, []string{"a core was saturated"}, r.Invalid, "what is not repeated stays listed")
	}
	s.waiting = nil
	notes := strings.Join(s.notes(), "\n")
	assert.Contains(t, notes, "more were spoiled and not repeated")

	// All of a short comparison are repeated.
	c.Repetitions = 1
	s = &schedule{config: c}
	s.add(c.cells())
	for _, one := range s.waiting {
		s.spoiled, s.why = append(s.spoiled, one), append(s.why, one.run())
	}
	s.waiting = nil
	s.again()
	assert.Len(t, s.waiting, 8)
	assert.Empty(t, s.why)
	assert.Zero(t, s.unrepeated)
}
