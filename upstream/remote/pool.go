package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"strait/upstream"
)

// Pool carries sessions to the backends of a Config. It implements
// [upstream.Driver].
type Pool struct {
	// Static.
	cfg      Config
	name     string // the carrier's first scheme
	backends []*backend
	waiting  *stream // sessions without a backend
	epoch    time.Time
	ctx      context.Context // done when Close begins
	cancel   context.CancelFunc
	gateway  upstream.Gateway // set by Start

	table   atomic.Pointer[table]
	batches atomic.Uint64 // numbers the batches for Slot.Touch
	closing atomic.Bool
	routes  routes

	// failover is held by whatever takes sessions from stream to stream.
	failover sync.Mutex
	moves    uint64               // how often that happened; guarded by failover
	streams  map[*stream]struct{} // all that are not emptied; guarded by failover

	mu     sync.Mutex
	change chan struct{} // closed and replaced when sessions moved
	state  lifecycle
	lines  sync.WaitGroup
	served sync.WaitGroup // streams
	done   chan struct{}  // Close has finished
}

type lifecycle uint8

const (
	created lifecycle = iota
	started
	closed
)

// ClosedError says that the pool was closed; it matches net.ErrClosed.
type ClosedError struct{}

func (*ClosedError) Error() string { return "the upstream was closed" }

// Unwrap makes it match net.ErrClosed.
func (*ClosedError) Unwrap() error { return net.ErrClosed }

var errClosed = &ClosedError{}

// New returns a pool that has not started. The error is that of Config.Validate.
func New(c Config, carriers ...Carrier) (*Pool, error) {
	if err := c.Validate(carriers...); err != nil {
		return nil, err
	}
	p := &Pool{
		cfg:    c.withDefaults(),
		epoch:  time.Now(),
		change: make(chan struct{}),
		done:   make(chan struct{}),

		streams: make(map[*stream]struct{}),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.waiting = &stream{pool: p, seats: make(map[*seat]struct{})}
	for _, raw := range c.Backends {
		carrier, e, err := parse(raw, carriers)
		if err != nil {
			return nil, err
		}
		if p.name == "" {
			p.name = carrier.Schemes().Plain
		}
		url := e.String()
		b := &backend{endpoint: e, url: url, carrier: carrier, seed: hashString(url), live: make(map[*stream]struct{})}
		for i := range p.cfg.Streams {
			b.lines = append(b.lines, &line{pool: p, backend: b, index: i})
		}
		p.backends = append(p.backends, b)
	}
	p.table.Store(new(table))
	return p, nil
}

// now is the pool's monotonic clock in nanoseconds; never 0.
func (p *Pool) now() int64 { return int64(time.Since(p.epoch)) + 1 }

// Start implements [upstream.Driver]. Backends that are absent are dialed until
// they appear.
func (p *Pool) Start(g upstream.Gateway) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.state {
	case started:
		return errors.New("the upstream was started already")
	case closed:
		return errClosed
	}
	p.state = started
	p.gateway = g
	for _, b := range p.backends {
		for _, l := range b.lines {
			p.lines.Go(l.run)
		}
	}
	p.lines.Go(p.watchWaiting)
	return nil
}

// Deliver implements [upstream.Driver].
func (p *Pool) Deliver(_ int, batch []upstream.Event) {
	d := delivery{pool: p}
	for i := range batch {
		e := &batch[i]
		if e.Kind == upstream.Opened {
			d.hold(nil)
			p.open(e.Session)
			continue
		}
		t := seatOf(e.Session)
		if t == nil { // never opened here
			if e.Kind == upstream.Message {
				p.gateway.Drop(upstream.DropUnknown, 1)
			}
			d.hold(nil)
			e.Release()
			continue
		}
		for {
			st := t.stream.Load()
			d.hold(st)
			if t.stream.Load() == st && !t.moved {
				break
			}
			t = seatOf(e.Session)
		}
		if e.Kind == upstream.Closed && !t.closed {
			p.routes.remove(t.route)
		}
		d.held.take(t, e)
	}
	d.hold(nil)
	for _, st := range d.streams[:d.n] {
		st.kick()
	}
}

// delivery is one call of Deliver: it holds the mutex of one stream at a time, and
// writes to those that it queued on when all is queued.
type delivery struct {
	pool    *Pool
	held    *stream
	streams [8]*stream
	n       int
}

// hold unlocks the stream held and locks st, if they differ; nil is none.
func (d *delivery) hold(st *stream) {
	if st == d.held {
		return
	}
	if h := d.held; h != nil {
		known := slices.Contains(d.streams[:d.n], h)
		if !known && d.n < len(d.streams) {
			d.streams[d.n] = h
			d.n++
			known = true
		}
		d.pool.drop(h.letGoAnd(!known))
	}
	if d.held = st; st != nil {
		st.mu.Lock()
	}
}

// open gives a session its seat.
func (p *Pool) open(s upstream.Session) {
	t := newSeat(s, s.Announcement().Route)
	p.routes.add(t.route)
	for {
		st := p.table.Load().pick(t.route, t.key, t.shard, nil)
		parking := st == nil
		if parking {
			st = p.waiting
		}
		st.mu.Lock()
		// A stream that ended has left the table by now, and one that came while the
		// mutex was not held yet may have missed this session.
		if !p.closing.Load() && (st.sealed || parking && p.table.Load().pick(t.route, t.key, t.shard, nil) != nil) {
			st.unlock()
			continue
		}
		s.Slot().Driver.Store(t)
		st.sit(t)
		if !st.sealed {
			st.put(item{seat: t, kind: upstream.Opened})
		}
		st.unlock()
		return
	}
}

