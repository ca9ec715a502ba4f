package quic_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
	"strait/proto/wire"
	"strait/quic"
	"strait/quic/session"
	"strait/transport"
	"strait/transport/lane"
	"strait/transport/outbox"
)

// received is a message as an end got it.
type received struct {
	Delivery transport.Delivery
	Channel  uint8
	Seq      uint16
	Text     string
}

// peer is either end of a session: it records what it is told.
type peer struct {
	conn  transport.Conn
	out   outbox.Queue
	pool  *transport.Pool
	hello func(*peer)
	take  func(transport.Message) bool // nil: all
	echo  bool
	gone  chan struct{}

	mu      sync.Mutex
	got     []received
	ends    []transport.Reason
	changed chan struct{}
}

func newPeer(c transport.Conn, pool *transport.Pool) *peer {
	p := &peer{conn: c, pool: pool, gone: make(chan struct{}), changed: make(chan struct{})}
	p.out.Init(outbox.Config{ReliableBytes: 256 << 10})
	p.out.SetDatagrams(c.Datagrams() != nil)
	return p
}

func (p *peer) note(f func()) {
	p.mu.Lock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
}

func (p *peer) Hello([]byte) {
	if p.hello != nil {
		p.hello(p)
	}
}

func (p *peer) Control(transport.Control, []byte) error { return nil }

func (p *peer) Deliver(ms []transport.Message) int {
	for i, m := range ms {
		if p.take != nil && !p.take(m) {
			return i
		}
		p.note(func() { p.got = append(p.got, received{m.Delivery, m.Channel, m.Seq, string(m.Buf.B)}) })
		if p.echo {
			p.push(m)
			p.conn.Wake()
		} else {
			m.Buf.Release()
		}
	}
	return len(ms)
}

func (p *peer) Pull(dst []transport.Message, d transport.Delivery, channel, budget int) []transport.Message {
	return p.out.Pull(dst, d, channel, budget)
}

func (p *peer) Channels(dst []uint8) []uint8 { return p.out.Channels(dst) }

func (p *peer) Closing(r transport.Reason) { p.note(func() { p.ends = append(p.ends, r) }) }

func (p *peer) Gone(r transport.Reason) {
	p.note(func() { p.ends = append(p.ends, r) })
	p.out.Drop()
	close(p.gone)
}

func (p *peer) push(m transport.Message) {
	if _, err := p.out.Push(m); errors.Is(err, outbox.ErrFull) {
		p.conn.Close(transport.Because(transport.TooSlow, "the queue is full"))
	}
}

// send queues a message and wakes the connection.
func (p *peer) send(d transport.Delivery, channel uint8, text string) {
	p.push(transport.Message{Delivery: d, Channel: channel, Buf: p.pool.Copy([]byte(text))})
	p.conn.Wake()
}

func (p *peer) await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		p.mu.Lock()
		done, changed := ok(), p.changed
		p.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			require.Fail(t, "waited in vain", what)
		}
	}
}

// messages waits for n messages in all.
func (p *peer) messages(t testing.TB, n int) []received {
	t.Helper()
	p.await(t, fmt.Sprintf("%d messages", n), func() bool { return len(p.got) >= n })
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]received(nil), p.got...)
}

