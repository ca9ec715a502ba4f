package tcp_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"strait/proto/wire"
	"strait/tcp"
	"strait/transport"
	"strait/transport/outbox"
)

// The tests of the event loop look at one loop from both its ends: a client that
// can send anything, and a peer that says what the loop told it.

// bothWays runs f on a loop that lends crypto/tls its buffer, and on one that
// cannot.
func bothWays(t *testing.T, f func(t *testing.T)) {
	t.Run("lent", func(t *testing.T) {
		require.True(t, tcp.Lends(), "crypto/tls has changed: see borrow.go")
		f(t)
	})
	t.Run("long way", func(t *testing.T) {
		t.Cleanup(tcp.LongWay()) // after the loops have ended
		f(t)
	})
}

// site is a listener with a single event loop.
type site struct {
	t        *testing.T
	listener *tcp.Listener
	pool     *transport.Pool
	turns    *turns
	ears     chan *ear
	behave   func(*ear) // of the connections to come; nil: as they are
	small    bool       // sockets are full soon
	version  uint16     // the newest TLS of corked clients; 0 is any
}

type siteConfig struct {
	change     func(*tcp.Config)
	sendBuffer int // of the gateway's sockets in bytes; 0 is the system's
}

// newSite serves a site and sees at its end that nothing is left of it.
func newSite(t *testing.T, sc siteConfig) *site {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	descriptors := openDescriptors(t)
	s := &site{
		t: t, pool: transport.NewPool(0, nil), turns: &turns{}, ears: make(chan *ear, 4096), small: sc.sendBuffer > 0,
	}
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if sc.sendBuffer == 0 {
			return nil
		}
		ctl := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, sc.sendBuffer)
		})
		return errors.Join(ctl, err)
	}}
	inner, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := config(sc.change)
	c.Pool = s.pool
	procs := runtime.GOMAXPROCS(1) // a loop for each
	s.listener, err = tcp.New(inner, c)
	runtime.GOMAXPROCS(procs)
	require.NoError(t, err)
	s.listener.SetTurns(s.turns)
	served := make(chan error, 1)
	go func() {
		served <- s.listener.Serve(func(c transport.Conn) (transport.Peer, error) {
			e := newEar(c, s.pool)
			if s.behave != nil {
				s.behave(e)
			}
			s.ears <- e
			return e, nil
		})
	}()
	t.Cleanup(func() {
		assert.NoError(t, s.listener.Close())
		assert.ErrorIs(t, <-served, net.ErrClosed)
		assert.Zero(t, s.listener.Stats().Open)
		assert.Zero(t, s.pool.Live(), "buffers that nobody released")
		goleak.VerifyNone(t, leaks)
		assert.Eventually(t, func() bool { return openDescriptors(t) <= descriptors }, patience, time.Millisecond,
			"descriptors that nobody closed")
	})
	return s
}

func openDescriptors(t *testing.T) int {
	names, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(names)
}

// turns counts the turns of a loop, and does in them what may only be done by it.
type turns struct {
	n  atomic.Int64
	mu sync.Mutex
	do []func()
}

func (tu *turns) BeginTurn(int) bool { tu.n.Add(1); return true }

func (tu *turns) EndTurn(int) {
	tu.mu.Lock()
	do := tu.do
	tu.do = nil
	tu.mu.Unlock()
	for _, f := range do {
		f()
	}
}

// onLoop does f in a turn of the loop that e is on.
func (s *site) onLoop(e *ear, f func()) {
	s.t.Helper()
	done := make(chan struct{})
	s.turns.mu.Lock()
	s.turns.do = append(s.turns.do, func() { f(); close(done) })
	s.turns.mu.Unlock()
	e.conn.Resume() // which takes a turn, or what comes before the end of one
	s.wait(done, "a turn")
}

func (s *site) wait(ch <-chan struct{}, what string) {
	s.t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		require.Fail(s.t, "waited in vain", what)
	}
}

// calm sees that the loop turns only for what happens: echoes on c take no more
// turns than they need.
func (s *site) calm(c *caller) {
	s.t.Helper()
	const echoes = 100
	before := s.turns.n.Load()
	for range echoes {
		c.echo(9, "is it calm?")
	}
	assert.LessOrEqual(s.t, s.turns.n.Load()-before, int64(3*echoes), "turns of a loop on which little happens")
}

// ear is a session that keeps what it was told.
type ear struct {
	conn  transport.Conn
	pool  *transport.Pool
	out   outbox.Queue
	echo  bool
	deaf  bool            // keeps nothing, which takes memory
	hello func()          // answers the opening; nil opens at once
	take  func(n int) int // by the loop: how many of n messages to take; nil is all

	closing, gone chan struct{}

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced with every message
	received []string
	reasons  []transport.Reason // of Closing, then of Gone
}

func newEar(c transport.Conn, pool *transport.Pool) *ear {
	e := &ear{conn: c, pool: pool, changed: make(chan struct{}), closing: make(chan struct{}), gone: make(chan struct{})}
	e.out.Init(outbox.Config{ReliableBytes: 64 << 20})
	return e
}

func (e *ear) Hello([]byte) {
	if e.hello != nil {
		e.hello()
		return
	}
	e.open()
}

func (e *ear) open() { e.conn.Control(transport.ControlServerHello, nil) }

func (e *ear) Control(transport.Control, []byte) error { return nil }

