package remote_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/proto/batch"
	"strait/proto/straitv1"
	"strait/upstream/endpoint"
	"strait/upstream/remote"
	"strait/upstream/upstreamtest"
)

// network is a Carrier in memory and the backends that it reaches.
type network struct {
	mu       sync.Mutex
	backends map[string]*logic // by address
	dials    map[string]int
	sink     bool // every address takes everything and never answers
}

func newNetwork() *network {
	return &network{backends: make(map[string]*logic), dials: make(map[string]int)}
}

func (n *network) Schemes() endpoint.Schemes { return endpoint.Schemes{Plain: "fake"} }

func (n *network) Dial(_ context.Context, _ endpoint.Endpoint, address string, _ *tls.Config) (remote.Stream, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dials[address]++
	if n.sink {
		return &sink{closed: make(chan struct{})}, nil
	}
	b := n.backends[address]
	if b == nil {
		return nil, errors.New("connection refused")
	}
	return b.accept(), nil
}

// up makes a backend reachable.
func (n *network) up(address string, b *logic) *logic {
	n.mu.Lock()
	defer n.mu.Unlock()
	if b.address != address { // an old connection may still read it
		b.address = address
	}
	n.backends[address] = b
	return b
}

// down makes an address unreachable and breaks the connections to it.
func (n *network) down(address string) {
	n.mu.Lock()
	b := n.backends[address]
	delete(n.backends, address)
	n.mu.Unlock()
	b.kill()
}

// seen is an event as a backend got it.
type seen struct {
	Kind    string // "opened", "again", "message", "unreliable", "closed", "link"
	Session uint64
	Text    string // payload, route or reason
}

// logic is a scripted backend. It greets, answers pings and echoes, unless told
// otherwise.
type logic struct {
	address string

	// Static once it is up.
	routes []string
	mute   bool // no echo
	acks   bool
	silent bool              // says nothing at all, pongs included
	late   bool              // no hello
	tap    func(*conn, seen) // told of each event
	reply  func(seen) []byte // what to answer
	opened func(*straitv1.Opened)

	mu     sync.Mutex
	conns  []*conn
	events []seen
	hung   bool
	change chan struct{}
}

func newLogic() *logic { return &logic{change: make(chan struct{})} }

// sink is a Stream that takes everything.
type sink struct {
	once   sync.Once
	closed chan struct{}
}

func (s *sink) Write([]byte) error { return nil }

func (s *sink) Read() ([]byte, error) {
	<-s.closed
	return nil, io.EOF
}

func (s *sink) CloseWrite() error { return s.Close() }

func (s *sink) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (b *logic) notify() {
	close(b.change)
	b.change = make(chan struct{})
}

func (b *logic) accept() *conn {
	c := &conn{
		logic: b, toLogic: make(chan []byte), toGateway: make(chan []byte, 64),
		closed: make(chan struct{}), eof: make(chan struct{}),
	}
	b.mu.Lock()
	b.conns = append(slices.DeleteFunc(slices.Clone(b.conns), (*conn).dead), c)
	b.notify()
	b.mu.Unlock()
	go c.run()
	return c
}

// kill breaks every connection.
func (b *logic) kill() {
	b.mu.Lock()
	conns := b.conns
	b.conns = nil
	b.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

// hang makes the backend stop reading, or go on.
func (b *logic) hang(on bool) {
	b.mu.Lock()
	b.hung = on
	b.notify()
	b.mu.Unlock()
}

// log returns what was seen of a session, of all sessions for 0.
func (b *logic) log(session uint64) []seen {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []seen
	for _, e := range b.events {
		if session == 0 || e.Session == session {
			list = append(list, e)
		}
	}
	return list
}

// await waits until so much was seen of a session and returns it.
func (b *logic) await(t testing.TB, session uint64, n int) []seen {
	t.Helper()
	timeout := time.NewTimer(upstreamtest.Patience)
	defer timeout.Stop()
	for {
		b.mu.Lock()
		change := b.change
		b.mu.Unlock()
		if list := b.log(session); len(list) >= n {
			return list
		}
		select {
		case <-change:
		case <-timeout.C:
			require.FailNow(t, "the backend waited in vain", "seen %v", b.log(session))
		}
	}
}

// holder returns the connection that a session was last announced on.
func (b *logic) holder(t testing.TB, session uint64) *conn {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		if c.sessions[session] {
			return c
		}
	}
	require.FailNow(t, "no connection has the session")
	return nil
}

// connected waits until there are n connections.
func (b *logic) connected(t testing.TB, n int) []*conn {
	t.Helper()
	timeout := time.NewTimer(upstreamtest.Patience)
	defer timeout.Stop()
	for {
		b.mu.Lock()
		conns, change := b.conns, b.change
		b.mu.Unlock()
		if len(conns) >= n {
			return conns
		}
		select {
		case <-change:
		case <-timeout.C:
			require.FailNow(t, "the gateway did not connect")
		}
	}
}

