package lab_test

import (
	"encoding/binary"
	"math"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/compare/lab"
	"strait/compare/link"
)

// headers are those of IPv4 and UDP, which count for rate and queue.
const headers = 28

// arrival is one copy of a probe.
type arrival struct {
	number int
	delay  time.Duration
	at     time.Time
}

// probe sends n packets from one side, one each gap, and returns what arrives, in that
// order, until nothing has for a while.
func probe(t testing.TB, l *lab.Lab, from lab.Side, n int, gap time.Duration, payload int) []arrival {
	t.Helper()
	to := lab.Gateway
	if from == lab.Gateway {
		to = lab.Client
	}
	in, at := listen(t, l, to, l.Addrs(to).V4)
	require.NoError(t, in.SetReadBuffer(8<<20))
	out := dial(t, l, from, at)
	sent := make([]time.Time, n)
	var sending sync.WaitGroup
	sending.Go(func() {
		b := make([]byte, payload)
		next := time.Now()
		for i := range sent {
			time.Sleep(time.Until(next))
			binary.BigEndian.PutUint32(b, uint32(i))
			sent[i] = time.Now()
			_, _ = out.Write(b) // what the socket does not take shows as lost
			next = next.Add(gap)
		}
	})
	var got []arrival
	b := make([]byte, 2000)
	for {
		require.NoError(t, in.SetReadDeadline(time.Now().Add(time.Second)))
		_, err := in.Read(b)
		if err != nil {
			break
		}
		got = append(got, arrival{number: int(binary.BigEndian.Uint32(b)), at: time.Now()})
	}
	sending.Wait()
	for i := range got {
		got[i].delay = got[i].at.Sub(sent[got[i].number])
	}
	return got
}

func delays(got []arrival) []time.Duration {
	out := make([]time.Duration, len(got))
	for i, a := range got {
		out[i] = a.delay
	}
	slices.Sort(out)
	return out
}

func numbers(got []arrival) []int {
	out := make([]int, len(got))
	for i, a := range got {
		out[i] = a.number
	}
	return out
}

// healthy requires that the emulator did its part, and reports what it cost.
func healthy(t testing.TB, l *lab.Lab) lab.Stats {
	t.Helper()
	s, err := l.Stats()
	require.NoError(t, err)
	require.Empty(t, s.Invalid())
	t.Logf("%.0f packets a second, %v of CPU each; late by %v p50, %v p99, %v at most; real time %v",
		float64(s.Up.Packets+s.Down.Packets)/s.For.Seconds(), s.CPUPerPacket(), s.Late.Quantile(0.5), s.Late.Quantile(0.99), s.Late.Max, s.Realtime)
	return s
}

func TestMeasuredDelay(t *testing.T) { measured(t, testMeasuredDelay) }

func testMeasuredDelay(t testing.TB) {
	l := newLab(t, lab.Config{Link: link.Config{Up: link.Settings{Delay: 20 * ms}, Down: link.Settings{Delay: 45 * ms}}})
	for side, want := range map[lab.Side]time.Duration{lab.Client: 20 * ms, lab.Gateway: 45 * ms} {
		got := probe(t, l, side, 500, 2*ms, 100)
		require.Len(t, got, 500)
		d := delays(got)
		assert.GreaterOrEqual(t, d[0], want, "%v", side)
		assert.InDelta(t, float64(want), float64(d[len(d)/2]), float64(ms), "%v: median", side)
		assert.InDelta(t, float64(want), float64(d[len(d)*9/10]), float64(3*ms), "%v: 90th percentile", side)
	}
	healthy(t, l)
}

func TestMeasuredJitter(t *testing.T) { measured(t, testMeasuredJitter) }

func testMeasuredJitter(t testing.TB) {
	const delay, jitter = 30 * ms, 4 * ms
	// Each packet has a value of its own, and comes after the longest delay of the one
	// before.
	l := newLab(t, lab.Config{Link: link.Config{Seed: 5, Up: link.Settings{Delay: delay, Jitter: jitter, Distribution: link.Uniform, Hold: 8 * ms}}})
	got := probe(t, l, lab.Client, 400, 8*ms, 100)
	require.Len(t, got, 400)
	require.IsIncreasing(t, numbers(got), "no reordering")
	d := delays(got)
	for _, q := range []float64{0.1, 0.25, 0.5, 0.75, 0.9} {
		want := float64(delay) + (2*q-1)*float64(jitter)
		sd := math.Sqrt(q*(1-q)/400) * 2 * float64(jitter)
		assert.InDelta(t, want, float64(d[int(q*400)]), 4*sd+float64(ms)/2, "quantile %v", q)
	}
	assert.GreaterOrEqual(t, d[0], delay-jitter)
	healthy(t, l)
}

// The packets that the core says are lost, and no others.
func TestMeasuredLossAndBursts(t *testing.T) { measured(t, testMeasuredLossAndBursts) }

func testMeasuredLossAndBursts(t testing.TB) {
	const n = 4000
	c := link.Config{Seed: 9, Up: link.Settings{Delay: 5 * ms, Loss: 0.02, Burst: link.Burst{P: 0.01, R: 0.25}, Duplicate: 0.01}}
	core, err := link.New(c)
	require.NoError(t, err)
	var want []int
	bursts, inBursts, last := 0, 0, link.Delivered
	for i := range n {
		f := core.Up.Offer(time.Duration(i), link.Packet{Length: 100})
		for range f.Copies {
			want = append(want, i)
		}
		if f.Cause == link.LostInBurst {
			inBursts++
			if last != link.LostInBurst {
				bursts++
			}
		}
		last = f.Cause
	}
	l := newLab(t, lab.Config{Link: c})
	got := probe(t, l, lab.Client, n, ms/2, 100)
	require.Equal(t, want, numbers(got), "by number, with their copies, in order")
	require.InDelta(t, 4, float64(inBursts)/float64(bursts), 1.5, "mean length of a burst")
	s := healthy(t, l)
	require.Equal(t, core.Up.Counters().Fates, s.Up.Fates)
}

