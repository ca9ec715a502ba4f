package swarm

import (
	"time"

	"strait/compare/measure"
)

// Phase is a part of a run.
type Phase uint8

const (
	Opening Phase = iota // clients open their sessions
	Loading              // messages are sent
	Waiting              // what is on the way may arrive
	Closing              // clients are closed
	Done                 // the last call of Config.Progress
)

// String returns the phase in lower case.
func (p Phase) String() string {
	return [...]string{"opening", "loading", "waiting", "closing", "done"}[p]
}

// Progress is how far a run is.
type Progress struct {
	Phase   Phase
	Elapsed time.Duration // of the load; 0 before
	Of      time.Duration // the load's length
	Clients int
	Opened  int
	Live    int // clients that have a session now
	Errors  int // so far

	Sent, Received, Lost uint64  // messages so far; what is on the way counts as lost
	SentRate             float64 // messages a second since the last call
	ReceivedRate         float64
	Snapshots            uint64
	SnapshotRate         float64
	Latency              [2]Latency // of inputs and chat, since the last call
}

// observer makes the reports of progress and collects the latencies. It is for one
// goroutine.
type observer struct {
	swarm   *swarm
	last    totals
	at      int64 // ns of the run's clock
	latency [flows]measure.Histogram
}

// look reports the progress since the last call.
func (o *observer) look() Progress {
	s := o.swarm
	now := s.now()
	t := sum(s.tallies)
	since := t.minus(o.last)
	per := func(n uint64) float64 {
		if now <= o.at {
			return 0
		}
		return float64(n) / time.Duration(now-o.at).Seconds()
	}
	s.mu.Lock()
	p := Progress{
		Phase: s.phase, Of: s.config.Duration, Clients: s.config.Clients, Opened: s.opened,
		Live: int(s.live.Load()), Errors: s.failures.count(),
		Sent: t.allSent(), Received: t.allReceived(),
		SentRate: per(since.allSent()), ReceivedRate: per(since.allReceived()),
		Snapshots: t.snapshots, SnapshotRate: per(since.snapshots),
	}
	if s.phase > Opening && s.start > 0 {
		p.Elapsed = min(time.Duration(max(now-s.start, 0)), s.config.Duration)
	}
	s.mu.Unlock()
	p.Lost = p.Sent - min(p.Received, p.Sent)
	for f := range o.latency {
		var h measure.Histogram
		for _, tally := range s.tallies {
			tally.flows[f].take(&h)
		}
		o.latency[f].Merge(&h)
		p.Latency[f] = latencyOf(&h)
	}
	o.last, o.at = t, now
	return p
}

// run looks every interval and whenever the phase changes, until the last one.
func (o *observer) run() {
	tick := time.NewTicker(o.swarm.config.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-o.swarm.entered:
		}
		p := o.look()
		if o.swarm.config.Progress != nil {
			o.swarm.config.Progress(p)
		}
		if p.Phase == Done {
			return
		}
	}
}
