package link_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/compare/link"
)

const ms = time.Millisecond

// up returns the client's sending direction of a link with settings s.
func up(t *testing.T, seed uint64, s link.Settings) *link.Direction {
	t.Helper()
	l, err := link.New(link.Config{Seed: seed, Up: s})
	require.NoError(t, err)
	return l.Up
}

// offer sends n packets, one each gap, and returns their fates.
func offer(d *link.Direction, n int, gap time.Duration) []link.Fate {
	fates := make([]link.Fate, n)
	for i := range fates {
		fates[i] = d.Offer(time.Duration(i)*gap, link.Packet{Length: 100, UDP: true})
	}
	return fates
}

// lost returns the numbers of the packets that a cause took.
func lost(fates []link.Fate, c link.Cause) (numbers []int) {
	for i, f := range fates {
		if f.Cause == c {
			numbers = append(numbers, i)
		}
	}
	return numbers
}

// within holds a share of n trials against the chance of each: five standard
// deviations, which one test in two million exceeds.
func within(t *testing.T, chance float64, hits, n int, what string) {
	t.Helper()
	sd := math.Sqrt(chance * (1 - chance) / float64(n))
	assert.InDelta(t, chance, float64(hits)/float64(n), 5*sd, what)
}

func TestAPerfectLinkChangesNothing(t *testing.T) {
	for i, f := range offer(up(t, 1, link.Settings{}), 1000, ms) {
		require.Equal(t, link.Fate{At: time.Duration(i) * ms, Copies: 1}, f)
	}
}

func TestDelayIsExactWithoutJitter(t *testing.T) {
	l, err := link.New(link.Config{Up: link.Settings{Delay: 30 * ms}, Down: link.Settings{Delay: 70 * ms}})
	require.NoError(t, err)
	require.Equal(t, 35*ms, l.Up.Offer(5*ms, link.Packet{Length: 1}).At)
	require.Equal(t, 75*ms, l.Down.Offer(5*ms, link.Packet{Length: 1}).At, "each direction has its own")
}

// quantiles of each distribution in units of Jitter.
func TestJitterHasItsDistribution(t *testing.T) {
	const n, delay, jitter = 20_000, 100 * ms, 10 * ms
	for _, c := range []struct {
		distribution link.Distribution
		mean, sd     float64
		quantiles    map[float64]float64
	}{
		{link.Normal, 0, 1, map[float64]float64{0.05: -1.645, 0.25: -0.674, 0.5: 0, 0.75: 0.674, 0.95: 1.645}},
		{link.Uniform, 0, 1 / math.Sqrt(3), map[float64]float64{0.05: -0.9, 0.25: -0.5, 0.5: 0, 0.75: 0.5, 0.95: 0.9}},
		// Lomax of shape 3 and scale 2: 2·((1-q)^(-1/3) - 1).
		{link.Pareto, 1, math.Sqrt(3), map[float64]float64{0.05: 0.0345, 0.25: 0.2013, 0.5: 0.5198, 0.75: 1.1748, 0.95: 3.4288}},
	} {
		t.Run(c.distribution.String(), func(t *testing.T) {
			// A packet a second: none waits for the one before.
			fates := offer(up(t, 7, link.Settings{Delay: delay, Jitter: jitter, Distribution: c.distribution}), n, time.Second)
			spread := make([]float64, n)
			var sum, squares float64
			for i, f := range fates {
				x := float64(f.At-time.Duration(i)*time.Second-delay) / float64(jitter)
				spread[i] = x
				sum += x
				squares += x * x
			}
			mean := sum / n
			assert.InDelta(t, c.mean, mean, 5*c.sd/math.Sqrt(n), "mean")
			// The tails are cut off, which takes 1 % (normal) to 12 % (pareto) of it.
			assert.InEpsilon(t, c.sd, math.Sqrt(squares/n-mean*mean), 0.15, "standard deviation")
			slices.Sort(spread)
			for q, want := range c.quantiles {
				// The share of values below the true quantile is binomial.
				below, _ := slices.BinarySearch(spread, want)
				within(t, q, below, n, "quantile")
			}
			assert.GreaterOrEqual(t, spread[0], -3.0)
			assert.LessOrEqual(t, spread[n-1], 20.0)
		})
	}
}

