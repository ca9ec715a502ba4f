package game

import "time"

// Clock reads nanoseconds that mean the same in every process of one machine. It
// is started once and then as cheap as [time.Since].
type Clock struct {
	start time.Time
	base  int64
}

// NewClock reads the machine's monotonic clock.
func NewClock() Clock { return Clock{start: time.Now(), base: machineNow()} }

// Now is the time in nanoseconds.
func (c Clock) Now() int64 { return c.base + int64(time.Since(c.start)) }

// At is the time in nanoseconds of t, which has a monotonic reading.
func (c Clock) At(t time.Time) int64 { return c.base + int64(t.Sub(c.start)) }

func (c Clock) until(ns int64) time.Duration { return time.Duration(ns - c.Now()) }