// conn is one connection, the Stream at the gateway's end.
type conn struct {
	logic     *logic
	toLogic   chan []byte
	toGateway chan []byte
	once      sync.Once
	closed    chan struct{} // both ways
	half      sync.Once
	eof       chan struct{} // the gateway writes no more
	last      []byte

	// Guarded by logic.mu.
	sessions map[uint64]bool
	batches  uint64
	hello    *straitv1.GatewayHello
	pings    int
}

func (c *conn) Write(b []byte) error {
	b = append([]byte(nil), b[remote.Headroom:]...)
	select {
	case <-c.closed:
		return net.ErrClosed
	default:
	}
	select {
	case c.toLogic <- b:
		return nil
	case <-c.closed:
		return net.ErrClosed
	}
}

func (c *conn) Read() ([]byte, error) {
	clear(c.last) // who kept a part of it will notice
	select {
	case b := <-c.toGateway:
		c.last = b
		return b, nil
	case <-c.closed:
		return nil, io.EOF
	}
}

func (c *conn) CloseWrite() error {
	c.half.Do(func() { close(c.eof) })
	return nil
}

func (c *conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *conn) dead() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// say sends a batch to the gateway.
func (c *conn) say(b []byte) {
	if len(b) == 0 {
		return
	}
	select {
	case c.toGateway <- b:
	case <-c.closed:
	}
}

func (c *conn) run() {
	b := c.logic
	b.mu.Lock()
	greets := !b.late && !b.silent
	b.mu.Unlock()
	if greets {
		c.greet(false)
	}
	var r batch.GatewayReader
	for {
		b.mu.Lock()
		hung, change := b.hung, b.change
		b.mu.Unlock()
		in := c.toLogic
		if hung {
			in = nil
		}
		select {
		case <-change:
		case batch := <-in:
			r.Reset(batch)
			c.say(c.handle(&r))
		case <-c.eof:
			_ = c.Close()
			return
		case <-c.closed:
			return
		}
	}
}

func (c *conn) greet(draining bool) {
	hello, err := batch.AppendLogicHello(nil, &straitv1.LogicHello{
		Version: 1, Name: c.logic.address, Routes: c.logic.routes, Draining: draining,
	})
	if err != nil {
		panic(err)
	}
	c.say(hello)
}

func (c *conn) handle(r *batch.GatewayReader) (out []byte) {
	b := c.logic
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.notify()
	if h := r.Hello(); h != nil {
		c.hello, c.sessions = h, make(map[uint64]bool)
	}
	c.batches++
	for {
		e, ok, err := r.Next()
		if err != nil {
			panic(err)
		}
		if !ok {
			break
		}
		s := seen{Session: e.Session}
		switch e.Kind {
		case batch.EventOpened:
			s.Kind, s.Text = "opened", e.Opened.GetRoute()
			if e.Opened.GetAgain() {
				s.Kind = "again"
			}
			c.sessions[e.Session] = true
			if b.opened != nil {
				b.opened(e.Opened)
			}
		case batch.EventMessage:
			s.Kind, s.Text = "message", string(e.Payload)
			if e.Unreliable {
				s.Kind = "unreliable"
			}
			if !b.mute {
				out = batch.AppendSendOne(out, e.Session, e.Channel, e.Unreliable, e.Payload)
			}
		case batch.EventClosed:
			s.Kind, s.Text = "closed", string(e.Reason)
			delete(c.sessions, e.Session)
		case batch.EventLink:
			s.Kind = "link"
			s.Text = fmt.Sprintf("%v %s rtt %d jitter %d loss %d queued %d", e.Link.Transport, e.Link.Remote,
				e.Link.RttUs, e.Link.JitterUs, e.Link.LossPpm, e.Link.QueuedBytes)
		}
		if b.tap != nil {
			b.tap(c, s)
		}
		if b.reply != nil {
			out = append(out, b.reply(s)...)
		}
		b.events = append(b.events, s)
	}
	if b.acks {
		out = batch.AppendAcked(out, c.batches)
	}
	if p := r.Ping(); p != 0 {
		c.pings++
		out = batch.AppendPong(out, p)
	}
	if b.silent {
		return nil
	}
	return out
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// start attaches a pool to g. Addresses are used as fake://address.
func start(t testing.TB, g *upstreamtest.Gateway, n *network, c remote.Config, addresses ...string) *remote.Pool {
	t.Helper()
	for _, a := range addresses {
		c.Backends = append(c.Backends, "fake://"+a)
	}
	if c.Logger == nil {
		c.Logger = quiet()
	}
	p, err := remote.New(c, n)
	require.NoError(t, err)
	g.Attach(p)
	return p
}

// names is a Resolver.
type names struct {
	mu    sync.Mutex
	hosts map[string][]netip.Addr
	err   error
}

func (r *names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	return r.hosts[host], nil
}

func (r *names) set(host string, err error, addresses ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hosts == nil {
		r.hosts = make(map[string][]netip.Addr)
	}
	r.err = err
	var list []netip.Addr
	for _, a := range addresses {
		list = append(list, netip.MustParseAddr(a))
	}
	r.hosts[host] = list
}
