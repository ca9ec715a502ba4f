package client

import (
	"context"
	"sync"
	"time"
)

// staggered runs the attempts in order, each when the one before has failed, or
// when it has not ended within delay (RFC 8305 section 5). The first result wins:
// its index is returned, and the context of all others ends with the cause beaten.
// Without a winner i is -1 and errs are the errors of all attempts that were begun,
// in order; an error that is decisive ends all others and stands alone. lose takes
// results that came too late. All goroutines are of work.
func staggered[T any](
	ctx context.Context, work *sync.WaitGroup, delay time.Duration, attempts []func(context.Context) (T, error),
	decisive func(error) bool, beaten error, lose func(T),
) (result T, i int, errs []error) {
	type outcome struct {
		i      int
		result T
		err    error
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var (
		outcomes = make(chan outcome) // taken until over is closed
		over     = make(chan struct{})
		all      = make([]error, len(attempts))
		started  int
		pending  int
	)
	defer close(over)
	start := func() {
		n := started
		started++
		pending++
		work.Go(func() {
			r, err := attempts[n](ctx)
			select {
			case outcomes <- outcome{n, r, err}:
			case <-over:
				if err == nil {
					lose(r)
				}
			}
		})
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	start()
	for {
		select {
		case o := <-outcomes:
			pending--
			if o.err == nil {
				cancel(beaten)
				return o.result, o.i, nil
			}
			if decisive(o.err) {
				cancel(beaten)
				return result, -1, []error{o.err}
			}
			all[o.i] = o.err
			if started == len(attempts) || ctx.Err() != nil {
				if pending > 0 {
					continue
				}
				cancel(nil)
				return result, -1, all[:started]
			}
			// The next one begins at once.
		case <-timer.C:
			if started == len(attempts) || ctx.Err() != nil {
				continue
			}
		}
		start()
		timer.Reset(delay)
	}
}
