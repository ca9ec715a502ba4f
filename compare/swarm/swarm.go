package swarm

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"strait/compare/measure"
)

// every is how often a wait looks whether it is over.
const every = 10 * time.Millisecond

// swarm is one run.
type swarm struct {
	// static
	config  Config
	run     uint64 // in every message
	base    time.Time
	beats   [flows]beat
	tallies []*tally
	players []*player
	chats   sync.Pool // *[]byte, chat messages
	sending context.Context
	entered chan struct{} // a token: the phase has changed
	// gone is closed when every client that was open has ended.
	gone chan struct{}

	// any goroutine
	failures failures
	live     atomic.Int64 // sessions
	closing  atomic.Bool  // what ends now was ended by the run
	chatting sync.WaitGroup

	// set before the senders start
	start int64 // ns after base

	// guarded by mu
	mu        sync.Mutex
	phase     Phase
	opened    int
	failed    int // clients that did not open
	ended     int // clients that were open and whose session is gone for good
	allOpen   bool
	openTimes measure.Histogram
	firstErr  error
}

// Run loads a gateway and reports. When ctx ends, so does the load, and the report
// is about what was. The error says that there is nothing to report: the settings
// make no sense, or the first clients could not open a session.
func Run(ctx context.Context, c Config) (*Report, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	s := &swarm{
		config: c, run: rand.Uint64(), base: time.Now(),
		entered: make(chan struct{}, 1), gone: make(chan struct{}),
	}
	s.chats.New = func() any {
		b := filled(c.Chat.Size)
		return &b
	}
	for f, flow := range c.flows() {
		s.beats[f] = newBeat(flow.Rate)
	}
	shares := runtime.GOMAXPROCS(0)
	for range shares {
		s.tallies = append(s.tallies, &tally{})
	}
	s.players = make([]*player, c.Clients)
	for i := range s.players {
		s.players[i] = newPlayer(s, i)
	}
	sending, stopSending := context.WithCancel(context.Background())
	defer stopSending()
	s.sending = sending

	o := &observer{swarm: s}
	var observing, playing sync.WaitGroup
	observing.Go(o.run)

	r := &Report{Started: s.base}
	ramp, err := s.open(ctx, &playing)
	r.Opening.Ramp = micros(ramp)
	if err == nil {
		s.settle(ctx)
		s.load(ctx, r, shares)
		s.look()
		s.wait()
	}
	r.Client = s.counters()
	s.enter(Closing)
	s.closing.Store(true)
	stopSending()
	s.chatting.Wait()
	s.closeAll()
	playing.Wait()
	s.enter(Done)
	observing.Wait()
	if err != nil {
		return nil, err
	}
	s.report(r, o)
	return r, nil
}

// now is the run's clock in nanoseconds.
func (s *swarm) now() int64 { return int64(time.Since(s.base)) }

func (s *swarm) enter(p Phase) {
	s.mu.Lock()
	s.phase = p
	s.mu.Unlock()
	select {
	case s.entered <- struct{}{}:
	default:
	}
}

// look notes what the sessions are on now.
func (s *swarm) look() {
	for _, p := range s.players {
		if p.open.Load() && !p.ended.Load() {
			p.transport = p.client.Info().Transport
		}
	}
}

// load sends until the duration is over, ctx ends or no client is left.
func (s *swarm) load(ctx context.Context, r *Report, shares int) {
	if ctx.Err() != nil {
		r.Interrupted = true
		return
	}
	s.mu.Lock()
	s.start = s.now()
	s.mu.Unlock()
	s.enter(Loading)
	before := sum(s.tallies)
	shared := make([][]*player, shares)
	for i, p := range s.players {
		if p.open.Load() {
			shared[i%shares] = append(shared[i%shares], p)
		}
	}
	var (
		all           []*sender
		senders, work sync.WaitGroup
		stop          = make(chan struct{})
	)
	for _, share := range shared {
		w := newSender(s, share)
		all = append(all, w)
		senders.Go(func() { w.run(stop) })
	}
	finished := make(chan struct{})
	work.Go(func() { senders.Wait(); close(finished) })
	why := s.last(ctx)
	r.Interrupted, r.EndedEarly = why == interrupted, why == deserted
	r.throughput(sum(s.tallies).minus(before), [flows]int{s.config.Inputs.Size, s.config.Chat.Size}, time.Duration(s.now()-s.start))
	if why == over {
		// What is late is still to be sent; a sender that cannot keep up is not to go
		// on for ever.
		late := newTimerAlarm()
		late.wait(s.config.Wait, finished)
		late.close()
	}
	close(stop)
	work.Wait()
	for _, w := range all {
		r.Unsent += w.unsent
		r.lag.Merge(&w.lag)
	}
}

// ending is why a load ended.
type ending uint8

const (
	over        ending = iota // its time was over
	interrupted               // ctx ended
	deserted                  // no client is left
)

// last waits for the end of the load.
func (s *swarm) last(ctx context.Context) ending {
	gone := s.gone
	if s.config.KeepGoing {
		gone = nil
	}
	enough := time.NewTimer(s.config.Duration)
	defer enough.Stop()
	select {
	case <-enough.C:
		return over
	case <-ctx.Done():
		return interrupted
	case <-gone:
		return deserted
	}
}

// wait gives what is on the way a while to arrive.
func (s *swarm) wait() {
	s.enter(Waiting)
	enough := time.NewTimer(s.config.Wait)
	defer enough.Stop()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if t := sum(s.tallies); t.complete() {
			return
		}
		select {
		case <-tick.C:
		case <-s.gone:
			return
		case <-enough.C:
			return
		}
	}
}

// closeAll closes all clients at once: each may have to wait for the gateway.
func (s *swarm) closeAll() {
	var work sync.WaitGroup
	for _, p := range s.players {
		if p.open.Load() {
			work.Go(func() { _ = p.client.Close() })
		}
	}
	work.Wait()
}