func TestMeasuredReordering(t *testing.T) { measured(t, testMeasuredReordering) }

func testMeasuredReordering(t testing.TB) {
	l := newLab(t, lab.Config{Link: link.Config{Seed: 2, Up: link.Settings{Delay: 5 * ms, Reorder: 0.05, ReorderDelay: 4 * ms}}})
	got := probe(t, l, lab.Client, 1000, ms, 100)
	require.Len(t, got, 1000)
	overtaken := 0
	for i := 1; i < len(got); i++ {
		if got[i].number < got[i-1].number {
			overtaken++
		}
	}
	s := healthy(t, l)
	require.InDelta(t, 50, s.Up.Reordered, 35)
	require.InDelta(t, float64(s.Up.Reordered), overtaken, 8, "but for those held back in a row")
}

func TestMeasuredRateAndQueue(t *testing.T) { measured(t, testMeasuredRateAndQueue) }

func testMeasuredRateAndQueue(t testing.TB) {
	const rate, queue, payload = 8_000_000, 60_000, 1000 - headers
	l := newLab(t, lab.Config{Link: link.Config{Up: link.Settings{Delay: 5 * ms, Rate: rate, Queue: queue}, Down: link.Settings{Delay: 5 * ms, Rate: 4 * rate}}})
	got := probe(t, l, lab.Client, 4000, ms/2, payload) // twice the rate, for two seconds
	span := got[len(got)-1].at.Sub(got[0].at)
	assert.InEpsilon(t, rate, float64(len(got)-1)*8*(payload+headers)/span.Seconds(), 0.02, "bits a second")
	d := delays(got)
	assert.InDelta(t, float64(65*ms), float64(d[len(d)*9/10]), float64(3*ms), "a full queue holds 60 ms")
	s := healthy(t, l)
	assert.EqualValues(t, 4000-len(got), s.Up.Fates[link.QueueFull])
	assert.EqualValues(t, 4000-len(got), s.Up.Dropped())

	back := probe(t, l, lab.Gateway, 1000, ms/2, payload)
	require.Len(t, back, 1000, "the other direction has its own rate")
	d = delays(back)
	assert.InDelta(t, float64(5*ms+ms/4), float64(d[len(d)/2]), float64(ms))
}

func TestMeasuredBlackout(t *testing.T) { measured(t, testMeasuredBlackout) }

func testMeasuredBlackout(t testing.TB) {
	l := newLab(t, lab.Config{})
	require.NoError(t, l.Impair(link.Config{Blackouts: []link.Blackout{{At: 200 * ms, For: 150 * ms}}}))
	got := probe(t, l, lab.Client, 500, ms, 100)
	gaps := make([]int, 0, 1)
	for i := 1; i < len(got); i++ {
		if missing := got[i].number - got[i-1].number - 1; missing > 0 {
			gaps = append(gaps, missing)
		}
	}
	require.Len(t, gaps, 1, "%v", gaps)
	require.InDelta(t, 150, gaps[0], 10)
	healthy(t, l)
}

// A TCP stream fills the bottleneck, and a small packet waits behind it.
func TestMeasuredBufferbloat(t *testing.T) { measured(t, testMeasuredBufferbloat) }

func testMeasuredBufferbloat(t testing.TB) {
	const rate, queue = 20_000_000, 500_000 // 200 ms
	// BBR would leave the queue empty.
	l := newLab(t, lab.Config{CongestionControl: "cubic", Link: link.Config{Up: link.Settings{Delay: 10 * ms, Rate: rate, Queue: queue}, Down: link.Settings{Delay: 10 * ms}}})
	var listener net.Listener
	require.NoError(t, l.Do(lab.Gateway, func() (err error) {
		listener, err = net.Listen("tcp", net.JoinHostPort(l.Addrs(lab.Gateway).V4.String(), "0"))
		return err
	}))
	defer listener.Close()
	received := make(chan int64, 1)
	var bulk sync.WaitGroup
	bulk.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var n int64
		b := make([]byte, 64<<10)
		for {
			k, err := conn.Read(b)
			n += int64(k)
			if err != nil {
				received <- n
				return
			}
		}
	})
	var conn net.Conn
	require.NoError(t, l.Do(lab.Client, func() (err error) {
		conn, err = net.Dial("tcp", listener.Addr().String())
		return err
	}))
	began := time.Now()
	bulk.Go(func() {
		b := make([]byte, 64<<10)
		for {
			if _, err := conn.Write(b); err != nil {
				return
			}
		}
	})
	got := probe(t, l, lab.Client, 300, 10*ms, 100)
	require.NoError(t, conn.Close())
	// All that the sender's socket has taken arrives.
	bits := float64(<-received) * 8 / time.Since(began).Seconds()
	bulk.Wait()
	assert.Greater(t, bits, 0.8*rate, "the stream takes what the link has")
	assert.Less(t, bits, 1.01*rate)
	d := delays(got)
	assert.Greater(t, d[len(d)*9/10], 100*ms, "and fills its queue")
	healthy(t, l)
}
