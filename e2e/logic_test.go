package e2e

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
)

// event is what game logic was told, and on which stream.
type event struct {
	*straitv1.Event
	on *stream
}

// logic is game logic behind a link: it answers pings, and echoes unless the test
// says otherwise.
type logic struct {
	url string

	// play answers one batch; nil is echo. An answer of nil is none; pong is added
	// to the answer of a ping. It is called by one goroutine a stream.
	play func(*stream, *straitv1.GatewayBatch) *straitv1.LogicBatch
	// before sees each batch first, even of a stream that was not greeted yet; nil is
	// nothing.
	before func(*straitv1.GatewayBatch)
	// greet is what the first batch says; nil is a LogicHello without routes.
	greet *straitv1.LogicHello

	streams journal[*stream]
	events  journal[event]

	l       net.Listener
	running sync.WaitGroup
	mu      sync.Mutex
	closed  bool
	open    []*stream
}

// stream is one connection of a gateway.
type stream struct {
	logic *logic
	conn  net.Conn
	hello *straitv1.GatewayHello // of the first batch
	pings journal[uint64]
	ended chan struct{} // closed when reading has ended

	mu sync.Mutex // of writing
}

// listenLogic starts game logic that echoes, on a port of its own.
func listenLogic(t testing.TB, options ...func(*logic)) *logic {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return serveLogic(t, l, "link://"+l.Addr().String(), options...)
}

// listenUnix is listenLogic on a Unix socket at a path.
func listenUnix(t testing.TB, path string, options ...func(*logic)) *logic {
	t.Helper()
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	return serveLogic(t, l, "link+unix://"+path, options...)
}

// socketPath is where a Unix socket may be: short, as the system wants it.
func socketPath(t testing.TB) string { return filepath.Join(t.TempDir(), "s") }

func serveLogic(t testing.TB, l net.Listener, url string, options ...func(*logic)) *logic {
	g := &logic{url: url, l: l}
	for _, o := range options {
		o(g)
	}
	g.running.Go(g.accept)
	t.Cleanup(g.close)
	return g
}

// routes makes game logic name what it serves.
func routes(names ...string) func(*logic) {
	return func(g *logic) { g.greet = &straitv1.LogicHello{Version: 1, Name: "e2e", Routes: names} }
}

// playing replaces the echo.
func playing(f func(*stream, *straitv1.GatewayBatch) *straitv1.LogicBatch) func(*logic) {
	return func(g *logic) { g.play = f }
}

// silent is game logic that answers nothing but pings.
func silent(*stream, *straitv1.GatewayBatch) *straitv1.LogicBatch { return nil }

// env points a gateway at this game logic, with one stream.
func (g *logic) env(more ...string) []string {
	return append([]string{"STRAIT_UPSTREAM=" + g.url, "STRAIT_UPSTREAM_STREAMS=1"}, more...)
}

func (g *logic) accept() {
	for {
		conn, err := g.l.Accept()
		if err != nil {
			return
		}
		s := &stream{logic: g, conn: conn, ended: make(chan struct{})}
		g.mu.Lock()
		if g.closed {
			g.mu.Unlock()
			conn.Close()
			return
		}
		g.open = append(g.open, s)
		g.running.Go(s.run)
		g.mu.Unlock()
	}
}

// close ends all streams and the listener, as a killed process would.
func (g *logic) close() {
	g.mu.Lock()
	g.closed = true
	open := slices.Clone(g.open)
	g.mu.Unlock()
	g.l.Close()
	for _, s := range open {
		s.cut()
	}
	g.running.Wait()
}

// cut ends the connection for the gateway at once. Close alone would leave it open
// as long as a process that another test is just starting has a copy of the socket.
func (s *stream) cut() {
	conn := s.conn
	if c, ok := conn.(*tls.Conn); ok {
		conn = c.NetConn()
	}
	if c, ok := conn.(interface {
		CloseRead() error
		CloseWrite() error
	}); ok {
		_, _ = c.CloseRead(), c.CloseWrite()
	}
	s.conn.Close()
}

func (s *stream) run() {
	defer close(s.ended)
	defer s.conn.Close()
	if c, ok := s.conn.(*tls.Conn); ok && c.Handshake() != nil {
		return
	}
	for {
		in, err := s.read()
		if err != nil {
			return
		}
		if s.logic.before != nil {
			s.logic.before(in)
		}
		if in.Hello != nil {
			s.hello = in.Hello
			h := s.logic.greet
			if h == nil {
				h = &straitv1.LogicHello{Version: 1, Name: "e2e"}
			}
			if s.send(&straitv1.LogicBatch{Hello: h}) != nil {
				return
			}
			s.logic.streams.add(s)
		}
		for _, e := range in.Events {
			s.logic.events.add(event{e, s})
		}
		play := s.logic.play
		if play == nil {
			play = echo
		}
		out := play(s, in)
		if in.Ping != 0 {
			if out == nil {
				out = new(straitv1.LogicBatch)
			}
			out.Pong = in.Ping
			s.pings.add(in.Ping)
		}
		if out != nil && s.send(out) != nil {
			return
		}
	}
}