// begin makes a connection a stream that may be given sessions.
func (p *Pool) begin(l *line, conn Stream, address string) (*stream, error) {
	now := p.now()
	st := &stream{
		pool: p, backend: l.backend, index: l.index, conn: conn, address: address,
		lost: make(chan struct{}), vacated: make(chan struct{}), wake: make(chan struct{}, 1),
		seats: make(map[*seat]struct{}),
		keep:  true,
	}
	st.heard.Store(now)
	st.ping.quiet = now
	st.ping.request(now)

	p.mu.Lock()
	if p.state == closed {
		p.mu.Unlock()
		_ = conn.Close()
		return nil, errClosed
	}
	p.served.Add(1)
	p.mu.Unlock()

	p.failover.Lock()
	st.hello.Store(&hello{routes: l.backend.routes})
	p.streams[st] = struct{}{}
	l.backend.live[st] = struct{}{}
	p.rebuild()
	p.failover.Unlock()
	p.cfg.Logger.Info("upstream: connected", "backend", l.backend.url, "stream", l.index, "address", address)
	go func() {
		defer p.served.Done()
		st.serve()
	}()
	p.unpark()
	return st, nil
}

// retire takes a stream out of the choice and ends it once it was answered.
func (p *Pool) retire(st *stream) {
	p.failover.Lock()
	delete(st.backend.live, st)
	p.rebuild()
	p.failover.Unlock()
	st.retire()
}

// gone is the end of a stream whose goroutines have ended.
func (p *Pool) gone(st *stream) {
	log := p.cfg.Logger.With("backend", st.backend.url, "stream", st.index, "address", st.address)
	switch {
	case p.closing.Load(), errors.Is(st.cause, errRetired):
		log.Info("upstream: stream ended", "err", st.cause)
	default:
		st.mu.Lock()
		sessions := len(st.seats)
		st.mu.Unlock()
		log.Warn("upstream: stream lost", "err", st.cause, "sessions", sessions)
	}
	p.vacate(st)
}

// changed wakes those who wait for sessions to find a place.
func (p *Pool) changed() {
	p.mu.Lock()
	close(p.change)
	p.change = make(chan struct{})
	p.mu.Unlock()
}

// Ready implements [upstream.Driver].
func (p *Pool) Ready() (ok bool, why string) {
	if p.closing.Load() {
		return false, errClosed.Error()
	}
	draining := false
	for _, e := range p.table.Load().entries {
		for i := range e.streams {
			o := &e.streams[i]
			draining = draining || o.draining
			if o.proven && !o.draining || !o.proven && !e.suspect {
				return true, ""
			}
		}
	}
	if draining {
		return false, "every backend that can be reached is draining"
	}
	var reasons []string
	for _, b := range p.backends {
		if w := b.lines[0].why(); w != "" {
			reasons = append(reasons, w)
		} else {
			reasons = append(reasons, b.url+": connected, but it hung before and has not answered yet")
		}
	}
	return false, "no backend: " + strings.Join(reasons, "; ")
}

// Status implements [upstream.Driver].
func (p *Pool) Status() upstream.Status {
	status := upstream.Status{Driver: p.name}
	p.waiting.mu.Lock()
	status.Waiting = len(p.waiting.seats)
	p.waiting.mu.Unlock()
	for _, b := range p.backends {
		for _, l := range b.lines {
			status.Streams = append(status.Streams, l.status())
		}
	}
	return status
}

func (l *line) status() upstream.StreamStatus {
	l.mu.Lock()
	st, err, lost := l.current, l.trouble(), l.lost
	l.mu.Unlock()
	s := upstream.StreamStatus{Backend: l.backend.url, Stream: l.index, State: "connecting", Lost: lost}
	if err != nil {
		s.Error = err.Error()
	}
	if st == nil {
		return s
	}
	s.State = st.state()
	s.Name = st.hello.Load().name
	st.mu.Lock()
	defer st.mu.Unlock()
	s.Sessions = len(st.seats)
	s.QueuedEvents = len(st.queue) - st.holes + st.takenLeft
	s.QueuedBytes = st.bytes
	s.Unacked = st.retained.bytes
	if oldest := st.oldest(); oldest != 0 {
		s.LagMicros = (l.pool.now() - oldest) / int64(time.Microsecond)
	}
	return s
}

// oldest is when the oldest event that is not written was queued; 0 for none. The
// mutex is held.
func (st *stream) oldest() int64 {
	switch {
	case st.takenSince != 0:
		return st.takenSince
	case len(st.queue) > 0:
		return st.queueSince
	}
	return 0
}

// Close implements [upstream.Driver]. What is queued is written first, as far as
// the backends read it within a second.
func (p *Pool) Close() error {
	p.mu.Lock()
	if p.state == closed {
		p.mu.Unlock()
		<-p.done
		return nil
	}
	p.state = closed
	p.mu.Unlock()
	defer close(p.done)
	p.closing.Store(true)
	p.cancel()
	p.lines.Wait()
	p.served.Wait()
	w := p.waiting
	w.mu.Lock()
	w.sealed = true
	var gates []*upstream.Gate
	for t := range w.seats {
		w.forget(t, upstream.DropShutdown)
		if t.gate != nil {
			gates = append(gates, t.gate)
		}
	}
	clear(w.seats)
	w.unlock()
	for _, g := range gates {
		g.Open()
	}
	p.changed()
	return nil
}

// String names the pool in logs.
func (p *Pool) String() string {
	return fmt.Sprintf("%s to %s", p.name, strings.Join(p.cfg.Backends, ", "))
}
