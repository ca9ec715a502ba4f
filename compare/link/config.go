package link

import (
	"errors"
	"fmt"
	"math"
	"time"
)

const (
	// MaxDelay bounds Delay, Jitter's longest tail, ReorderDelay and the time that a
	// full queue takes to drain: what is under way is held in memory.
	MaxDelay = 10 * time.Second
	// MinQueue is the smallest queue, in bytes: one full packet.
	MinQueue = 1500
	// queueTime is how long the default queue takes to drain.
	queueTime = 100 * time.Millisecond
	// minDefaultQueue is the least that the default queue holds: ten full packets.
	minDefaultQueue = 10 * MinQueue
)

// Settings describes one direction. The zero value is a perfect link.
type Settings struct {
	// Delay is how long a packet takes one way, behind the bottleneck.
	Delay time.Duration
	// Jitter is the spread of the delay; see [Distribution] for its meaning. It never
	// changes the order of packets: a packet waits for the one before it.
	Jitter time.Duration
	// Distribution says how the delay spreads; the zero value is Normal.
	Distribution Distribution
	// Hold is how long one value of the jitter lasts; zero is eight times Jitter.
	// Values change with time and not with packets, as they do on real links: else
	// order, which holds, would give a transport that sends more packets a longer
	// delay. Waiting for the packet before adds to the mean no more than about
	// Jitter²/(2·Hold) (Normal): a sixteenth of Jitter by default.
	Hold time.Duration

	// Loss is the share of packets that are lost, each on its own: 0.01 is 1 %.
	Loss float64
	// Burst loses packets in bursts, besides Loss.
	Burst Burst

	// Reorder is the share of packets that are held back by ReorderDelay, so that
	// those behind them overtake. It and ReorderDelay come together.
	Reorder      float64
	ReorderDelay time.Duration

	// Duplicate is the share of packets that arrive twice.
	Duplicate float64

	// Rate is the bottleneck in bits per second of whole IP packets; zero is without
	// limit.
	Rate int64
	// Queue is how many bytes may wait at the bottleneck, with the packet that is
	// being sent; one that does not fit is lost (drop tail). Zero is what Rate sends
	// in 100 ms, and at least ten full packets. It goes with Rate alone.
	Queue int
}

// Burst is a Gilbert-Elliott model: a state, good or bad, that may change before each
// packet, and a loss in each (Gilbert 1960, Elliott 1963; netem's gemodel). The zero
// value loses nothing. A burst lasts 1/R packets in the mean, and P/(P+R) of all
// packets meet the bad state.
type Burst struct {
	P    float64 // chance to change from good to bad; zero turns bursts off
	R    float64 // chance to change from bad to good
	Good float64 // share lost in the good state
	Bad  float64 // share lost in the bad state; zero is 1, all
}

// Mean returns the share of packets that b loses in the long run.
func (b Burst) Mean() float64 {
	if b.P == 0 {
		return 0
	}
	return (b.P*b.bad() + b.R*b.Good) / (b.P + b.R)
}

func (b Burst) bad() float64 {
	if b.Bad == 0 {
		return 1
	}
	return b.Bad
}

// Blackout is a time in which nothing passes in either direction: what would leave
// the bottleneck during it is lost. What left before arrives.
type Blackout struct {
	At  time.Duration // since the link's start
	For time.Duration
	// Every repeats it; zero is once.
	Every time.Duration
}

// holds reports whether t lies in b.
func (b Blackout) holds(t time.Duration) bool {
	t -= b.At
	if t < 0 {
		return false
	}
	if b.Every > 0 {
		t %= b.Every
	}
	return t < b.For
}

// Config describes a link between a client and a gateway. The zero value is a perfect
// link.
type Config struct {
	// Seed decides everything that is random.
	Seed uint64
	// Up is what the client sends, Down what it receives.
	Up, Down Settings
	// Blackouts are in both directions.
	Blackouts []Blackout
	// AddressChanges are the times since the link's start at which the client gets
	// another address and loses its old one. The core decides nothing by them: they
	// are for whoever owns the client's addresses.
	AddressChanges []time.Duration
	// BlockUDP loses every UDP packet in both directions without a word, as a
	// firewall does.
	BlockUDP bool
}

// Problem is what is impossible about one setting of a direction.
type Problem struct {
	Setting string // up.loss
	Reason  string // is 120%: a share of packets is from 0% to 100%
}

func (p *Problem) Error() string { return p.Setting + " " + p.Reason }

// Validate returns all that is impossible in c, one problem a line, each with what
// would be right. What is wrong with one setting of a direction is a [*Problem]; all
// are joined as [errors.Join] does.
func (c Config) Validate() error {
	errs := append(c.Up.validate("up"), c.Down.validate("down")...)
	for i, b := range c.Blackouts {
		name := fmt.Sprintf("blackout %d", i+1)
		switch {
		case b.At < 0:
			errs = append(errs, fmt.Errorf("%s begins at %v: it begins at the link's start, 0s, or after it", name, b.At))
		case b.For <= 0:
			errs = append(errs, fmt.Errorf("%s lasts %v: it lasts longer than 0s, or is left out", name, b.For))
		case b.Every < 0, b.Every > 0 && b.Every <= b.For:
			errs = append(errs, fmt.Errorf("%s lasts %v and comes every %v: the period is longer than the blackout, or 0s for once", name, b.For, b.Every))
		}
	}
	last := time.Duration(-1)
	for i, at := range c.AddressChanges {
		switch {
		case at < 0:
			errs = append(errs, fmt.Errorf("address change %d is at %v: it is at the link's start, 0s, or after it", i+1, at))
		case at <= last:
			errs = append(errs, fmt.Errorf("address change %d is at %v, that before it at %v: they are in ascending order", i+1, at, last))
		}
		last = max(last, at)
	}
	if n := len(c.AddressChanges); n > MaxAddressChanges {
		errs = append(errs, fmt.Errorf("%d address changes: at most %d", n, MaxAddressChanges))
	}
	return errors.Join(errs...)
}