// ended waits for the end, which Closing and Gone agree on.
func (p *peer) ended(t testing.TB) transport.Reason {
	t.Helper()
	select {
	case <-p.gone:
	case <-time.After(patience):
		require.Fail(t, "waited in vain", "Gone")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Len(t, p.ends, 2)
	require.Equal(t, p.ends[0], p.ends[1])
	return p.ends[0]
}

// world is a gateway and the clients of a test.
type world struct {
	t      testing.TB
	l      *quic.Listener
	pool   *transport.Pool
	peers  chan *peer
	accept func(*peer)
}

func defaultConfig() quic.Config {
	return quic.Config{
		TLS: serverTLS(), OpenTimeout: patience, HandshakeTimeout: patience / 2, Linger: 500 * time.Millisecond,
	}
}

// start serves a gateway whose peers are given to prepare before they hear anything.
func start(t testing.TB, c quic.Config, prepare func(*peer)) *world {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	w := &world{t: t, pool: transport.NewPool(0, nil), peers: make(chan *peer, 1024), accept: prepare}
	c.Pool = w.pool
	l, err := quic.Listen(t.Context(), "127.0.0.1:0", c)
	require.NoError(t, err)
	w.l = l
	served := w.serve(l)
	t.Cleanup(func() {
		assert.NoError(t, l.Close())
		assert.ErrorIs(t, <-served, net.ErrClosed)
		assert.Zero(t, w.pool.Live(), "buffers that nobody released")
	})
	return w
}

func (w *world) serve(l *quic.Listener) <-chan error {
	served := make(chan error, 1)
	go func() {
		served <- l.Serve(func(c transport.Conn) (transport.Peer, error) {
			p := newPeer(c, w.pool)
			p.hello = func(p *peer) { p.conn.Control(transport.ControlServerHello, nil) }
			if w.accept != nil {
				w.accept(p)
			}
			w.peers <- p
			return p, nil
		})
	}()
	return served
}

func (w *world) peer() *peer {
	w.t.Helper()
	select {
	case p := <-w.peers:
		return p
	case <-time.After(patience):
		require.Fail(w.t, "no connection was handed over")
		return nil
	}
}

// raw is a client that can do anything that QUIC lets it do.
type raw struct {
	*stream
	t testing.TB
}

func (w *world) raw(c *quicgo.Config) *raw {
	w.t.Helper()
	s, err := dial(w.l.Addr(), clientTLS(), c)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = s.Close() })
	return &raw{stream: s, t: w.t}
}

var clientHello = func() []byte {
	b, err := proto.Marshal(&straitv1.ClientHello{Version: 1, Client: "test"})
	if err != nil {
		panic(err)
	}
	return b
}()

// open opens a raw client's session.
func (w *world) open(c *quicgo.Config) (*raw, *peer) {
	w.t.Helper()
	r := w.raw(c)
	r.send(wire.AppendFrame(nil, wire.ClientHello, 0, clientHello))
	p := w.peer()
	require.Equal(w.t, wire.ServerHello, r.next().Type)
	return r, p
}

func (r *raw) send(b []byte) {
	r.t.Helper()
	_, err := r.Write(b)
	require.NoError(r.t, err)
}

type frame struct {
	wire.Header
	payload []byte
}

func (r *raw) next() frame {
	r.t.Helper()
	f, err := readFrame(r.stream)
	require.NoError(r.t, err)
	return f
}

// closed reads until CLOSE, ends the client's side, and returns what CLOSE says.
func (r *raw) closed() transport.Reason {
	r.t.Helper()
	for {
		f := r.next()
		if f.Type == wire.Close {
			code, text, _, err := wire.ParseClose(f.payload)
			require.NoError(r.t, err)
			_ = r.CloseWrite()
			return transport.Reason{Code: transport.Code(code), Text: text}
		}
	}
}

// channel opens a stream that begins with b.
func (r *raw) channel(b ...byte) *quicgo.SendStream {
	r.t.Helper()
	s, err := r.conn.OpenUniStream()
	require.NoError(r.t, err)
	if len(b) > 0 {
		_, err = s.Write(b)
		require.NoError(r.t, err)
	}
	return s
}

// client connects one of this module's own clients.
func (w *world) client(c *quicgo.Config) *peer {
	w.t.Helper()
	end, err := newSocket()
	require.NoError(w.t, err)
	return w.clientFrom(end, w.l.Addr(), c)
}

func (w *world) clientFrom(end *socket, addr net.Addr, c *quicgo.Config) *peer {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	conn, err := end.Dial(ctx, addr, clientTLS(), c)
	require.NoError(w.t, err)
	s := session.New(conn, session.Config{Role: lane.Client, Pool: w.pool, MaxMessage: 65536, Linger: 500 * time.Millisecond})
	p := newPeer(s, w.pool)
	open := make(chan struct{})
	p.hello = func(*peer) { close(open) }
	s.ClientHello(clientHello)
	go s.Run(p)
	w.t.Cleanup(func() {
		s.Close(transport.Reason{Code: transport.Normal})
		<-p.gone
		end.vanish()
	})
	select {
	case <-open:
	case <-time.After(patience):
		require.Fail(w.t, "the session did not open")
	}
	return p
}

// pair is a session and both its ends.
func (w *world) pair(c *quicgo.Config) (client, gateway *peer) {
	w.t.Helper()
	client = w.client(c)
	return client, w.peer()
}
