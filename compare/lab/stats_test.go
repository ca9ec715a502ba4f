package lab

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLatenessQuantiles(t *testing.T) {
	for d := time.Duration(0); d < 1<<20; d += d/50 + 1 {
		i := lateBucket(d)
		require.Less(t, d, lateBound(i))
		require.LessOrEqual(t, float64(lateBound(i)), float64(d)*1.125+1)
		if i > 0 {
			require.GreaterOrEqual(t, d, lateBound(i-1))
		}
	}
	require.Zero(t, lateBucket(-time.Second))
	require.Equal(t, lateBuckets-1, lateBucket(1<<62))

	var l lateness
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]time.Duration, 10_000)
	for i := range all {
		all[i] = time.Duration(r.ExpFloat64() * float64(50*time.Microsecond))
		l.add(all[i])
	}
	slices.Sort(all)
	s := l.snapshot()
	require.EqualValues(t, len(all), s.Count)
	require.Equal(t, all[len(all)-1], s.Max)
	for _, q := range []float64{0.1, 0.5, 0.99, 0.999} {
		exact := float64(all[int(q*float64(len(all)))])
		require.InEpsilon(t, exact, float64(s.Quantile(q)), 0.14)
	}
	require.Equal(t, s.Max, s.Quantile(1))
	require.Zero(t, new(Lateness).Quantile(0.99))
}

func TestInvalidSaysWhy(t *testing.T) {
	var late lateness
	for range 98 {
		late.add(time.Microsecond)
	}
	require.Empty(t, Stats{Late: late.snapshot()}.Invalid())
	late.add(3 * time.Millisecond)
	late.add(3 * time.Millisecond)
	for want, s := range map[string]Stats{
		"left the emulator 3ms late or more, at most 2ms":      {Late: late.snapshot()},
		"used 90 % of a core, at most 80 %":                    {For: 10 * time.Second, CPU: 9 * time.Second},
		"1 packets did not fit into the emulator's memory":     {Overflow: 1},
		"2 packets were dropped before the emulator read them": {Missed: 2},
		"3 packets were refused by the kernel":                 {Refused: 3},
	} {
		got := s.Invalid()
		require.Len(t, got, 1)
		require.Contains(t, got[0], want)
	}
}