// MaxAddressChanges bounds Config.AddressChanges.
const MaxAddressChanges = 200

// validate names each setting behind the direction.
func (s Settings) validate(direction string) (errs []error) {
	refuse := func(setting, format string, args ...any) {
		errs = append(errs, &Problem{Setting: direction + "." + setting, Reason: fmt.Sprintf(format, args...)})
	}
	duration := func(setting string, d time.Duration) bool {
		if d >= 0 && d <= MaxDelay {
			return true
		}
		refuse(setting, "is %v: it is from 0s to %v", d, MaxDelay)
		return false
	}
	share := func(setting string, f float64) bool {
		if f >= 0 && f <= 1 { // false for NaN
			return true
		}
		refuse(setting, "is %s: a share of packets is from 0%% to 100%%", percent(f))
		return false
	}

	delay, jitter := duration("delay", s.Delay), duration("jitter", s.Jitter)
	switch known := s.Distribution.valid(); {
	case !known:
		refuse("distribution", "is %v: it is one of normal, uniform and pareto", s.Distribution)
	case delay && jitter:
		if reach := s.Distribution.below(s.Jitter); reach > s.Delay {
			refuse("jitter", "is %v, so that %v delays fall %v below the delay of %v, into the past: at most %v, a longer delay, or pareto, which only adds",
				s.Jitter, s.Distribution, reach, s.Delay, s.Delay/(reach/s.Jitter))
		}
		if tail := s.Distribution.above(s.Jitter); tail > MaxDelay {
			refuse("jitter", "is %v, whose tail reaches %v: at most %v", s.Jitter, tail, MaxDelay/(tail/s.Jitter))
		}
	}
	if duration("hold", s.Hold) && s.Hold > 0 && s.Jitter == 0 {
		refuse("hold", "is %v without jitter to hold: set the jitter, or leave it out", s.Hold)
	}
	share("loss", s.Loss)
	share("duplicate", s.Duplicate)
	share("burst.good", s.Burst.Good)
	share("burst.bad", s.Burst.Bad)
	if share("burst.p", s.Burst.P) && share("burst.r", s.Burst.R) {
		switch {
		case s.Burst.P > 0 && s.Burst.R == 0:
			refuse("burst.r", "is 0%%, so that the first burst never ends: 100%% divided by the mean number of packets in a burst")
		case s.Burst.P == 0 && s.Burst != (Burst{}):
			refuse("burst.p", "is 0%%, so that the other settings of bursts mean nothing: the chance that a burst begins, or none of them")
		}
	}
	if share("reorder", s.Reorder) && duration("reorder-delay", s.ReorderDelay) {
		switch {
		case s.Reorder > 0 && s.ReorderDelay == 0:
			refuse("reorder-delay", "is 0s, so that nothing is overtaken: longer than the time between two packets")
		case s.Reorder == 0 && s.ReorderDelay > 0:
			refuse("reorder", "is 0%%, so that its delay of %v means nothing: a share of packets, or no delay", s.ReorderDelay)
		}
	}
	switch {
	case s.Rate < 0 || s.Rate > 0 && s.Rate < minRate || s.Rate > maxRate:
		refuse("rate", "is %d bit/s: from %d to %d, or 0 for no limit", s.Rate, int64(minRate), int64(maxRate))
	case s.Rate == 0 && s.Queue != 0:
		refuse("queue", "is %d bytes without a rate, so that nothing ever waits in it: set the rate, or leave the queue out", s.Queue)
	case s.Queue != 0 && s.Queue < MinQueue:
		refuse("queue", "is %d bytes, which holds no full packet: at least %d, or 0 for what the rate sends in %v", s.Queue, MinQueue, queueTime)
	case s.Rate > 0 && s.Queue > maxQueue(s.Rate):
		refuse("queue", "is %d bytes, which take longer than %v to drain at %d bit/s: at most %d", s.Queue, MaxDelay, s.Rate, maxQueue(s.Rate))
	}
	return errs
}

// Below minRate one full packet takes longer than a second, above maxRate no process
// that moves packets one by one keeps up by far.
const (
	minRate = 12_000
	maxRate = 100_000_000_000
)

func maxQueue(rate int64) int { return int(rate / 8 * int64(MaxDelay/time.Second)) }

// QueueBytes returns how many bytes wait at most: Queue, or its default; 0 without a
// rate.
func (s Settings) QueueBytes() int {
	if s.Queue > 0 || s.Rate == 0 {
		return s.Queue
	}
	return max(minDefaultQueue, int(s.Rate/8*int64(queueTime)/int64(time.Second)))
}

// HoldTime returns how long one value of the jitter lasts: Hold, or its default.
func (s Settings) HoldTime() time.Duration {
	if s.Hold > 0 {
		return s.Hold
	}
	return 8 * s.Jitter
}

// percent prints a share.
func percent(f float64) string {
	if math.IsNaN(f) {
		return "not a number"
	}
	return fmt.Sprintf("%.6g%%", f*100)
}
