package inproc

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"strait/upstream"
)

// Driver calls game logic in this process. It implements [upstream.Driver].
type Driver struct {
	// Logger is told of handlers that panic; nil is slog.Default. To be set before
	// Start.
	Logger *slog.Logger

	name  string
	serve func(*Driver, *upstream.Event)
	start func(upstream.Gateway) // nil: the handler does not want it

	gateway upstream.Gateway
	shards  []shard
	batches atomic.Uint64 // numbers the batches for Slot.Touch
	closed  atomic.Bool
	closing sync.Mutex // one Close at a time
}

// shard is what one dispatcher shard uses from batch to batch.
type shard struct {
	busy    chan struct{} // holds one element while a batch is served
	touched []upstream.Session
	_       [64]byte // shards run on different cores
}

func newDriver(name string, serve func(*Driver, *upstream.Event)) *Driver {
	return &Driver{name: name, serve: serve}
}

// Start implements [upstream.Driver].
func (d *Driver) Start(g upstream.Gateway) error {
	d.gateway = g
	d.shards = make([]shard, g.Shards())
	for i := range d.shards {
		d.shards[i].busy = make(chan struct{}, 1)
	}
	if d.start != nil {
		d.start(g)
	}
	return nil
}

// Deliver implements [upstream.Driver].
func (d *Driver) Deliver(shard int, batch []upstream.Event) {
	s := &d.shards[shard]
	s.busy <- struct{}{}
	defer func() { <-s.busy }()
	if d.closed.Load() {
		d.discard(batch)
		return
	}
	d.gateway.BeginBatch()
	defer d.gateway.EndBatch()
	number := d.batches.Add(1)
	for i := range batch {
		e := &batch[i]
		d.serve(d, e)
		e.Release()
		if e.Session.Slot().Touch(number) {
			s.touched = append(s.touched, e.Session)
		}
	}
	for _, t := range s.touched {
		d.gateway.Flush(t)
	}
	clear(s.touched)
	s.touched = s.touched[:0]
}

func (d *Driver) discard(batch []upstream.Event) {
	messages := 0
	for i := range batch {
		if batch[i].Kind == upstream.Message {
			messages++
		}
		batch[i].Release()
	}
	if messages > 0 {
		d.gateway.Drop(upstream.DropShutdown, messages)
	}
}

// Ready implements [upstream.Driver]: game logic in the process is there until
// Close.
func (d *Driver) Ready() (ok bool, why string) {
	if d.closed.Load() {
		return false, "game logic was closed"
	}
	return true, ""
}

// Barrier implements [upstream.Driver]. Events are answered inside Deliver, so it
// waits for the batches that are being delivered now.
func (d *Driver) Barrier(ctx context.Context) error {
	for i := range d.shards {
		select {
		case d.shards[i].busy <- struct{}{}:
			<-d.shards[i].busy
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Status implements [upstream.Driver].
func (d *Driver) Status() upstream.Status { return upstream.Status{Driver: d.name} }

// Close implements [upstream.Driver]. It returns when no call of the handler is
// running any more, so the handler must not call it.
func (d *Driver) Close() error {
	d.closing.Lock()
	defer d.closing.Unlock()
	d.closed.Store(true)
	return d.Barrier(context.Background())
}
