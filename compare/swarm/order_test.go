package swarm

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOrderJudgesSequences(t *testing.T) {
	const (
		f = fresh
		d = disordered
		x = duplicated
		o = forgotten
	)
	for name, c := range map[string]struct {
		seqs []uint32
		want []verdict
	}{
		"in order":                     {[]uint32{0, 1, 2}, []verdict{f, f, f}},
		"the first is lost":            {[]uint32{5, 6}, []verdict{f, f}},
		"a gap that stays":             {[]uint32{0, 3, 4}, []verdict{f, f, f}},
		"swapped":                      {[]uint32{1, 0, 2}, []verdict{f, d, f}},
		"twice in a row":               {[]uint32{0, 0, 1}, []verdict{f, x, f}},
		"twice, late":                  {[]uint32{0, 1, 2, 0}, []verdict{f, f, f, x}},
		"late and then again":          {[]uint32{2, 1, 1, 0, 0}, []verdict{f, d, x, d, x}},
		"the last that is remembered":  {[]uint32{window, 0 + 1, 1}, []verdict{f, d, x}},
		"one before that":              {[]uint32{window + 1, 1}, []verdict{f, o}},
		"a jump forgets what was":      {[]uint32{0, 1, 2, 3 * window, 3*window - 1, 2}, []verdict{f, f, f, f, d, o}},
		"a jump over its own bit":      {[]uint32{7, 7 + window, 7 + window/2, 7 + window}, []verdict{f, f, d, x}},
		"a jump of exactly the window": {[]uint32{0, window, 1, window}, []verdict{f, f, d, x}},
		"the highest there is":         {[]uint32{1<<32 - 2, 1<<32 - 3, 1<<32 - 2}, []verdict{f, d, x}},
	} {
		var got []verdict
		var order order
		for _, s := range c.seqs {
			got = append(got, order.see(s))
		}
		assert.Equal(t, c.want, got, name)
	}
}

// Within the window the verdicts are those of a set that remembers everything.
func TestOrderAgreesWithASet(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var order order
		seen := map[uint32]bool{}
		highest := uint32(0)
		for i := range 5000 {
			s := uint32(max(i*3/4-random.IntN(window/2), 0))
			want := fresh
			switch {
			case seen[s]:
				want = duplicated
			case len(seen) > 0 && s < highest:
				want = disordered
			}
			require.Equal(t, want, order.see(s), "%d after %d", s, highest)
			seen[s], highest = true, max(highest, s)
		}
	}
}