func TestOrderHoldsUnlessAsked(t *testing.T) {
	s := link.Settings{Delay: 50 * ms, Jitter: 10 * ms, Distribution: link.Pareto, Hold: time.Nanosecond}
	fates := offer(up(t, 3, s), 50_000, 100*time.Microsecond)
	require.True(t, slices.IsSortedFunc(fates, func(a, b link.Fate) int { return int(a.At - b.At) }), "jitter of every packet reorders none")

	s.Reorder, s.ReorderDelay = 0.02, 5*ms
	d := up(t, 3, s)
	fates = offer(d, 50_000, 100*time.Microsecond)
	overtaken := 0
	for i := 1; i < len(fates); i++ {
		if fates[i].At < fates[i-1].At {
			overtaken++
		}
	}
	held := d.Counters().Reordered
	within(t, 0.02, int(held), len(fates), "share held back")
	// Two in a row are overtaken only once.
	require.InEpsilon(t, float64(held)*0.98, overtaken, 0.15)
}

// A transport that sends more packets must not get a longer delay by that.
func TestJitterHangsOnTimeAndNotOnPackets(t *testing.T) {
	mean := func(gap time.Duration) float64 {
		const span = 200 * time.Second
		fates := offer(up(t, 5, link.Settings{Delay: 50 * ms, Jitter: 5 * ms}), int(span/gap), gap)
		var sum time.Duration
		for i, f := range fates {
			sum += f.At - time.Duration(i)*gap
		}
		return float64(sum) / float64(len(fates)) / float64(ms)
	}
	slow, fast := mean(20*ms), mean(200*time.Microsecond)
	require.InDelta(t, slow, fast, 0.5, "a hundred times the packets")
	// 5000 stretches of 40 ms: standard error 0.07 ms; waiting adds Jitter/16 at most.
	require.InDelta(t, 50, fast, 0.07*5+5.0/16)
}

func TestLossHasItsShareAndNoMemory(t *testing.T) {
	const n, chance = 200_000, 0.03
	numbers := lost(offer(up(t, 11, link.Settings{Loss: chance}), n, ms), link.Lost)
	within(t, chance, len(numbers), n, "share")
	pairs := 0
	for i := 1; i < len(numbers); i++ {
		if numbers[i] == numbers[i-1]+1 {
			pairs++
		}
	}
	within(t, chance, pairs, len(numbers), "lost right after another")
}

func TestBurstsHaveTheirLengthAndShare(t *testing.T) {
	const n = 400_000
	b := link.Burst{P: 0.005, R: 0.2}
	numbers := lost(offer(up(t, 13, link.Settings{Burst: b}), n, ms), link.LostInBurst)
	bursts := 0
	for i, number := range numbers {
		if i == 0 || number != numbers[i-1]+1 {
			bursts++
		}
	}
	// 1950 bursts of geometric length, mean 5, standard deviation 4.5: standard error 0.1.
	assert.InDelta(t, 1/b.R, float64(len(numbers))/float64(bursts), 0.5, "mean length")
	assert.InEpsilon(t, b.Mean(), float64(len(numbers))/n, 0.15, "share")
	assert.InDelta(t, 0.005/0.205, b.Mean(), 1e-9)

	part := link.Burst{P: 0.02, R: 0.1, Good: 0.01, Bad: 0.5}
	numbers = lost(offer(up(t, 13, link.Settings{Burst: part}), n, ms), link.LostInBurst)
	assert.InEpsilon(t, part.Mean(), float64(len(numbers))/n, 0.05, "a loss in each state")
}

func TestDuplicates(t *testing.T) {
	const n = 100_000
	d := up(t, 17, link.Settings{Duplicate: 0.01})
	twice := 0
	for _, f := range offer(d, n, ms) {
		if f.Copies == 2 {
			twice++
		}
	}
	within(t, 0.01, twice, n, "share")
	require.EqualValues(t, twice, d.Counters().Duplicated)
}

