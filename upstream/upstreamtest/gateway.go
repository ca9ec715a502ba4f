package upstreamtest

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"strait/transport"
	"strait/upstream"
)

// Limits of the payloads that sessions take.
const (
	MaxReliable   = 64 << 10
	MaxUnreliable = 1100
)

// Gateway is an upstream.Gateway for tests.
type Gateway struct {
	t      testing.TB
	pool   *transport.Pool
	driver upstream.Driver
	shards []*shard
	ended  sync.WaitGroup

	mu       sync.Mutex
	next     uint64
	sessions map[uint64]*Session
	groups   map[group]map[*Session]struct{}
	drops    [upstream.Drops]int
	batches  int // begun and not ended
	flushes  int // outside of all batches
	change   chan struct{}
}

type group struct{ route, name string }

// NewGateway returns a gateway with so many shards; 0 is 2. It ends with the test.
func NewGateway(t testing.TB, shards int) *Gateway {
	if shards == 0 {
		shards = 2
	}
	g := &Gateway{
		t:        t,
		pool:     transport.NewPool(0, nil),
		sessions: make(map[uint64]*Session),
		groups:   make(map[group]map[*Session]struct{}),
		change:   make(chan struct{}),
	}
	for i := range shards {
		s := &shard{index: i, gateway: g}
		s.wake, s.idle = sync.NewCond(&s.mu), sync.NewCond(&s.mu)
		g.shards = append(g.shards, s)
	}
	return g
}

// Attach starts d. When the test ends d is closed, and everything must have been
// given back.
func (g *Gateway) Attach(d upstream.Driver) {
	g.t.Helper()
	g.driver = d
	require.NoError(g.t, d.Start(g))
	for _, s := range g.shards {
		g.ended.Go(s.run)
	}
	g.t.Cleanup(g.Close)
}

// Close ends the shards and the driver and checks what they left. Idempotent.
func (g *Gateway) Close() {
	g.mu.Lock()
	all := make([]*Session, 0, len(g.sessions))
	for _, s := range g.sessions {
		all = append(all, s)
	}
	g.mu.Unlock()
	for _, s := range all {
		s.forget() // nothing more is read from players
	}
	for _, s := range g.shards {
		s.stop()
	}
	g.ended.Wait()
	require.NoError(g.t, g.driver.Close())
	require.Zero(g.t, g.pool.Live(), "buffers that nobody released")
	g.mu.Lock()
	batches := g.batches
	g.mu.Unlock()
	require.Zero(g.t, batches, "batches that nobody ended")
	for _, s := range all {
		require.Zero(g.t, s.Info().InFlight, "bytes of session %d that nobody credited", s.handle)
	}
}

// Settle returns when everything that happened so far was delivered to the driver.
func (g *Gateway) Settle() {
	for _, s := range g.shards {
		s.settle()
	}
}

// Open opens a session. Without an ID it gets one made of its handle, so that tests
// can be repeated.
func (g *Gateway) Open(a upstream.Announcement) *Session {
	s := g.prepare(a)
	s.push(upstream.Event{Session: s, Kind: upstream.Opened})
	return s
}

func (g *Gateway) prepare(a upstream.Announcement) *Session {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next++
	if a.ID == (transport.ID{}) {
		binary.BigEndian.PutUint64(a.ID[:], g.next)
	}
	if !a.Remote.IsValid() {
		a.Remote = netip.MustParseAddrPort("192.0.2.1:4000")
	}
	if a.Transport == transport.KindUnspecified {
		a.Transport = transport.KindTCP
	}
	s := &Session{
		gateway: g, handle: g.next, announcement: a,
		shard:  g.shards[g.next%uint64(len(g.shards))],
		change: make(chan struct{}),
	}
	g.sessions[s.handle] = s
	return s
}

// Drops returns how often something was dropped for a reason.
func (g *Gateway) Drops(r upstream.Drop) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.drops[r]
}

// AwaitDrops waits until n have been dropped for a reason.
func (g *Gateway) AwaitDrops(r upstream.Drop, n int) {
	g.t.Helper()
	for {
		g.mu.Lock()
		have, change := g.drops[r], g.change
		g.mu.Unlock()
		if have >= n {
			require.Equal(g.t, n, have, "drops for %s", r)
			return
		}
		await(g.t, change, "drops for "+r.String())
	}
}

