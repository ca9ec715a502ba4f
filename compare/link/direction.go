package link

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Cause says what became of a packet.
type Cause uint8

const (
	Delivered   Cause = iota
	Blocked           // a filter refused it: Config.BlockUDP
	QueueFull         // it did not fit into the queue: Settings.Queue
	Dark              // it left the bottleneck in a blackout
	Lost              // it was lost on its own: Settings.Loss
	LostInBurst       // it was lost in a burst: Settings.Burst
	Causes      = iota
)

var causes = [Causes]string{"delivered", "blocked", "queue-full", "blackout", "lost", "lost-in-burst"}

// String returns one word.
func (c Cause) String() string {
	if int(c) < len(causes) {
		return causes[c]
	}
	return fmt.Sprintf("cause %d", uint8(c))
}

// Fate is what becomes of one packet.
type Fate struct {
	Cause Cause
	// At is when it arrives, since the link's start; 0 unless Delivered.
	At time.Duration
	// Copies is how often it arrives: 0, 1 or 2.
	Copies int
}

// Link is a link's two directions. They share nothing that changes: each may have a
// goroutine of its own.
type Link struct{ Up, Down *Direction }

// New returns a link at its start.
func New(c Config) (*Link, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	const up, down = 1, 2
	return &Link{Up: newDirection(c, c.Up, up), Down: newDirection(c, c.Down, down)}, nil
}

// Direction decides for the packets of one direction. For one goroutine at a time,
// except Counters.
type Direction struct {
	// static
	settings  Settings
	blackouts []Blackout
	blockUDP  bool
	drain     time.Duration // that a full queue takes
	hold      time.Duration
	loss, burstState, burstLoss,
	jitter, reorder, duplicate stream

	// changed by Offer
	packets uint64        // offered so far: the next one's number
	bad     bool          // the burst model's state
	free    time.Duration // when the bottleneck will have sent all it has taken
	last    time.Duration // the latest arrival, which later packets wait for
	stretch int64         // the number of the stretch of time that spread belongs to
	spread  time.Duration // the jitter's value now

	counters counters
}

func newDirection(c Config, s Settings, number uint64) *Direction {
	d := &Direction{
		settings: s, blackouts: c.Blackouts, blockUDP: c.BlockUDP, hold: s.HoldTime(), stretch: -1,
		loss: newStream(c.Seed, number, forLoss), burstState: newStream(c.Seed, number, forBurstState),
		burstLoss: newStream(c.Seed, number, forBurstLoss), jitter: newStream(c.Seed, number, forJitter),
		reorder: newStream(c.Seed, number, forReorder), duplicate: newStream(c.Seed, number, forDuplicate),
	}
	if s.Rate > 0 {
		d.drain = d.sending(s.QueueBytes())
	}
	return d
}

// Offer takes one packet at a time, since the link's start, that is not before the one
// of the last call, and returns its fate.
func (d *Direction) Offer(now time.Duration, p Packet) Fate {
	n := d.packets
	d.packets++
	// The state moves on with each packet, also those that are lost otherwise, so that
	// bursts hang on packet numbers alone.
	lostInBurst := d.burst(n)
	d.counters.packets.Add(1)
	d.counters.bytes.Add(uint64(p.Length))

	if d.blockUDP && p.UDP {
		return d.drop(Blocked)
	}
	depart, ok := d.enqueue(now, p.Length)
	switch {
	case !ok:
		return d.drop(QueueFull)
	case d.dark(depart):
		return d.drop(Dark)
	case d.loss.hits(n, d.settings.Loss):
		return d.drop(Lost)
	case lostInBurst:
		return d.drop(LostInBurst)
	}

	f := Fate{At: max(depart+d.settings.Delay+d.spreadAt(depart), d.last), Copies: 1}
	d.last = f.At
	if d.reorder.hits(n, d.settings.Reorder) {
		f.At += d.settings.ReorderDelay
		d.counters.reordered.Add(1)
	}
	if d.duplicate.hits(n, d.settings.Duplicate) {
		f.Copies = 2
		d.counters.duplicated.Add(1)
	}
	d.counters.fates[Delivered].Add(1)
	return f
}

func (d *Direction) drop(c Cause) Fate {
	d.counters.fates[c].Add(1)
	return Fate{Cause: c}
}

func (d *Direction) burst(n uint64) bool {
	b := &d.settings.Burst
	if b.P == 0 {
		return false
	}
	if d.bad {
		d.bad = !d.burstState.hits(n, b.R)
	} else {
		d.bad = d.burstState.hits(n, b.P)
	}
	if d.bad {
		return d.burstLoss.hits(n, b.bad())
	}
	return d.burstLoss.hits(n, b.Good)
}

// enqueue returns when the bottleneck has sent a packet, or false if it is full. One
// that is idle takes any.
func (d *Direction) enqueue(now time.Duration, length int) (depart time.Duration, ok bool) {
	if d.settings.Rate == 0 {
		return now, true
	}
	waiting, sending := max(0, d.free-now), d.sending(length)
	if waiting > 0 && waiting+sending > d.drain {
		return 0, false
	}
	d.free = now + waiting + sending
	d.counters.longest(waiting + sending)
	return d.free, true
}

// sending returns how long the bottleneck takes for length bytes.
func (d *Direction) sending(length int) time.Duration {
	return time.Duration(float64(length) * 8 * float64(time.Second) / float64(d.settings.Rate))
}

func (d *Direction) dark(t time.Duration) bool {
	for _, b := range d.blackouts {
		if b.holds(t) {
			return true
		}
	}
	return false
}

// spreadAt returns the jitter's value at t.
func (d *Direction) spreadAt(t time.Duration) time.Duration {
	if d.settings.Jitter == 0 {
		return 0
	}
	if stretch := int64(t / d.hold); stretch != d.stretch {
		d.stretch = stretch
		d.spread = d.settings.Distribution.at(d.jitter.unit(uint64(stretch)), d.settings.Jitter)
	}
	return d.spread
}

// Counters is what a direction has done.
type Counters struct {
	Packets uint64 // offered
	Bytes   uint64 // offered, of whole IP packets
	// Fates counts packets by [Cause]; their sum is Packets.
	Fates      [Causes]uint64
	Reordered  uint64
	Duplicated uint64
	// LongestQueue is the longest time that a packet took to pass the bottleneck.
	LongestQueue time.Duration
}

// Dropped returns how many packets did not arrive.
func (c Counters) Dropped() uint64 { return c.Packets - c.Fates[Delivered] }

// counters has one writer.
type counters struct {
	packets, bytes, reordered, duplicated atomic.Uint64
	fates                                 [Causes]atomic.Uint64
	longestQueue                          atomic.Int64
}

func (c *counters) longest(d time.Duration) {
	if int64(d) > c.longestQueue.Load() {
		c.longestQueue.Store(int64(d))
	}
}

// Counters returns a snapshot. Safe for concurrent use; a packet that is being offered
// meanwhile may be counted in part.
func (d *Direction) Counters() Counters {
	c := Counters{
		Packets: d.counters.packets.Load(), Bytes: d.counters.bytes.Load(),
		Reordered: d.counters.reordered.Load(), Duplicated: d.counters.duplicated.Load(),
		LongestQueue: time.Duration(d.counters.longestQueue.Load()),
	}
	for i := range c.Fates {
		c.Fates[i] = d.counters.fates[i].Load()
	}
	return c
}