func TestRateAndQueue(t *testing.T) {
	// 8 Mbit/s are a byte each microsecond.
	const rate, queue, length = 8_000_000, 20_000, 1000
	d := up(t, 1, link.Settings{Rate: rate, Queue: queue, Delay: 10 * ms})
	var arrived []time.Duration
	for i := range 20_000 { // twice the rate, for ten seconds
		if f := d.Offer(time.Duration(i)*ms/2, link.Packet{Length: length}); f.Copies == 1 {
			arrived = append(arrived, f.At)
		} else {
			require.Equal(t, link.QueueFull, f.Cause)
		}
	}
	for i := 1; i < len(arrived); i++ {
		require.Equal(t, ms, arrived[i]-arrived[i-1], "one packet each millisecond")
	}
	require.InDelta(t, 10_020, len(arrived), 2, "what the rate takes in ten seconds, and a full queue")
	require.Equal(t, 20*ms, d.Counters().LongestQueue, "a full queue is a delay: its bytes by the rate")

	// An idle bottleneck takes a packet larger than the queue.
	d = up(t, 1, link.Settings{Rate: rate, Queue: 1500})
	require.Equal(t, 9*ms, d.Offer(0, link.Packet{Length: 9000}).At)
	require.Equal(t, link.QueueFull, d.Offer(ms, link.Packet{Length: 100}).Cause)
	require.Equal(t, 10*ms, d.Offer(9*ms, link.Packet{Length: 1000}).At)

	require.Equal(t, 100_000, link.Settings{Rate: rate}.QueueBytes(), "100 ms")
	require.Equal(t, 15_000, link.Settings{Rate: 100_000}.QueueBytes(), "and ten packets at least")
	require.Zero(t, link.Settings{}.QueueBytes())
}

func TestBlackout(t *testing.T) {
	l, err := link.New(link.Config{
		Up:        link.Settings{Delay: 100 * ms},
		Blackouts: []link.Blackout{{At: 10 * ms, For: 5 * ms}, {At: 100 * ms, For: 2 * ms, Every: 50 * ms}},
	})
	require.NoError(t, err)
	var dark []int
	for i := range 205 {
		f := l.Up.Offer(time.Duration(i)*ms, link.Packet{Length: 1})
		if f.Cause == link.Dark {
			dark = append(dark, i)
		}
	}
	require.Equal(t, []int{10, 11, 12, 13, 14, 100, 101, 150, 151, 200, 201}, dark)

	// The end of the queue counts: a packet takes 10 ms through the bottleneck.
	l, err = link.New(link.Config{Up: link.Settings{Rate: 800_000}, Blackouts: []link.Blackout{{At: 15 * ms, For: 10 * ms}}})
	require.NoError(t, err)
	for i, want := range []link.Cause{link.Delivered, link.Dark, link.Delivered} {
		require.Equal(t, want, l.Up.Offer(0, link.Packet{Length: 1000}).Cause, i)
	}
}

func TestBlockUDP(t *testing.T) {
	l, err := link.New(link.Config{BlockUDP: true})
	require.NoError(t, err)
	for _, d := range []*link.Direction{l.Up, l.Down} {
		require.Equal(t, link.Fate{Cause: link.Blocked}, d.Offer(0, link.Packet{Length: 100, UDP: true}))
		require.Equal(t, link.Fate{Copies: 1}, d.Offer(0, link.Packet{Length: 100}))
	}
}

func TestTheSeedAloneDecides(t *testing.T) {
	const n = 20_000
	s := link.Settings{Loss: 0.02, Burst: link.Burst{P: 0.002, R: 0.3}}
	of := func(seed uint64, s link.Settings, gap time.Duration) [2][]int {
		fates := offer(up(t, seed, s), n, gap)
		return [2][]int{lost(fates, link.Lost), lost(fates, link.LostInBurst)}
	}
	first := of(1, s, ms)
	require.Equal(t, first, of(1, s, ms))
	require.NotEqual(t, first, of(2, s, ms), "another seed, another fate")
	require.Equal(t, first, of(1, s, 3*ms), "whenever packets are sent")

	more := s
	more.Delay, more.Jitter, more.Distribution = 40*ms, 10*ms, link.Uniform
	more.Duplicate, more.Reorder, more.ReorderDelay = 0.1, 0.1, ms
	more.Rate = 1_000_000_000
	require.Equal(t, first, of(1, more, ms), "no setting shifts another")
	alone := of(1, link.Settings{Loss: 0.02}, ms)
	require.Subset(t, alone[0], first[0])
	require.Equal(t, first[0], alone[0], "Loss takes the same packets without bursts")

	l, err := link.New(link.Config{Seed: 1, Up: s, Down: s})
	require.NoError(t, err)
	down := offer(l.Down, n, ms)
	require.NotEqual(t, first[0], lost(down, link.Lost), "the directions are independent")
	require.Equal(t, first[0], lost(offer(l.Up, n, ms), link.Lost), "and do not disturb each other")
}

