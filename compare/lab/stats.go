package lab

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"time"

	"strait/compare/link"
)

// What a run may show of the emulator itself before it shows the machine instead of
// the link; see Stats.Invalid.
const (
	// MaxLateP99 bounds the 99th percentile of lateness. A frame of a game at 120 Hz
	// lasts 8.3 ms; a quarter of that is not to come from the lab.
	MaxLateP99 = 2 * time.Millisecond
	// MaxCPU bounds the share of one core that the link's thread uses: above it, it
	// is the bottleneck.
	MaxCPU = 0.8
	// minCPUTime is how long a run lasts at least before MaxCPU counts.
	minCPUTime = time.Second
)

// Stats is what the link has done since Impair, and how well. All zero on loopback.
type Stats struct {
	For      time.Duration
	Up, Down link.Counters
	// Ignored counts packets that no measurement sends: multicast, and what is not IP.
	Ignored uint64
	// Late is how long after it was due each packet was written. What it waited before
	// it was read is not in it, and is of the same size: the same thread does both.
	Late Lateness
	// CPU is what the link's thread has used: the emulator, and the kernel's work of
	// receiving what it writes, which is done on its account.
	CPU time.Duration
	// Overflow counts packets that did not fit into the emulator's own memory, Missed
	// those that a TUN device dropped because they were not read in time, Refused
	// those that the kernel did not take. None of them belongs to the settings.
	Overflow, Missed, Refused uint64
	// Realtime tells whether the link's thread runs before ordinary ones.
	Realtime bool
}

// CPUPerPacket returns what one packet cost.
func (s Stats) CPUPerPacket() time.Duration {
	n := s.Up.Packets + s.Down.Packets
	if n == 0 {
		return 0
	}
	return s.CPU / time.Duration(n)
}

// Invalid returns why what was measured meanwhile shows the machine and not the link;
// nothing if it shows the link.
func (s Stats) Invalid() (reasons []string) {
	add := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	if p99 := s.Late.Quantile(0.99); p99 > MaxLateP99 {
		add("one packet in a hundred left the emulator %v late or more, at most %v are allowed", p99, MaxLateP99)
	}
	if share := s.CPU.Seconds() / max(s.For.Seconds(), 1e-9); s.For >= minCPUTime && share > MaxCPU {
		add("the emulator used %.0f %% of a core, at most %.0f %% are allowed", share*100, MaxCPU*100)
	}
	for _, own := range []struct {
		n    uint64
		what string
	}{
		{s.Overflow, "did not fit into the emulator's memory"},
		{s.Missed, "were dropped before the emulator read them"},
		{s.Refused, "were refused by the kernel"},
	} {
		if own.n > 0 {
			add("%d packets %s", own.n, own.what)
		}
	}
	return reasons
}

// A lateness counts in buckets: eight to each doubling, so that a quantile is at most
// an eighth too high.
const (
	lateSteps   = 8
	lateBuckets = lateSteps * 37 // up to 2^37 ns, more than two minutes
)

func lateBucket(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < lateSteps {
		return int(n)
	}
	shift := bits.Len64(n) - 4 // leaves a number from 8 to 15
	return min(lateSteps*shift+int(n>>shift), lateBuckets-1)
}

// lateBound returns the first duration above a bucket.
func lateBound(i int) time.Duration {
	if i < 2*lateSteps {
		return time.Duration(i + 1)
	}
	shift := i/lateSteps - 1
	return time.Duration(i%lateSteps+lateSteps+1) << shift
}

// Lateness is a distribution.
type Lateness struct {
	Count uint64
	Max   time.Duration

	buckets [lateBuckets]uint64
}

// Quantile returns a bound below which the share q of all packets lies, at most an
// eighth too high; 0 without packets.
func (l *Lateness) Quantile(q float64) time.Duration {
	want, seen := q*float64(l.Count), uint64(0)
	for i, n := range l.buckets {
		seen += n
		if n > 0 && float64(seen) >= want {
			return min(lateBound(i), l.Max)
		}
	}
	return l.Max
}

// lateness has one writer.
type lateness struct {
	max     atomic.Int64
	buckets [lateBuckets]atomic.Uint64
}

func (l *lateness) add(d time.Duration) {
	l.buckets[lateBucket(d)].Add(1)
	if int64(d) > l.max.Load() {
		l.max.Store(int64(d))
	}
}

func (l *lateness) snapshot() (out Lateness) {
	for i := range l.buckets {
		out.buckets[i] = l.buckets[i].Load()
		out.Count += out.buckets[i]
	}
	out.Max = time.Duration(l.max.Load())
	return out
}
