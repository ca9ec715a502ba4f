//go:build linux

package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Stretch is how long a load runs: unmeasured, then measured.
type Stretch struct {
	Warmup  time.Duration
	Measure time.Duration
	// Meter is told when the measured time begins and ends; nil is nobody.
	Meter Meter
}

// Meter reads what the processes under load have used.
type Meter interface {
	Begin() error
	End() error
}

// Measured is what came of a stretch.
type Measured struct {
	Elapsed    time.Duration // between Meter's Begin and End
	Echoes     int64         // in that time
	Latency    *hdrhistogram.Histogram
	Unanswered int   // messages that did not come back
	Lost       int64 // datagrams among all that were sent that did not
}

// PerSecond is the rate of echoes.
func (m *Measured) PerSecond() float64 { return float64(m.Echoes) / m.Elapsed.Seconds() }

// newLatency holds nanoseconds, from 1 µs to a minute, with three digits.
func newLatency() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(time.Microsecond), int64(time.Minute), 3)
}

// window is the measured part of a load.
type window struct {
	meter      Meter
	begin, end int64 // as planned
	began      int64 // as it was, when running
	again      int64 // when to look again, beyond the end
	running    bool
	ended      bool
	out        *Measured
}

func newWindow(now int64, s Stretch) *window {
	begin := now + int64(s.Warmup)
	return &window{meter: s.Meter, begin: begin, end: begin + int64(s.Measure), out: &Measured{Latency: newLatency()}}
}

// turn begins and ends the measuring when it is time. A time in which nothing came
// back says nothing: it goes on until something has, but no longer than patience.
func (w *window) turn(now int64) (err error) {
	switch {
	case !w.running && !w.ended && now >= w.begin:
		w.running, w.began = true, now
		if w.meter != nil {
			err = w.meter.Begin()
		}
	case w.running && now >= w.end && w.out.empty() && now < w.end+int64(patience):
		w.again = now + int64(time.Millisecond)
	case w.running && now >= w.end:
		w.running, w.ended = false, true
		w.out.Elapsed = time.Duration(now - w.began)
		if w.meter != nil {
			err = w.meter.End()
		}
	}
	return err
}

// next is when turn wants to be called.
func (w *window) next() int64 {
	switch {
	case w.ended:
		return never
	case w.running:
		return max(w.end, w.again)
	}
	return w.begin
}

// echoed counts a message that was on the way since at. Its latency counts if it
// left, or should have, in the measured time.
func (w *window) echoed(at, now int64) {
	if w.running {
		w.out.Echoes++
	}
	if at >= w.begin && (at < w.end || w.running) {
		// Beyond a minute there is nothing to tell apart.
		_ = w.out.Latency.RecordValue(min(now-at, int64(time.Minute)))
	}
}

const (
	// lag is how long after the end datagrams are still waited for.
	lag = 2 * time.Second
	// patience is how long what cannot be lost is waited for while nothing comes.
	patience = 10 * time.Second
)

// draining ends a load: when all has come back or lag has passed. It returns when
// to look again.
func (g *Generator) draining(w *window, now int64) (next int64, over bool) {
	open, wait := 0, patience
	for _, c := range g.clients {
		open += c.waiting.len()
		if c.dg != nil {
			wait = lag
		}
	}
	if open > 0 && now < w.end+int64(wait) {
		return now + int64(time.Millisecond), false
	}
	for _, c := range g.clients {
		for c.dg != nil && c.waiting.len() > 0 {
			c.forget()
			open--
		}
		w.out.Lost += c.lost
		c.lost = 0
	}
	w.out.Unanswered = open
	return 0, true
}

// ErrStuck is when messages did not come back although nothing more was sent.
var ErrStuck = errors.New("echoes are missing")

// empty reports that there is no figure to take from m.
func (m *Measured) empty() bool { return m.Echoes == 0 || m.Latency.TotalCount() == 0 }

func (m *Measured) complete() error {
	switch {
	case m.Unanswered > 0:
		return fmt.Errorf("%w: %d of them, %v after the end", ErrStuck, m.Unanswered, patience)
	case m.empty():
		return fmt.Errorf("%w: none came back in the measured time, nor in %v more", ErrStuck, patience)
	}
	return nil
}

// Saturate keeps ahead messages of size bytes on the way for each client.
func (g *Generator) Saturate(ctx context.Context, size, ahead int, s Stretch) (*Measured, error) {
	k := &saturated{g: g, ahead: ahead, window: newWindow(g.now(), s)}
	if err := g.run(ctx, size, k); err != nil {
		return nil, err
	}
	return k.window.out, k.window.out.complete()
}

type saturated struct {
	g       *Generator
	ahead   int
	started bool
	window  *window
}

