package gateway_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"strait/gateway"
	"strait/proto/straitv1"
	"strait/transport"
	"strait/upstream"
)

// fakeConn is a connection whose client is the test: it pulls what the session
// has queued whenever it is woken, unless it is stuck.
type fakeConn struct {
	t    *testing.T
	pool *transport.Pool
	peer transport.Peer
	kind transport.Kind // 0 is KindTCP
	// datagrams is the unreliable lane inside the connection; nil: none.
	datagrams transport.Lane

	mu       sync.Mutex
	path     transport.Path
	controls []transport.Control
	payloads [][]byte
	got      []transport.Message // Buf is nil; bodies holds the payloads
	bodies   []string
	closed   *transport.Reason
	stuck    bool
	lingers  chan struct{} // the end waits for it to be closed; nil: for nothing
	pings    int
	resumed  chan struct{}
	changed  chan struct{}
}

func newConn(t *testing.T, g *gateway.Gateway) *fakeConn {
	return &fakeConn{
		t: t, pool: g.Pool(), resumed: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		path: transport.Path{Remote: netip.MustParseAddrPort("192.0.2.1:4000"), Heard: time.Now()},
	}
}

func (c *fakeConn) Wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stuck {
		c.pull()
	}
	c.poke()
}

func (c *fakeConn) pull() {
	for _, d := range []transport.Delivery{transport.Reliable, transport.Unreliable} {
		for {
			ms := c.peer.Pull(nil, d, transport.AnyChannel, 1<<20)
			if len(ms) == 0 {
				break
			}
			for _, m := range ms {
				c.bodies = append(c.bodies, string(m.Buf.B))
				m.Buf.Release()
				m.Buf = nil
				c.got = append(c.got, m)
			}
		}
	}
}

func (c *fakeConn) poke() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *fakeConn) Max() int { return gateway.MaxUnreliable }
func (c *fakeConn) Path() transport.Path {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.path
}

// holds makes the connection hold n bytes.
func (c *fakeConn) holds(n int) { c.mu.Lock(); c.path.Buffered = n; c.mu.Unlock() }

func (c *fakeConn) Ping()                     { c.mu.Lock(); c.pings++; c.mu.Unlock(); c.poke() }
func (c *fakeConn) Datagrams() transport.Lane { return c.datagrams }

func (c *fakeConn) Kind() transport.Kind {
	if c.kind != 0 {
		return c.kind
	}
	return transport.KindTCP
}

func (c *fakeConn) Control(t transport.Control, b []byte) {
	c.mu.Lock()
	c.controls = append(c.controls, t)
	c.payloads = append(c.payloads, append([]byte(nil), b...))
	c.mu.Unlock()
	c.poke()
}

func (c *fakeConn) Resume() {
	select {
	case c.resumed <- struct{}{}:
	default:
	}
}

// Close ends the connection as a transport does: what is queued goes out, then
// Closing and Gone come from another goroutine.
func (c *fakeConn) Close(r transport.Reason) {
	c.mu.Lock()
	first := c.closed == nil
	if first {
		c.closed = &r
	}
	c.mu.Unlock()
	if first {
		go func() {
			if c.lingers != nil {
				<-c.lingers
			}
			if r.Code != transport.TooSlow {
				c.Wake()
			}
			c.end(r)
		}()
	}
	c.poke()
}

func (c *fakeConn) end(r transport.Reason) {
	c.peer.Closing(r)
	c.peer.Gone(r)
}

// lose ends the connection without CLOSE.
func (c *fakeConn) lose() {
	r := transport.Reason{Lost: true, Text: "EOF"}
	c.mu.Lock()
	c.closed = &r
	c.mu.Unlock()
	c.end(r)
}

func (c *fakeConn) reason() *transport.Reason {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *fakeConn) received() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.bodies...)
}

func (c *fakeConn) msg(body string) transport.Message {
	return transport.Message{Buf: c.pool.Copy([]byte(body))}
}

// say delivers reliable messages and returns how many were taken; the others are
// released.
func (c *fakeConn) say(bodies ...string) int {
	var ms []transport.Message
	for _, b := range bodies {
		ms = append(ms, c.msg(b))
	}
	n := c.peer.Deliver(ms)
	for _, m := range ms[n:] {
		m.Buf.Release()
	}
	return n
}

// join accepts a connection and sends CLIENT_HELLO.
func join(t *testing.T, g *gateway.Gateway, h *straitv1.ClientHello) (*fakeConn, error) {
	t.Helper()
	c := newConn(t, g)
	return c, c.join(g, h)
}