// Members returns the handles of a group's members, sorted.
func (g *Gateway) Members(route, name string) []uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	var handles []uint64
	for s := range g.groups[group{route, name}] {
		handles = append(handles, s.handle)
	}
	slices.Sort(handles)
	return handles
}

// Session implements [upstream.Gateway].
func (g *Gateway) Session(handle uint64) upstream.Session {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.sessions[handle]; s != nil && !s.gone {
		return s
	}
	return nil
}

// Send implements [upstream.Gateway].
func (g *Gateway) Send(s upstream.Session, m transport.Message) error { return s.Send(m) }

// Flush implements [upstream.Gateway].
func (g *Gateway) Flush(s upstream.Session) {
	g.mu.Lock()
	if g.batches == 0 {
		g.flushes++
	}
	g.mu.Unlock()
	s.Flush()
}

// BeginBatch implements [upstream.Gateway].
func (g *Gateway) BeginBatch() {
	g.mu.Lock()
	g.batches++
	g.mu.Unlock()
}

// EndBatch implements [upstream.Gateway].
func (g *Gateway) EndBatch() {
	g.mu.Lock()
	g.batches--
	ends := g.batches < 0
	g.mu.Unlock()
	if ends {
		g.t.Error("EndBatch without BeginBatch")
	}
}

// Unbatched is how many flushes came outside of all batches.
func (g *Gateway) Unbatched() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.flushes
}

// CloseSession implements [upstream.Gateway].
func (g *Gateway) CloseSession(s upstream.Session, r transport.Reason) { s.Close(r) }

// Join implements [upstream.Gateway].
func (g *Gateway) Join(route, name string, s upstream.Session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := group{route, name}
	if g.groups[k] == nil {
		g.groups[k] = make(map[*Session]struct{})
	}
	g.groups[k][s.(*Session)] = struct{}{}
}

// Leave implements [upstream.Gateway].
func (g *Gateway) Leave(route, name string, s upstream.Session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.groups[group{route, name}], s.(*Session))
}

// Publish implements [upstream.Gateway].
func (g *Gateway) Publish(route, name string, m transport.Message, except []uint64) (n int) {
	defer m.Buf.Release()
	for _, handle := range g.Members(route, name) {
		n++
		if slices.Contains(except, handle) {
			continue
		}
		if s := g.Session(handle); s != nil {
			m.Buf.Retain()
			_ = s.Send(m)
			s.Flush()
		}
	}
	return n
}

// Moved implements [upstream.Gateway].
func (g *Gateway) Moved(s upstream.Session, _ string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, members := range g.groups {
		delete(members, s.(*Session))
	}
}

// Drop implements [upstream.Gateway].
func (g *Gateway) Drop(r upstream.Drop, n int) {
	g.mu.Lock()
	g.drops[r] += n
	close(g.change)
	g.change = make(chan struct{})
	g.mu.Unlock()
}

// Buffers implements [upstream.Gateway].
func (g *Gateway) Buffers() *transport.Pool { return g.pool }

// Shards implements [upstream.Gateway].
func (g *Gateway) Shards() int { return len(g.shards) }

// shard delivers the events of its sessions.
type shard struct {
	index   int
	gateway *Gateway
	mu      sync.Mutex
	wake    *sync.Cond
	idle    *sync.Cond
	queue   []upstream.Event
	busy    bool
	stopped bool
}

func (s *shard) push(e upstream.Event) {
	s.mu.Lock()
	s.queue = append(s.queue, e)
	s.mu.Unlock()
	s.wake.Signal()
}

func (s *shard) stop() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.wake.Signal()
}

func (s *shard) run() {
	var batch []upstream.Event
	for {
		s.mu.Lock()
		for len(s.queue) == 0 && !s.stopped {
			s.wake.Wait()
		}
		if len(s.queue) == 0 {
			s.mu.Unlock()
			return
		}
		batch, s.queue = s.queue, batch[:0]
		s.busy = true
		s.mu.Unlock()
		s.gateway.driver.Deliver(s.index, batch)
		clear(batch)
		s.mu.Lock()
		s.busy = false
		s.idle.Broadcast()
		s.mu.Unlock()
	}
}

func (s *shard) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.busy || len(s.queue) > 0 {
		s.idle.Wait()
	}
}
