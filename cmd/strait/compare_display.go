package main

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"strait/compare/grid"
)

// compareDisplay shows the progress of a comparison: a bar on a terminal, else a line
// for each run that has ended.
type compareDisplay struct {
	out  io.Writer
	bars *mpb.Progress // nil: lines
	bar  *mpb.Bar
	ends atomic.Int64           // when all will be done, Unix nanoseconds
	runs atomic.Pointer[string] // under way
}

func newCompareDisplay(out io.Writer, c grid.Config) *compareDisplay {
	d := &compareDisplay{out: out}
	fmt.Fprintf(out, "scenarios: %d, transports: %d, about %v\n", len(c.Scenarios), len(c.Transports), rounded(c.Lasts()))
	if drawable(out) {
		none := ""
		d.runs.Store(&none)
		d.bars = mpb.New(mpb.WithOutput(out), mpb.WithRefreshRate(500*time.Millisecond))
		// Of a bar made with a total the total cannot change.
		d.bar = d.bars.New(0, mpb.BarStyle(), mpb.BarWidth(barWidth),
			mpb.PrependDecorators(decor.CountersNoUnit("%d of %d runs ")),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
				return fmt.Sprintf("%v left  %s", rounded(max(time.Until(time.Unix(0, d.ends.Load())), 0)), *d.runs.Load())
			})))
	}
	return d
}

// show takes the progress; one call at a time.
func (d *compareDisplay) show(p grid.Progress) {
	if d.bars == nil {
		if p.Ended {
			fmt.Fprintf(d.out, "%d of %d  %s%s  %v left\n", p.Done, p.Total, p.Cell, trouble(p), rounded(p.Left))
		}
		return
	}
	d.ends.Store(time.Now().Add(p.Left).UnixNano())
	running := ""
	if len(p.Running) > 0 {
		running = p.Running[0]
		if more := len(p.Running) - 1; more > 0 {
			running += fmt.Sprintf(" and %d more", more)
		}
	}
	d.runs.Store(&running)
	d.bar.SetTotal(int64(p.Total), false)
	d.bar.SetCurrent(int64(p.Done))
	if len(p.Trouble) > 0 {
		fmt.Fprintf(d.bars, "%s%s\n", p.Cell, trouble(p))
	}
}

func trouble(p grid.Progress) string {
	if len(p.Trouble) == 0 {
		return ""
	}
	return " does not count: " + strings.Join(p.Trouble, "; ")
}

// rounded is a time for people.
func rounded(d time.Duration) time.Duration { return d.Round(time.Second) }

// close ends the display; what was shown last stays.
func (d *compareDisplay) close() {
	if d.bars == nil {
		return
	}
	d.bar.Abort(false)
	d.bars.Wait()
}