func (k *saturated) due(now int64) (int64, bool, error) {
	if !k.started {
		k.started = true
		for i := range k.g.clients {
			for range k.ahead {
				if err := k.g.send(i, k.g.now()); err != nil {
					return 0, false, err
				}
			}
		}
	}
	if err := k.window.turn(now); err != nil {
		return 0, false, err
	}
	if k.window.ended {
		next, over := k.g.draining(k.window, now)
		return next, over, nil
	}
	return k.window.next(), false, nil
}

func (k *saturated) echoed(at, now int64) int {
	k.window.echoed(at, now)
	if k.window.ended {
		return 0
	}
	return 1
}

func (k *saturated) lost() bool { return !k.window.ended }

// Offer sends messages of size bytes at rate a second, all clients together, each
// client at even intervals from a start of its own that seed decides. It sends on
// time whatever is still on the way.
func (g *Generator) Offer(ctx context.Context, size int, rate float64, seed uint64, s Stretch) (*Measured, error) {
	now := g.now()
	k := &offered{g: g, window: newWindow(now, s), timetable: newTimetable(now, len(g.clients), rate, seed)}
	if err := g.run(ctx, size, k); err != nil {
		return nil, err
	}
	return k.window.out, k.window.out.complete()
}

// timetable says when which client sends.
type timetable struct {
	start  int64
	period float64 // of each client, in nanoseconds
	turns  []turn  // of the first period, in order
	n      int     // the next turn
}

type turn struct {
	after  int64 // the period's begin
	client int
}

func newTimetable(start int64, clients int, rate float64, seed uint64) *timetable {
	t := &timetable{start: start, period: float64(clients) / rate * 1e9, turns: make([]turn, clients)}
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range t.turns {
		t.turns[i] = turn{after: int64(r.Float64() * t.period), client: i}
	}
	slices.SortFunc(t.turns, func(a, b turn) int { return int(a.after - b.after) })
	return t
}

// next returns who sends next and when.
func (t *timetable) next() (client int, at int64) {
	round, i := t.n/len(t.turns), t.n%len(t.turns)
	return t.turns[i].client, t.start + int64(float64(round)*t.period) + t.turns[i].after
}

func (t *timetable) advance() { t.n++ }

type offered struct {
	g         *Generator
	window    *window
	timetable *timetable
}

// sendsATurn bounds what is sent before what came back is read: a load that fell
// behind would else look like a proxy that did.
const sendsATurn = 16

func (k *offered) due(now int64) (int64, bool, error) {
	if err := k.window.turn(now); err != nil {
		return 0, false, err
	}
	for range sendsATurn {
		i, at := k.timetable.next()
		if at >= k.window.end && k.window.ended {
			next, over := k.g.draining(k.window, now)
			return next, over, nil
		}
		if at > now || at >= k.window.end {
			return min(at, k.window.next()), false, nil
		}
		// What was due before the end is sent also where this loop was late.
		if err := k.g.send(i, at); err != nil {
			return 0, false, err
		}
		k.timetable.advance()
	}
	return now, false, nil
}

func (k *offered) echoed(at, now int64) int {
	k.window.echoed(at, now)
	return 0
}

func (k *offered) lost() bool { return false }

// Rest sends nothing for d, but for answers to PINGs.
func (g *Generator) Rest(ctx context.Context, d time.Duration) error {
	return g.run(ctx, MinSize, &resting{until: g.now() + int64(d)})
}

type resting struct{ until int64 }

func (k *resting) due(now int64) (int64, bool, error) { return k.until, now >= k.until, nil }
func (k *resting) echoed(int64, int64) int            { return 0 }
func (k *resting) lost() bool                         { return false }

// Each sends one message of size bytes on every session, at most parallel at a
// time, and waits for the echoes.
func (g *Generator) Each(ctx context.Context, size, parallel int) error {
	return g.run(ctx, size, &each{g: g, free: parallel, progress: g.now()})
}

type each struct {
	g        *Generator
	next     int // client
	free     int
	back     int
	progress int64 // when something came back last
}

func (k *each) due(now int64) (int64, bool, error) {
	if now > k.progress+int64(patience) {
		return 0, false, fmt.Errorf("%w: %d of %d came back, none in %v", ErrStuck, k.back, len(k.g.clients), patience)
	}
	for ; k.free > 0 && k.next < len(k.g.clients); k.next++ {
		k.free--
		if err := k.g.send(k.next, 0); err != nil {
			return 0, false, err
		}
	}
	return never, k.back == len(k.g.clients), nil
}

func (k *each) echoed(_, now int64) int {
	k.progress = now
	k.free++
	k.back++
	return 0
}

func (k *each) lost() bool { return true }