// read returns the next batch.
func (s *stream) read() (*straitv1.GatewayBatch, error) {
	var length [4]byte
	if _, err := io.ReadFull(s.conn, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > 4<<20 {
		return nil, errors.New("a batch above 4 MiB")
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(s.conn, b); err != nil {
		return nil, err
	}
	in := new(straitv1.GatewayBatch)
	return in, proto.Unmarshal(b, in)
}

// send writes one batch. Safe for concurrent use.
func (s *stream) send(out *straitv1.LogicBatch) error {
	b, err := proto.Marshal(out)
	if err != nil {
		return err
	}
	return s.write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
}

// write sends bytes as they are.
func (s *stream) write(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.conn.Write(b)
	return err
}

// command sends commands in a batch.
func (s *stream) command(t testing.TB, cs ...*straitv1.Command) {
	t.Helper()
	require.NoError(t, s.send(&straitv1.LogicBatch{Commands: cs}))
}

// echo sends each message of a batch back; nil if there is none.
func echo(_ *stream, in *straitv1.GatewayBatch) *straitv1.LogicBatch {
	var out *straitv1.LogicBatch
	for _, e := range in.Events {
		if m := e.GetMessage(); m != nil {
			if out == nil {
				out = new(straitv1.LogicBatch)
			}
			c := reply(m.Payload, e.Session)
			c.GetSend().Channel, c.GetSend().Delivery = m.Channel, m.Delivery
			out.Commands = append(out.Commands, c)
		}
	}
	return out
}

// reply is a reliable Send on channel 0.
func reply(payload []byte, sessions ...uint64) *straitv1.Command {
	return &straitv1.Command{Kind: &straitv1.Command_Send{Send: &straitv1.Send{Sessions: sessions, Payload: payload}}}
}

func kick(session uint64, code uint32, reason string) *straitv1.Command {
	return &straitv1.Command{Kind: &straitv1.Command_Close{Close: &straitv1.CloseSession{Session: session, Code: code, Reason: reason}}}
}

func joinGroup(group string, sessions ...uint64) *straitv1.Command {
	return &straitv1.Command{Kind: &straitv1.Command_Join{Join: &straitv1.Join{Group: group, Sessions: sessions}}}
}

func leaveGroup(group string, sessions ...uint64) *straitv1.Command {
	return &straitv1.Command{Kind: &straitv1.Command_Leave{Leave: &straitv1.Leave{Group: group, Sessions: sessions}}}
}

func publish(group string, payload string, except ...uint64) *straitv1.Command {
	return &straitv1.Command{Kind: &straitv1.Command_Publish{Publish: &straitv1.Publish{Group: group, Channel: 1, Payload: []byte(payload), Except: except}}}
}

func move(session uint64, route string) *straitv1.Command {
	return &straitv1.Command{Kind: &straitv1.Command_Move{Move: &straitv1.Move{Session: session, Route: route}}}
}

// event awaits the first event that matches.
func (g *logic) event(t testing.TB, what string, match func(event) bool) event {
	t.Helper()
	return g.events.await(t, what, match)
}

// announced awaits the last Opened of a player.
func (g *logic) announced(t testing.TB, p *player) event {
	t.Helper()
	return g.event(t, "Opened of a player", p.opens)
}

// again awaits a player's Opened{again}.
func (g *logic) again(t testing.TB, p *player) event {
	t.Helper()
	return g.event(t, "Opened{again} of a player", func(e event) bool { return p.opens(e) && e.GetOpened().Again })
}

// opens reports whether e is an Opened of p.
func (p *player) opens(e event) bool {
	return e.GetOpened() != nil && string(e.GetOpened().SessionId) == string(p.hello.SessionId)
}

// gone awaits the Closed of a session.
func (g *logic) gone(t testing.TB, session uint64) *straitv1.Closed {
	t.Helper()
	return g.event(t, "Closed of a session", func(e event) bool { return e.Session == session && e.GetClosed() != nil }).GetClosed()
}

// payloads are the messages of a session so far.
func (g *logic) payloads(session uint64) (all []string) {
	for _, e := range g.events.all() {
		if m := e.GetMessage(); m != nil && e.Session == session {
			all = append(all, string(m.Payload))
		}
	}
	return all
}

// attached awaits the n-th stream of a gateway, the first is 1.
func (g *logic) attached(t testing.TB, n int) *stream {
	t.Helper()
	count := 0
	return g.streams.await(t, "a stream to game logic", func(*stream) bool { count++; return count == n })
}
