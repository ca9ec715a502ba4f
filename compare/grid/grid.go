package grid

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"strait/compare/lab"
	"strait/compare/measure"
	"strait/compare/report"
)

// Progress is what Config.Progress hears: when a cell begins, and when it has ended.
type Progress struct {
	Done, Total int      // cells; Total grows when one is to be repeated
	Running     []string // those under way, by name
	Left        time.Duration
	// Cell has just begun or, if Ended, ended. Trouble is why it does not count.
	Cell    string
	Ended   bool
	Trouble []string
}

// Run goes through the grid. An error of lab.AccessError says that there is no right to
// make a lab. When ctx ends, what was measured until then is returned with the error, if
// there is anything; children, namespaces and devices are gone in any case.
func Run(ctx context.Context, c Config) (*report.Report, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	if !c.Loopback {
		if err := lab.Check(); err != nil {
			return nil, err
		}
	}
	// Each link's thread needs one of Go's processors when a packet comes, not when
	// others leave it one; which thread then gets a core is the kernel's decision.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), c.Parallel+2)))

	s := &schedule{config: c, begun: make(map[*cell]time.Time)}
	s.add(c.cells())
	err := s.run(ctx, c.Parallel)
	if err == nil {
		s.again()
		err = s.run(ctx, min(c.Parallel, few))
	}
	r, made := s.report()
	if err == nil {
		err = made
	}
	return r, err
}

// few is how many of the spoiled cells run side by side when they are repeated.
const few = 2

// cells are those of the grid in the order in which they begin. Transports begin in
// turn, so that none always has the same neighbours.
func (c *Config) cells() (out []*cell) {
	for repetition := range c.Repetitions {
		for i, n := range c.Scenarios {
			for k := range c.Transports {
				t := c.Transports[(k+i+repetition)%len(c.Transports)]
				out = append(out, &cell{config: c, network: n, transport: t, repetition: repetition})
			}
		}
	}
	return out
}

// schedule is one Run.
type schedule struct {
	config Config

	mu       sync.Mutex
	waiting  []*cell
	begun    map[*cell]time.Time // those under way
	runs     []*measure.Run      // that count
	spoiled  []*cell
	why      []*measure.Run // the record of each of spoiled
	repeated int
	// unrepeated are those spoiled for which there was no time.
	unrepeated int
	done       int
	total      int
	err        error // the first one, which ends it
}

func (s *schedule) add(cells []*cell) {
	s.waiting = append(s.waiting, cells...)
	s.total += len(cells)
}

// again has spoiled cells run once more, as many as Config.repeats has time for: first
// those of which the fewest count, so that none is left with little more than others.
func (s *schedule) again() {
	type pair struct{ scenario, transport string }
	of := func(c *cell) pair { return pair{c.network.Name, c.transport.Name} }
	count := make(map[pair]int)
	for _, r := range s.runs {
		count[pair{r.Scenario, r.Transport}]++
	}
	var chosen []*cell
	spoiled, why := s.spoiled, s.why
	s.spoiled, s.why = nil, nil
	left := s.config.repeats() * time.Duration(min(s.config.Parallel, few))
	for len(spoiled) > 0 {
		next := 0
		for i, c := range spoiled {
			if count[of(c)] < count[of(spoiled[next])] {
				next = i
			}
		}
		c := spoiled[next]
		if left -= s.config.lasts(c.network); left < 0 {
			break
		}
		count[of(c)]++
		chosen = append(chosen, c)
		spoiled, why = slices.Delete(spoiled, next, next+1), slices.Delete(why, next, next+1)
	}
	s.why = why
	s.repeated, s.unrepeated = len(chosen), len(spoiled)
	s.add(chosen)
}

// run runs what is waiting, some cells side by side, and returns when all have ended.
func (s *schedule) run(ctx context.Context, parallel int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	for range parallel {
		workers.Go(func() {
			for {
				c := s.next(ctx, parallel)
				if c == nil {
					return
				}
				r, err := c.measure(ctx)
				s.ended(c, r, err, parallel)
				if err != nil {
					cancel(err)
				}
			}
		})
	}
	workers.Wait()
	return s.err
}

// next begins the next cell; nil if there is none.
func (s *schedule) next(ctx context.Context, parallel int) *cell {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil && s.err == nil && len(s.waiting) > 0 {
		s.err = context.Cause(ctx)
	}
	if s.err != nil || len(s.waiting) == 0 {
		return nil
	}
	c := s.waiting[0]
	s.waiting = s.waiting[1:]
	s.begun[c] = time.Now()
	s.tell(Progress{Cell: c.name()}, parallel)
	return c
}

func (s *schedule) ended(c *cell, r *measure.Run, err error, parallel int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.begun, c)
	if err != nil {
		if s.err == nil {
			s.err = err
		}
		return
	}
	s.done++
	if len(r.Invalid) > 0 {
		s.spoiled, s.why = append(s.spoiled, c), append(s.why, r)
	} else {
		s.runs = append(s.runs, r)
	}
	s.tell(Progress{Cell: c.name(), Ended: true, Trouble: r.Invalid}, parallel)
}

// tell fills in p, and tells it. mu is held.
func (s *schedule) tell(p Progress, parallel int) {
	p.Done, p.Total = s.done, s.total
	var work, longest time.Duration
	for _, c := range s.waiting {
		work += s.config.lasts(c.network)
	}
	for c, begun := range s.begun {
		left := max(s.config.lasts(c.network)-time.Since(begun), 0)
		work += left
		longest = max(longest, left)
		p.Running = append(p.Running, c.name())
	}
	slices.Sort(p.Running)
	p.Left = max(work/time.Duration(parallel), longest)
	s.config.Progress(p)
}
