package swarm

import (
	"sync"
	"sync/atomic"

	"strait/compare/measure"
)

// tally counts for a share of the clients.
type tally struct {
	flows         [flows]account
	snapshots     atomic.Uint64
	snapshotBytes atomic.Uint64
}

// account is one flow's part of a tally.
type account struct {
	sent atomic.Uint64

	// guarded by mu
	mu      sync.Mutex
	back    Echoes
	latency measure.Histogram // since it was taken last
}

// Echoes are the messages of one flow that came back.
type Echoes struct {
	Received   uint64 `json:"received"`   // messages of which an echo arrived
	Duplicated uint64 `json:"duplicated"` // further echoes of the same message
	Disordered uint64 `json:"disordered"` // echoes that arrived after that of a later message
	Bytes      uint64 `json:"bytes"`      // payload of all of them
}

func (e *Echoes) add(o Echoes) {
	e.Received += o.Received
	e.Duplicated += o.Duplicated
	e.Disordered += o.Disordered
	e.Bytes += o.Bytes
}

// echo counts a message that came back after took nanoseconds.
func (a *account) echo(v verdict, bytes int, took int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.back.Bytes += uint64(bytes)
	switch v {
	case duplicated:
		a.back.Duplicated++
		return
	case forgotten:
		a.back.Disordered++
		return
	case disordered:
		a.back.Disordered++
	}
	a.back.Received++
	a.latency.Add(took)
}

// counts adds what there is so far.
func (a *account) counts(to *Echoes) {
	a.mu.Lock()
	defer a.mu.Unlock()
	to.add(a.back)
}

// take adds the latencies since the last call.
func (a *account) take(to *measure.Histogram) {
	a.mu.Lock()
	taken := a.latency
	a.latency = measure.Histogram{}
	a.mu.Unlock()
	to.Merge(&taken)
}

// totals is a sum over all tallies.
type totals struct {
	sent          [flows]uint64
	back          [flows]Echoes
	snapshots     uint64
	snapshotBytes uint64
}

func sum(tallies []*tally) (t totals) {
	for _, one := range tallies {
		for f := range one.flows {
			t.sent[f] += one.flows[f].sent.Load()
			one.flows[f].counts(&t.back[f])
		}
		t.snapshots += one.snapshots.Load()
		t.snapshotBytes += one.snapshotBytes.Load()
	}
	return t
}

func (t *totals) allSent() (n uint64) {
	for _, s := range t.sent {
		n += s
	}
	return n
}

func (t *totals) allReceived() (n uint64) {
	for _, e := range t.back {
		n += e.Received
	}
	return n
}

// complete reports whether nothing is on the way.
func (t *totals) complete() bool {
	for f, sent := range t.sent {
		if t.back[f].Received < sent {
			return false
		}
	}
	return true
}

// minus is what came between o and t.
func (t totals) minus(o totals) totals {
	for f := range t.sent {
		t.sent[f] -= o.sent[f]
		t.back[f].Received -= o.back[f].Received
		t.back[f].Bytes -= o.back[f].Bytes
	}
	t.snapshots -= o.snapshots
	t.snapshotBytes -= o.snapshotBytes
	return t
}
