//go:build linux

package load

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// quicLoad is a load under way.
type quicLoad struct {
	size      int
	datagrams bool
	follow    int // messages for each echo

	mu     sync.Mutex // guards over, and the window, whose end is fixed
	over   bool       // nothing is counted any more
	window *window    // nil: nothing is measured
}

// bytes is the size of a message; 0 without a load.
func (l *quicLoad) bytes() int {
	if l == nil {
		return 0
	}
	return l.size
}

func (l *quicLoad) echoed(at, now int64) int {
	if l.window == nil {
		return l.follow
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return 0
	}
	l.window.echoed(at, now)
	if l.window.ended {
		return 0
	}
	return l.follow
}

// turn begins and ends the measuring, and tells when it wants to be called next.
func (l *quicLoad) turn(now int64) (ended bool, next int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err = l.window.turn(now)
	return l.window.ended, l.window.next(), err
}

// Saturate keeps ahead messages of size bytes on the way for each client.
func (q *QUIC) Saturate(ctx context.Context, size, ahead int, s Stretch) (*Measured, error) {
	l := &quicLoad{size: size, datagrams: q.datagrams, follow: 1}
	started := false
	return q.measure(ctx, l, s, func(now int64, ended bool) (int64, error) {
		if ended {
			return never, nil
		}
		for _, c := range q.clients {
			c.mu.Lock()
			var err error
			switch n := c.client.waiting.len(); {
			case !started:
				c.touched = now
				err = c.send(l, ahead, now)
			case l.datagrams && n > 0 && now-c.touched > int64(stalled):
				for range n {
					c.client.forget()
				}
				c.touched = now
				err = c.send(l, n, now)
			}
			c.mu.Unlock()
			if err != nil {
				return 0, err
			}
		}
		started = true
		return now + int64(stalled), nil
	})
}

// Offer sends messages of size bytes at rate a second, as [Generator.Offer] does.
func (q *QUIC) Offer(ctx context.Context, size int, rate float64, seed uint64, s Stretch) (*Measured, error) {
	l := &quicLoad{size: size, datagrams: q.datagrams}
	t := newTimetable(q.now(), len(q.clients), rate, seed)
	return q.measure(ctx, l, s, func(now int64, _ bool) (int64, error) {
		for { // what was due before the end is sent also where this was called late
			i, at := t.next()
			if at > now || at >= l.window.end {
				return at, nil
			}
			c := q.clients[i]
			c.mu.Lock()
			err := c.send(l, 1, at)
			c.mu.Unlock()
			if err != nil {
				return 0, err
			}
			t.advance()
		}
	})
}

// duty sends what is due and tells when it wants to be called next. ended says that
// the measured time has.
type duty func(now int64, ended bool) (next int64, err error)

// measure plays l for as long as s says and gives the result: due is called when it
// wants to be, until the window has ended; then what is on the way comes back or is
// late. Datagrams that did not come back are lost, not an error.
func (q *QUIC) measure(ctx context.Context, l *quicLoad, s Stretch, due duty) (*Measured, error) {
	runtime.GC()
	w := newWindow(q.now(), s)
	l.window = w
	defer q.begin(ctx, l, s.Warmup+s.Measure+2*patience)()
	if err := q.until(ctx, l, due); err != nil {
		return nil, q.cause(ctx, err)
	}
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	if !l.datagrams {
		w.out.Unanswered = q.open()
		return w.out, w.out.complete()
	}
	for _, c := range q.clients {
		c.mu.Lock()
		for c.client.waiting.len() > 0 {
			c.client.forget()
		}
		w.out.Lost += c.client.lost
		c.client.lost = 0
		c.mu.Unlock()
	}
	return w.out, w.out.complete()
}

// begin puts l under way. Whatever waits for a connection ends with ctx, or after
// limit at the latest. The function that it returns ends the load.
func (q *QUIC) begin(ctx context.Context, l *quicLoad, limit time.Duration) (end func()) {
	q.load.Store(l)
	late := time.AfterFunc(limit, func() { q.abort(fmt.Errorf("%w: the load was not over after %v", ErrStuck, limit)) })
	stop := context.AfterFunc(ctx, func() { q.abort(context.Cause(ctx)) })
	return func() {
		late.Stop()
		stop()
		q.load.Store(nil)
	}
}

// cause is why a load failed with err.
func (q *QUIC) cause(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case q.broken.Err() != nil:
		return context.Cause(q.broken)
	}
	return err
}

func (q *QUIC) until(ctx context.Context, l *quicLoad, due duty) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	defer unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0)
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	wait := patience
	if l.datagrams {
		wait = lag
	}
	for {
		if err := q.cause(ctx, nil); err != nil {
			return err
		}
		now := q.now()
		ended, turn, err := l.turn(now)
		if err != nil {
			return err
		}
		next, err := due(now, ended)
		if err != nil {
			return err
		}
		if ended {
			if q.open() == 0 || now > l.window.end+int64(wait) {
				return nil
			}
			time.Sleep(time.Millisecond)
			continue
		}
		if wait := min(next, turn, now+int64(100*time.Millisecond)) - q.now(); wait > 0 {
			ts := unix.NsecToTimespec(wait)
			_ = unix.Nanosleep(&ts, nil) // interrupted: it looks again
		}
	}
}

// open is how many messages are on the way.
func (q *QUIC) open() (n int) {
	for _, c := range q.clients {
		n += c.onTheWay()
	}
	return n
}

func (c *quicClient) onTheWay() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.client.waiting.len()
}

// Rest sends nothing for d.
func (q *QUIC) Rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-q.broken.Done():
		return context.Cause(q.broken)
	}
}

// Each sends one message of size bytes on the stream of every session, at most
// parallel at a time, and waits for the echoes.
func (q *QUIC) Each(ctx context.Context, size, parallel int) error {
	l := &quicLoad{size: size}
	defer q.begin(ctx, l, patience*time.Duration(len(q.clients)/parallel+2))()
	var open []*quicClient
	next, progress := 0, q.now()
	for next < len(q.clients) || len(open) > 0 {
		for ; next < len(q.clients) && len(open) < parallel; next++ {
			c := q.clients[next]
			c.mu.Lock()
			err := c.send(l, 1, q.now())
			c.mu.Unlock()
			if err != nil {
				return q.cause(ctx, err)
			}
			open = append(open, c)
		}
		if err := q.Rest(ctx, time.Millisecond); err != nil {
			return err
		}
		before := len(open)
		open = slices.DeleteFunc(open, func(c *quicClient) bool { return c.onTheWay() == 0 })
		if len(open) < before {
			progress = q.now()
		} else if q.now() > progress+int64(patience) {
			return fmt.Errorf("%w: %d messages of %d bytes, none in %v", ErrStuck, len(open), size, patience)
		}
	}
	return nil
}
