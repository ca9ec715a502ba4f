package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"strait/compare/swarm"
)

// display shows the progress of a swarm: bars on a terminal, else a line a second.
type display struct {
	out   io.Writer
	bars  *mpb.Progress // nil: lines
	phase swarm.Phase   // of the last call
	open  *mpb.Bar
	load  *mpb.Bar
	text  atomic.Pointer[string] // beside the bar of the load
}

// barWidth leaves room for the figures in 100 columns.
const barWidth = 24

func newDisplay(out io.Writer) *display {
	d := &display{out: out}
	if drawable(out) {
		d.bars = mpb.New(mpb.WithOutput(out), mpb.WithRefreshRate(200*time.Millisecond))
	}
	return d
}

// drawable reports whether out is a terminal with a width to draw bars in; those of serial
// lines and of containers may not know theirs.
func drawable(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	return err == nil && columns > 0
}

// show takes the progress of the run. One goroutine.
func (d *display) show(p swarm.Progress) {
	if d.bars != nil {
		d.showBars(p)
		return
	}
	// Between two phases there is nothing to tell yet.
	if p.Phase == d.phase && p.Phase != swarm.Done {
		fmt.Fprintln(d.out, line(p))
	}
	d.phase = p.Phase
}

// line is the progress in one line.
func line(p swarm.Progress) string {
	switch p.Phase {
	case swarm.Opening:
		return fmt.Sprintf("opening  %d of %d clients%s", p.Opened, p.Clients, errorsOf(p))
	case swarm.Loading:
		return fmt.Sprintf("%4.0fs of %v  %s", p.Elapsed.Seconds(), p.Of, figures(p))
	}
	return fmt.Sprintf("%s  %d sent, %d back%s", p.Phase, p.Sent, p.Received, errorsOf(p))
}

// figures are what moves during the load.
func figures(p swarm.Progress) string {
	text := fmt.Sprintf("%d live  up %.0f/s  back %.0f/s", p.Live, p.SentRate, p.ReceivedRate)
	if p.SnapshotRate > 0 {
		text += fmt.Sprintf("  snapshots %.0f/s", p.SnapshotRate)
	}
	for f, l := range p.Latency {
		if l.Count > 0 {
			text += fmt.Sprintf("  %s p50 %.1f p99 %.1f ms", swarm.FlowName(f), l.P50/1000, l.P99/1000)
		}
	}
	return text + errorsOf(p)
}

func errorsOf(p swarm.Progress) string {
	if p.Errors == 0 {
		return ""
	}
	return fmt.Sprintf("  %d errors", p.Errors)
}

func (d *display) showBars(p swarm.Progress) {
	if p.Phase <= swarm.Loading {
		text := figures(p)
		d.text.Store(&text)
	}
	if d.open == nil {
		d.open = d.bars.New(int64(p.Clients), mpb.BarStyle(), mpb.BarWidth(barWidth),
			mpb.PrependDecorators(decor.Name("opening ")), mpb.AppendDecorators(decor.CountersNoUnit("%d of %d clients")))
	}
	d.open.SetCurrent(int64(p.Opened))
	if p.Phase == swarm.Opening {
		return
	}
	d.open.Abort(false) // also when some have failed
	if d.load == nil && p.Phase == swarm.Loading {
		d.load = d.bars.New(int64(p.Of), mpb.BarStyle(), mpb.BarWidth(barWidth),
			mpb.PrependDecorators(decor.Name("loading ")),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return *d.text.Load() })))
	}
	if d.load == nil {
		return
	}
	d.load.SetCurrent(int64(p.Elapsed))
	if p.Phase != swarm.Loading {
		d.load.Abort(false)
	}
}

// interval is how often the display wants to be called.
func (d *display) interval() time.Duration {
	if d.bars != nil {
		return time.Second / 2
	}
	return time.Second
}

// close ends the display; what was shown last stays.
func (d *display) close() {
	if d.bars == nil {
		return
	}
	for _, b := range []*mpb.Bar{d.open, d.load} {
		if b != nil {
			b.Abort(false)
		}
	}
	d.bars.Wait()
}
