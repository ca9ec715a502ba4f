//go:build linux

package load

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTimetableOffersTheRateEvenly(t *testing.T) {
	const clients, rate = 10, 1000.0
	tab := newTimetable(5000, clients, rate, 1)
	last := map[int]int64{}
	before := int64(5000)
	for n := range 3 * clients {
		i, at := tab.next()
		tab.advance()
		require.GreaterOrEqual(t, at, before, "in order")
		before = at
		if n >= clients {
			require.InDelta(t, 10*time.Millisecond, at-last[i], 1, "each client's own interval")
		}
		last[i] = at
	}
	require.Len(t, last, clients)
	assert.Less(t, before, int64(5000+30*time.Millisecond))
}

func TestTimetableFollowsItsSeed(t *testing.T) {
	first := func(seed uint64) (out []int64) {
		tab := newTimetable(0, 5, 100, seed)
		for range 10 {
			_, at := tab.next()
			out = append(out, at)
			tab.advance()
		}
		return out
	}
	assert.Equal(t, first(3), first(3))
	assert.NotEqual(t, first(3), first(4))
}

// counter is a Meter.
type counter struct{ begun, ended int }

func (c *counter) Begin() error { c.begun++; return nil }
func (c *counter) End() error   { c.ended++; return nil }

func TestWindowCountsItsOwnTime(t *testing.T) {
	const ms = int64(time.Millisecond)
	m := &counter{}
	w := newWindow(0, Stretch{Warmup: 100 * time.Millisecond, Measure: time.Second, Meter: m})
	turn := func(now int64) { require.NoError(t, w.turn(now)) }

	turn(0)
	require.Equal(t, 100*ms, w.next())
	w.echoed(50*ms, 60*ms) // before
	turn(105 * ms)         // late
	require.Equal(t, counter{begun: 1}, *m)
	require.Equal(t, 1100*ms, w.next())
	w.echoed(90*ms, 110*ms)  // left before: an echo of this time, but no latency of it
	w.echoed(200*ms, 500*ms) // all within
	turn(600 * ms)
	turn(1107 * ms)
	turn(1200 * ms)
	require.Equal(t, counter{begun: 1, ended: 1}, *m)
	w.echoed(1000*ms, 1900*ms) // came back late: no echo of this time, but a latency
	w.echoed(1100*ms, 1900*ms) // after

	assert.EqualValues(t, 2, w.out.Echoes)
	assert.Equal(t, 1002*time.Millisecond, w.out.Elapsed)
	assert.InDelta(t, 2/1.002, w.out.PerSecond(), 1e-9)
	require.EqualValues(t, 2, w.out.Latency.TotalCount())
	assert.InDelta(t, 300*ms, w.out.Latency.Min(), float64(ms))
	assert.InDelta(t, 900*ms, w.out.Latency.Max(), float64(ms))
}

func TestUnansweredIsAnError(t *testing.T) {
	m := &Measured{Echoes: 1, Latency: newLatency()}
	require.ErrorIs(t, m.complete(), ErrStuck, "no latency")
	require.NoError(t, m.Latency.RecordValue(1000))
	require.NoError(t, m.complete())
	m.Unanswered = 1
	require.ErrorIs(t, m.complete(), ErrStuck)
}

// A time in which nothing came back goes on until something has, or for patience.
func TestWindowWaitsForAFigure(t *testing.T) {
	const ms = int64(time.Millisecond)
	w := newWindow(0, Stretch{Measure: 100 * time.Millisecond})
	turn := func(now int64) { require.NoError(t, w.turn(now)) }
	turn(0)
	turn(150 * ms)
	require.False(t, w.ended)
	require.Equal(t, 151*ms, w.next(), "not in the past")
	w.echoed(120*ms, 160*ms)
	turn(160 * ms)
	require.True(t, w.ended)
	require.Equal(t, 160*time.Millisecond, w.out.Elapsed)
	require.NoError(t, w.out.complete())

	w = newWindow(0, Stretch{Measure: 100 * time.Millisecond})
	turn(0)
	turn(100*ms + int64(patience))
	require.True(t, w.ended)
	require.ErrorIs(t, w.out.complete(), ErrStuck)
}