func (e *ear) Deliver(ms []transport.Message) int {
	n := len(ms)
	if e.take != nil {
		n = min(n, e.take(n))
	}
	if n == 0 {
		return 0
	}
	if !e.deaf {
		e.keep(ms[:n])
	}
	for _, m := range ms[:n] {
		if e.echo {
			_, _ = e.out.Push(m)
			continue
		}
		m.Buf.Release()
	}
	if e.echo {
		e.conn.Wake()
	}
	return n
}

func (e *ear) keep(ms []transport.Message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range ms {
		e.received = append(e.received, string(m.Buf.B))
	}
	close(e.changed)
	e.changed = make(chan struct{})
}

func (e *ear) Channels(dst []uint8) []uint8 { return e.out.Channels(dst) }

func (e *ear) Pull(dst []transport.Message, d transport.Delivery, channel, budget int) []transport.Message {
	return e.out.Pull(dst, d, channel, budget)
}

func (e *ear) Closing(r transport.Reason) {
	e.reasons = append(e.reasons, r)
	close(e.closing)
}

func (e *ear) Gone(r transport.Reason) {
	e.reasons = append(e.reasons, r)
	e.out.Drop()
	close(e.gone)
}

// say queues a message without waking the connection.
func (e *ear) say(payload []byte) {
	_, _ = e.out.Push(transport.Message{Channel: 1, Buf: e.pool.Copy(payload)})
}

// heard waits for n messages.
func (e *ear) heard(t testing.TB, n int) []string {
	t.Helper()
	late := time.After(patience)
	for {
		e.mu.Lock()
		got, changed := e.received, e.changed
		e.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-changed:
		case <-late:
			require.Fail(t, "waited in vain for messages", "%d of %d came", len(got), n)
		}
	}
}

// ended waits for the end and returns why; Closing and Gone came once and agree.
func (e *ear) ended(t testing.TB) transport.Reason {
	t.Helper()
	select {
	case <-e.gone:
	case <-time.After(patience):
		require.Fail(t, "waited in vain for Gone")
	}
	require.Len(t, e.reasons, 2)
	require.Equal(t, e.reasons[0], e.reasons[1])
	return e.reasons[0]
}

// caller is a client that can send anything.
type caller struct {
	stream
	t  *testing.T
	in *bufio.Reader
}

// call connects a client and returns both its ends.
func (s *site) call() (*caller, *ear) {
	s.t.Helper()
	st, err := dial(s.listener.Addr(), clientTLS())
	require.NoError(s.t, err)
	return s.caller(st), s.ear()
}

// caller makes a client of a connection; it is closed at the end of the test.
func (s *site) caller(st stream) *caller {
	s.t.Cleanup(func() { _ = st.Close() })
	require.NoError(s.t, st.raw.SetDeadline(time.Now().Add(2*patience)))
	if s.small {
		require.NoError(s.t, st.raw.SetReadBuffer(128<<10)) // and so it stays, whatever comes
	}
	return &caller{stream: st, t: s.t, in: bufio.NewReader(st)}
}

func (s *site) ear() *ear {
	s.t.Helper()
	select {
	case e := <-s.ears:
		return e
	case <-time.After(patience):
		require.Fail(s.t, "no connection was handed over")
		return nil
	}
}

// open connects a client and opens its session.
func (s *site) open() (*caller, *ear) {
	s.t.Helper()
	c, e := s.call()
	c.send(clientHello)
	c.serverHello()
	return c, e
}

// echoing opens a session that sends everything back.
func (s *site) echoing() *caller {
	s.t.Helper()
	before := s.behave
	s.behave = func(e *ear) { e.echo = true }
	c, _ := s.open()
	s.behave = before
	return c
}

var clientHello = wire.AppendFrame(nil, wire.ClientHello, 0, nil)

func data(payload string) []byte { return wire.AppendFrame(nil, wire.Data, 1, []byte(payload)) }

func goodbye() []byte { return wire.AppendClose(nil, 0, "bye", 0) }

func (c *caller) send(b []byte) {
	c.t.Helper()
	_, err := c.Write(b)
	require.NoError(c.t, err)
}

// next reads a frame of the given type.
func (c *caller) next(want wire.Type) []byte {
	c.t.Helper()
	h, payload, err := readFrame(c.in)
	require.NoError(c.t, err)
	require.Equal(c.t, want, h.Type, "%q", payload)
	return payload
}

func readFrame(r io.Reader) (h wire.Header, payload []byte, err error) {
	var head [wire.HeaderLen]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return h, nil, err
	}
	h, _ = wire.ParseHeader(head[:])
	payload = make([]byte, h.Length)
	_, err = io.ReadFull(r, payload)
	return h, payload, err
}

func (c *caller) serverHello() { c.t.Helper(); c.next(wire.ServerHello) }

func (c *caller) echo(channel uint8, payload string) {
	c.t.Helper()
	c.send(wire.AppendFrame(nil, wire.Data, channel, []byte(payload)))
	require.Equal(c.t, payload, string(c.next(wire.Data)))
}

// closed reads CLOSE and the end of the stream.
func (c *caller) closed() transport.Code {
	c.t.Helper()
	code, _, _, err := wire.ParseClose(c.next(wire.Close))
	require.NoError(c.t, err)
	_, err = c.in.ReadByte()
	require.ErrorIs(c.t, err, io.EOF)
	return transport.Code(code)
}