// Each purpose draws for itself: chances multiply.
func TestPurposesAreIndependent(t *testing.T) {
	const n = 50_000
	fates := offer(up(t, 1, link.Settings{Loss: 0.3, Burst: link.Burst{P: 1, R: 1e-9, Bad: 0.3}}), n, ms)
	within(t, 0.3, len(lost(fates, link.Lost)), n, "lost")
	within(t, 0.7*0.3, len(lost(fates, link.LostInBurst)), n, "lost in a burst")

	fates = offer(up(t, 1, link.Settings{Reorder: 0.3, ReorderDelay: ms / 2, Duplicate: 0.3, Loss: 0.3}), n, ms)
	both := 0
	for i, f := range fates {
		if f.Copies == 2 && f.At > time.Duration(i)*ms {
			both++
		}
	}
	within(t, 0.7*0.3*0.3, both, n, "held back and doubled")
}

func TestCountersAddUp(t *testing.T) {
	l, err := link.New(link.Config{
		Up:        link.Settings{Loss: 0.1, Burst: link.Burst{P: 0.1, R: 0.5}, Rate: 80_000_000, Queue: 2000},
		Blackouts: []link.Blackout{{At: 0, For: 100 * ms}},
	})
	require.NoError(t, err)
	const n = 10_000
	arrived := 0
	for i := range n {
		arrived += l.Up.Offer(time.Duration(i)*90*time.Microsecond, link.Packet{Length: 1000}).Copies
	}
	c := l.Up.Counters()
	require.EqualValues(t, n, c.Packets)
	require.EqualValues(t, n*1000, c.Bytes)
	var sum uint64
	for cause, count := range c.Fates {
		sum += count
		if link.Cause(cause) != link.Blocked {
			require.NotZero(t, count, "%v", link.Cause(cause))
		}
	}
	require.Equal(t, c.Packets, sum)
	require.EqualValues(t, arrived, c.Fates[link.Delivered])
	require.EqualValues(t, n-arrived, c.Dropped())
}

func TestFlightKeepsOrder(t *testing.T) {
	var f link.Flight[int]
	_, ok := f.Next()
	require.False(t, ok)
	times := []time.Duration{5, 1, 3, 1, 9, 3, 3, 0}
	for i, at := range times {
		f.Push(at, i)
	}
	require.Equal(t, len(times), f.Len())
	var order []int
	for f.Len() > 0 {
		next, _ := f.Next()
		at, i := f.Pop()
		require.Equal(t, next, at)
		order = append(order, i)
	}
	require.Equal(t, []int{7, 1, 3, 2, 5, 6, 0, 4}, order)
}

func TestNothingIsAllocated(t *testing.T) {
	d := up(t, 1, link.Settings{Delay: 50 * ms, Jitter: 5 * ms, Loss: 0.01, Burst: link.Burst{P: 0.01, R: 0.5}, Rate: 100_000_000, Duplicate: 0.01})
	var f link.Flight[int]
	now := time.Duration(0)
	send := func() {
		now += ms
		if fate := d.Offer(now, link.Packet{Length: 200}); fate.Copies > 0 {
			f.Push(fate.At, 1)
		}
		for at, ok := f.Next(); ok && at <= now; at, ok = f.Next() {
			f.Pop()
		}
	}
	for range 1000 {
		send()
	}
	require.Zero(t, testing.AllocsPerRun(1000, send))
}

func BenchmarkOffer(b *testing.B) {
	l, err := link.New(link.Config{Up: link.Settings{Delay: 50 * ms, Jitter: 5 * ms, Loss: 0.01, Burst: link.Burst{P: 0.01, R: 0.5}, Rate: 100_000_000}})
	require.NoError(b, err)
	b.Run("payload=200B/batch=1", func(b *testing.B) {
		b.ReportAllocs()
		var f link.Flight[int]
		now := time.Duration(0)
		for b.Loop() {
			now += 100 * time.Microsecond
			if fate := l.Up.Offer(now, link.Packet{Length: 200}); fate.Copies > 0 {
				f.Push(fate.At, 1)
			}
			for at, ok := f.Next(); ok && at <= now; at, ok = f.Next() {
				f.Pop()
			}
		}
	})
}