func (c *fakeConn) join(g *gateway.Gateway, h *straitv1.ClientHello) error {
	c.t.Helper()
	p, err := g.Accept(c)
	if err != nil {
		return err
	}
	c.peer = p
	b, err := proto.Marshal(h)
	require.NoError(c.t, err)
	p.Hello(b)
	return nil
}

// player is an open session.
func player(t *testing.T, g *gateway.Gateway) *fakeConn {
	t.Helper()
	c, err := join(t, g, &straitv1.ClientHello{Version: 1})
	require.NoError(t, err)
	require.Nil(t, c.reason())
	return c
}

func (c *fakeConn) serverHello() *straitv1.ServerHello {
	c.mu.Lock()
	defer c.mu.Unlock()
	require.NotEmpty(c.t, c.controls)
	require.Equal(c.t, transport.ControlServerHello, c.controls[0])
	var h straitv1.ServerHello
	require.NoError(c.t, proto.Unmarshal(c.payloads[0], &h))
	return &h
}

// event is what the fake game logic saw, copied out of its buffer.
type event struct {
	kind    upstream.EventKind
	session upstream.Session
	body    string
	reason  transport.Reason
}

// logic is game logic under the test's control: it records events and, while
// held, keeps their buffers.
type logic struct {
	gw upstream.Gateway

	mu       sync.Mutex
	events   []event
	kept     []upstream.Event
	hold     bool // keep the credit of messages
	block    chan struct{}
	onEvent  func(upstream.Event)
	changed  chan struct{}
	ready    error
	barriers int
	closed   bool
}

func newLogic() *logic { return &logic{changed: make(chan struct{}, 1)} }

func (l *logic) Start(g upstream.Gateway) error { l.gw = g; return nil }

func (l *logic) Deliver(_ int, batch []upstream.Event) {
	l.mu.Lock()
	block := l.block
	l.mu.Unlock()
	if block != nil {
		<-block
	}
	l.mu.Lock()
	for i := range batch {
		e := batch[i]
		ev := event{kind: e.Kind, session: e.Session}
		if e.Message.Buf != nil {
			ev.body = string(e.Message.Buf.B)
		}
		if e.Reason != nil {
			ev.reason = *e.Reason
		}
		l.events = append(l.events, ev)
		if l.onEvent != nil {
			l.onEvent(e)
		}
		if l.hold {
			l.kept = append(l.kept, e)
		} else {
			e.Release()
		}
	}
	l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

func (l *logic) Ready() (bool, string) {
	if l.ready != nil {
		return false, l.ready.Error()
	}
	return true, ""
}

func (l *logic) Barrier(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.barriers++
	return nil
}
func (l *logic) Status() upstream.Status { return upstream.Status{Driver: "test"} }
func (l *logic) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.letGo()
	return nil
}

// letGo releases everything that was kept and keeps nothing from now on.
func (l *logic) letGo() {
	l.mu.Lock()
	kept := l.kept
	l.kept, l.hold = nil, false
	l.mu.Unlock()
	for i := range kept {
		kept[i].Release()
	}
}

// await returns the events once f is satisfied with them.
func (l *logic) await(t *testing.T, f func([]event) bool) []event {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		l.mu.Lock()
		es := append([]event(nil), l.events...)
		l.mu.Unlock()
		if f(es) {
			return es
		}
		select {
		case <-l.changed:
		case <-deadline:
			require.FailNow(t, "game logic did not see what was expected", "%d events", len(es))
		}
	}
}

func count(n int) func([]event) bool { return func(es []event) bool { return len(es) >= n } }

func bodies(es []event, s upstream.Session) (out []string) {
	for _, e := range es {
		if e.kind == upstream.Message && (s == nil || e.session == s) {
			out = append(out, e.body)
		}
	}
	return out
}

// start returns a running gateway that is shut down with the test, and then
// asked whether every buffer came back.
func start(t *testing.T, c gateway.Config, d upstream.Driver, before ...func(*gateway.Gateway)) *gateway.Gateway {
	t.Helper()
	if c.Shards == 0 {
		c.Shards = 1
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = time.Millisecond
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	g, err := gateway.New(c, d)
	require.NoError(t, err)
	for _, f := range before {
		f(g)
	}
	require.NoError(t, g.Start())
	t.Cleanup(func() {
		g.Shutdown(context.Background())
		require.Zero(t, g.Pool().Live(), "buffers were not released")
	})
	return g
}

var errRefused = errors.New("no such token in the ledger")
