package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"strait/transport"
	"strait/transport/outbox"
	"strait/upstream"
)

// Gateway joins listeners to an upstream driver. Make it with New, begin with
// Start, add listeners with Listen, end with Shutdown.
type Gateway struct {
	// static
	cfg      Config
	log      *slog.Logger
	driver   upstream.Driver
	pool     *transport.Pool
	unopened *transport.Openings
	outbox   outbox.Config
	shards   []*shard
	share    int64 // most messages of one session on their way to game logic
	epoch    time.Time
	offerer  transport.Offerer // nil: sessions have no lanes beside their connections
	corker   transport.Corker  // the offerer, if it writes in batches

	table  *table
	groups groups
	wheel  *wheel
	budget *budget
	conns  conns

	openings outcomes                           // NORMAL = a session was opened
	endings  outcomes                           // of sessions
	lines    [transport.Codes]transport.Sparing // about sessions that ended for a code
	offers   offers
	kinds    [len(transport.Kinds) + 1]atomic.Int64
	drops    [upstream.Drops]atomic.Int64 // by drivers; sessions count on their shard

	draining    atomic.Bool
	stopReading atomic.Bool

	work sync.WaitGroup // goroutines that end with Shutdown, without consumers
	run  sync.WaitGroup // consumers

	mu        sync.Mutex
	started   bool
	listeners []transport.Listener
	serving   sync.WaitGroup
	shutdown  sync.Once
	stopped   chan struct{}
}

// New returns a gateway in front of driver, which it owns from now on.
func New(c Config, driver upstream.Driver) (*Gateway, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	g := &Gateway{
		cfg: c, log: c.Logger, driver: driver,
		unopened: transport.NewOpenings(c.MaxHandshakes),
		outbox:   outbox.Config{ReliableBytes: c.SendBufferBytes, UnreliableBytes: min(c.SendBufferBytes, 64<<10)},
		share:    int64(max(16, c.QueueSize/8)),
		epoch:    time.Now(),
		table:    newTable(c.MaxSessions),
		stopped:  make(chan struct{}),
	}
	g.groups.init()
	g.budget = newBudget(g)
	g.pool = transport.NewPool(c.BufferBudgetBytes, g.budget.signal)
	g.wheel = newWheel(g)
	for i := range c.Shards {
		g.shards = append(g.shards, newShard(g, i))
	}
	return g, nil
}

// Start begins dispatching. The driver is started with it.
func (g *Gateway) Start() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.started {
		return errors.New("gateway: started before")
	}
	if err := g.driver.Start(commands{g}); err != nil {
		return fmt.Errorf("gateway: starting the upstream: %w", err)
	}
	g.started = true
	for _, sh := range g.shards {
		g.run.Add(1)
		go func() {
			defer g.run.Done()
			sh.run()
		}()
	}
	g.work.Add(2)
	go func() { defer g.work.Done(); g.wheel.run(g.stopped) }()
	go func() { defer g.work.Done(); g.budget.run(g.stopped) }()
	return nil
}

// Listen serves l in a goroutine until Shutdown, which closes it. failed is called
// if serving ends before that.
func (g *Gateway) Listen(l transport.Listener, failed func(error)) {
	g.mu.Lock()
	if tt, ok := l.(transport.TurnTaker); ok {
		tt.SetTurns(g)
	}
	g.listeners = append(g.listeners, l)
	g.serving.Add(1)
	g.mu.Unlock()
	go func() {
		defer g.serving.Done()
		if err := l.Serve(g.Accept); err != nil && !errors.Is(err, net.ErrClosed) && failed != nil {
			failed(err)
		}
	}()
}

// SetOfferer gives sessions on TLS/TCP whose clients want one a lane of o, which the
// gateway owns from now on. Once, before Start and Listen.
func (g *Gateway) SetOfferer(o transport.Offerer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.offerer = o
	g.corker, _ = o.(transport.Corker)
	if tt, ok := o.(transport.TurnTaker); ok {
		tt.SetTurns(g)
	}
}

// Pool is where the gateway's listeners and game logic in process get their
// buffers.
func (g *Gateway) Pool() *transport.Pool { return g.pool }

// Openings is the cap of unfinished openings that all listeners share.
func (g *Gateway) Openings() *transport.Openings { return g.unopened }

// Ready reports whether clients can play now, and if not why.
func (g *Gateway) Ready() (ok bool, why string) {
	if g.draining.Load() {
		return false, "draining"
	}
	return g.driver.Ready()
}

// nanotime is the monotonic clock in which events are stamped; never 0.
func (g *Gateway) nanotime() int64 { return int64(time.Since(g.epoch)) + 1 }

// ended counts and logs the end of a session.
func (g *Gateway) ended(s *session, r transport.Reason) {
	g.endings.count(r)
	level, kept := slog.LevelDebug, 0
	if r.Code == transport.ProtocolError || r.Code == transport.TooSlow || r.Code == transport.Internal {
		var ok bool
		if kept, ok = g.lines[r.Code].Allow(time.Now()); ok {
			level = slog.LevelInfo
		}
	}
	l := g.log
	if kept > 0 {
		l = l.With("not_logged_before", kept)
	}
	l.Log(context.Background(), level, "session closed", "session", s.ann.ID, "remote", s.ann.Remote, "code", r.Code, "reason", r.Text, "by_client", r.Remote, "lost", r.Lost)
}
