package backend_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/backend"
	"strait/proto/batch"
	"strait/proto/straitv1"
)

// patience is how long tests wait for what must happen.
const patience = 20 * time.Second

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// serve runs a backend until the test ends.
func serve(t *testing.T, h backend.Handler, c backend.Config) (*backend.Server, string) {
	t.Helper()
	c.Logger = quiet()
	srv, err := backend.New(h, c)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		assert.ErrorIs(t, srv.Serve(l), backend.ErrServerClosed)
	}()
	t.Cleanup(func() {
		assert.NoError(t, srv.Close())
		<-done
	})
	return srv, l.Addr().String()
}

// gateway is one stream of a gateway, driven by the test.
type gateway struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	out  []byte
}

func dial(t *testing.T, addr string) *gateway {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &gateway{t: t, conn: conn, in: bufio.NewReader(conn)}
}

// attach opens a stream and takes the backend's hello.
func attach(t *testing.T, addr, id string, stream uint32) (*gateway, *straitv1.LogicHello) {
	t.Helper()
	g := dial(t, addr)
	g.hello(id, stream, 1)
	g.flush()
	b := g.next()
	require.NotNil(t, b.Hello)
	return g, b.Hello
}

func (g *gateway) hello(id string, stream, version uint32) {
	var err error
	g.out, err = batch.AppendGatewayHello(g.out, &straitv1.GatewayHello{
		Version: version, Gateway: id, Stream: stream, Streams: 2,
	})
	require.NoError(g.t, err)
}

func (g *gateway) opened(handle uint64, o *straitv1.Opened) {
	if o.SessionId == nil {
		o.SessionId = binary.BigEndian.AppendUint64(make([]byte, 8), handle)
	}
	var err error
	g.out, err = batch.AppendOpened(g.out, handle, o)
	require.NoError(g.t, err)
}

func (g *gateway) message(handle uint64, payload string) {
	g.out = batch.AppendMessage(g.out, handle, 3, false, 0, []byte(payload))
}

// flush sends what was appended as one batch.
func (g *gateway) flush() {
	_, err := g.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(g.out))), g.out...))
	require.NoError(g.t, err)
	g.out = nil
}

// logicBatch is what a backend sent.
type logicBatch struct {
	Hello    *straitv1.LogicHello
	Commands []command
	Pong     uint64
	Acked    uint64
}

type command struct {
	Kind       batch.CommandKind
	Sessions   []uint64
	Session    uint64
	Channel    uint32
	Unreliable bool
	Text       string // payload, group, route or reason
	Group      string // of a publish
	Except     []uint64
	Code       uint32
}

func (g *gateway) next() logicBatch {
	g.t.Helper()
	b, err := g.read()
	require.NoError(g.t, err)
	return b
}

func (g *gateway) read() (out logicBatch, err error) {
	if err := g.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return out, err
	}
	var length [4]byte
	if _, err := io.ReadFull(g.in, length[:]); err != nil {
		return out, err
	}
	b := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(g.in, b); err != nil {
		return out, err
	}
	var r batch.LogicReader
	r.Reset(b)
	if r.Err() != nil {
		return out, r.Err()
	}
	out = logicBatch{Hello: r.Hello(), Pong: r.Pong(), Acked: r.Acked()}
	for {
		c, ok, err := r.Next()
		if err != nil || !ok {
			return out, err
		}
		got := command{
			Kind: c.Kind, Session: c.Session, Channel: c.Channel, Unreliable: c.Unreliable, Code: c.Code,
			Text:     string(c.Payload) + string(c.Route) + string(c.Reason),
			Sessions: append([]uint64(nil), c.Sessions...), Except: append([]uint64(nil), c.Except...),
		}
		if c.Kind == batch.CommandPublish {
			got.Group = string(c.Group)
		} else {
			got.Text += string(c.Group)
		}
		out.Commands = append(out.Commands, got)
	}
}

// until reads batches up to one that satisfies enough, and returns all commands.
func (g *gateway) until(enough func(logicBatch) bool) (all []command) {
	g.t.Helper()
	for {
		b := g.next()
		all = append(all, b.Commands...)
		if enough(b) {
			return all
		}
	}
}

// ping waits for the answer to a ping and returns the commands in front of it.
func (g *gateway) ping(id uint64) []command {
	g.t.Helper()
	g.out = batch.AppendPing(g.out, id)
	g.flush()
	return g.until(func(b logicBatch) bool { return b.Pong == id })
}

// journal is a Handler that notes what happens.
type journal struct {
	mu      sync.Mutex
	notes   []string
	opened  map[uint64]*backend.Session // the newest of each handle
	change  chan struct{}
	respond func(s *backend.Session, m backend.Message)
}

func newJournal() *journal {
	return &journal{opened: make(map[uint64]*backend.Session), change: make(chan struct{})}
}

func (j *journal) note(what string, s *backend.Session) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.notes = append(j.notes, what)
	if s != nil {
		j.opened[s.Handle()] = s
	}
	close(j.change)
	j.change = make(chan struct{})
}

func (j *journal) Opened(s *backend.Session) {
	if s.Again() {
		j.note("again", s)
	} else {
		j.note("opened", s)
	}
}

func (j *journal) Message(s *backend.Session, m backend.Message) {
	if j.respond != nil {
		j.respond(s, m)
	}
	j.note("message "+string(m.Payload), nil)
}

func (j *journal) Closed(_ *backend.Session, c backend.Closed) {
	if c.Lost {
		j.note("lost", nil)
	} else {
		j.note("closed "+c.Code.String()+" "+c.Reason, nil)
	}
}

// await waits for so many notes and returns them.
func (j *journal) await(t *testing.T, n int) []string {
	t.Helper()
	timeout := time.After(patience)
	for {
		j.mu.Lock()
		notes, change := append([]string(nil), j.notes...), j.change
		j.mu.Unlock()
		if len(notes) >= n {
			return notes
		}
		select {
		case <-change:
		case <-timeout:
			require.FailNow(t, "waited in vain", "noted %q", notes)
		}
	}
}

func (j *journal) session(handle uint64) *backend.Session {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.opened[handle]
}
