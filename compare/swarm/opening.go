package swarm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"strait/client"
)

const (
	// atOnce is how many openings may be under way.
	atOnce = 128
	// firstOnes must not all fail, or the run ends.
	firstOnes = 8
)

// open opens the clients and returns how long that took. The error says that the
// run is of no use.
func (s *swarm) open(ctx context.Context, playing *sync.WaitGroup) (time.Duration, error) {
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	var dialling sync.WaitGroup
	places := make(chan struct{}, atOnce)
	began := time.Now()
	pace := newTimerAlarm()
	defer pace.close()
	for i, p := range s.players {
		at := time.Duration(float64(s.config.Ramp) * float64(i) / float64(len(s.players)))
		if d := at - time.Since(began); d > 0 && !pace.wait(d, ctx.Done()) {
			break
		}
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		dialling.Add(1)
		playing.Go(func() {
			err := p.dial(ctx)
			<-places
			if err == nil {
				err = s.joined(p)
			} else {
				err = s.missing(ctx, err)
			}
			if err != nil {
				abort(err)
			}
			dialling.Done()
			if p.open.Load() {
				s.left(p, p.receive())
			}
		})
	}
	dialling.Wait()
	took := time.Since(began)
	var useless *uselessError
	if errors.As(context.Cause(ctx), &useless) {
		return took, useless.err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allOpen = true
	switch {
	case s.opened == 0 && s.firstErr != nil:
		return took, s.allFailed()
	case s.ended == s.opened:
		close(s.gone)
	}
	return took, nil
}

// uselessError ends a run while it opens.
type uselessError struct{ err error }

func (e *uselessError) Error() string { return e.err.Error() }

// joined counts a client that has opened. The error ends the run.
func (s *swarm) joined(p *player) error {
	info := p.client.Info()
	s.live.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	s.openTimes.Add(int64(info.OpenTime))
	for f, flow := range s.config.flows() {
		most, class := info.MaxUnreliable, "unreliable"
		if f == chat {
			most, class = info.MaxMessage, "reliable"
		}
		if flow.Rate > 0 && flow.Size > most {
			return &uselessError{fmt.Errorf("%s of %d bytes are too large: over %s this gateway takes %s messages of at most %d bytes",
				FlowName(f), flow.Size, info.Transport, class, most)}
		}
	}
	return nil
}

// missing counts a client that could not open. The error ends the run.
func (s *swarm) missing(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil // the run has ended the attempt
	}
	s.failures.add(opening, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed++
	if s.firstErr == nil {
		s.firstErr = err
	}
	if s.opened == 0 && s.failed >= min(firstOnes, len(s.players)) {
		return &uselessError{s.allFailed()}
	}
	return nil
}

// allFailed is called with mu held.
func (s *swarm) allFailed() error {
	if s.failed == 1 {
		return s.firstErr
	}
	return fmt.Errorf("the first %d clients could not open a session: %w", s.failed, s.firstErr)
}

// left counts a client that has ended.
func (s *swarm) left(p *player, why error) {
	if s.closing.Load() {
		return
	}
	// With KeepGoing hear has counted the end of the session, if there was one that
	// another was to follow; this is the end of the client.
	var again *client.ReconnectError
	if errors.As(why, &again) {
		s.failures.add(reopening, again.Err)
	} else {
		s.live.Add(-1)
		s.failures.add(session, why)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended++
	if s.allOpen && s.ended == s.opened {
		close(s.gone)
	}
}

// settle waits for the UDP lanes that gateways have offered, so that no load begins
// on one way and goes on on another. A network that lets no UDP through costs the
// wait, and the clients stay on TCP.
func (s *swarm) settle(ctx context.Context) {
	enough := time.NewTimer(s.config.Wait)
	defer enough.Stop()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for _, p := range s.players {
		for p.open.Load() && !p.ended.Load() {
			if l := p.client.Info().Lane; l.Bound || !l.Offered {
				break
			}
			select {
			case <-tick.C:
			case <-enough.C:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}
