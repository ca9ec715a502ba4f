// Package transporttest holds every transport to one contract: what WIRE.md
// section 2 and the comments of [transport.Conn] and [transport.Peer] promise,
// also to a client that breaks its own side of it.
//
// It owns the conformance suite, the peer that records what a transport does, the
// raw client that can send anything, and a transport in memory. It never looks
// behind the interfaces: a transport that passes can replace any other.
//
//  1. A transport's test calls [Run] with a function that makes an [Endpoint]: a
//     listener of its own, and a way to dial a raw stream of bytes to it.
//  2. Each test starts the listener with a [Peer] for every connection, plays a
//     client on raw streams, and looks at what the peer was told.
//  3. At the end of each the listener is closed; then every peer must have been
//     told of the end once and in order, no goroutine and no buffer may be left.
//
// [Memory] is the second implementation of the interfaces, made in another way
// than the ones on sockets (one goroutine that never blocks on input or output),
// so that the suite does not grow around one of them. It comes with datagrams and
// without.
package transporttest

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/transport"
)

// patience bounds everything that a test waits for.
const patience = 20 * time.Second

// Setup is what a transport is configured with for one test. Fields have the
// meaning that they have in every transport's own Config; none is zero but Openings.
type Setup struct {
	Pool          *transport.Pool
	Openings      *transport.Openings
	OpenTimeout   time.Duration
	MaxMessage    int
	Linger        time.Duration
	LingerBytes   int
	MaxUnreliable int
}

// Endpoint is a transport under test.
type Endpoint struct {
	// Listener has not been served yet.
	Listener transport.Listener
	Kind     transport.Kind
	// Dial connects and does the transport's own handshake. It is called from any
	// goroutine, and only while the listener is served. An error is what a client
	// would see. Where the gateway could open streams of its own the client grants
	// none, so that all it sends comes on this one. The Stream of a connection that
	// carries datagrams is a Datagrams, too.
	Dial func() (Stream, error)
	// Crowd is how many clients come where a test is about many; 0 is 4000. Less is
	// for transports whose handshakes take long.
	Crowd int
}

// Datagrams is the client's end of a connection that carries datagrams: bodies as
// in WIRE.md section 5. Both methods are safe beside each other and beside those of
// Stream.
type Datagrams interface {
	// SendDatagram sends one; b is borrowed. What finds no room may be lost.
	SendDatagram(b []byte) error
	// ReceiveDatagram waits for one. It fails when the stream is reset or closed.
	ReceiveDatagram() ([]byte, error)
}

// Stream is a client's reliable stream of bytes.
type Stream interface {
	io.ReadWriter
	// CloseWrite ends the client's side in order, as one that has said everything
	// does; reading goes on.
	CloseWrite() error
	// Close ends the stream in order. Idempotent, and safe beside Read and Write.
	Close() error
	// Reset ends the stream as a broken link does, without any end of the stream's
	// own. Safe beside Read and Write, which fail.
	Reset()
}

// New makes the transport under test; whatever must be cleaned up beside the
// listener is given to t.Cleanup.
type New func(t *testing.T, s Setup) Endpoint

// Run runs the whole suite.
func Run(t *testing.T, new New) {
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"opening", openingTests}, {"messages", messageTests}, {"datagrams", datagramTests}, {"closing", closingTests},
		{"refusing", refusingTests}, {"breaches", breachTests}, {"flood", floodTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, one := range group.tests {
				t.Run(one.name, func(t *testing.T) { one.run(t, new) })
			}
		})
	}
}

type test struct {
	name string
	run  func(t *testing.T, new New)
}

// world is one test's gateway: a served listener and the peers it was given.
type world struct {
	t        *testing.T
	pool     *transport.Pool
	endpoint Endpoint
	setup    Setup
	peers    chan *Peer
	served   chan error
	behave   Behaviour
}

func defaults() Setup {
	return Setup{
		OpenTimeout: patience, MaxMessage: 65536, Linger: 500 * time.Millisecond,
		LingerBytes: 256 << 10, MaxUnreliable: 1100,
	}
}

// start serves a new transport whose peers behave as b says. Afterwards it holds
// them to what every connection is promised.
func start(t *testing.T, new New, b Behaviour, change ...func(*Setup)) *world {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	w := &world{
		t: t, pool: transport.NewPool(0, nil), setup: defaults(), behave: b,
		peers: make(chan *Peer, 16384), served: make(chan error, 1),
	}
	w.setup.Pool = w.pool
	for _, f := range change {
		f(&w.setup)
	}
	var mu sync.Mutex
	var all []*Peer // guarded by mu
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	w.endpoint = new(t, w.setup)
	go func() {
		w.served <- w.endpoint.Listener.Serve(func(c transport.Conn) (transport.Peer, error) {
			if b.Accept != nil {
				if err := b.Accept(c); err != nil {
					return nil, err
				}
			}
			p := newPeer(c, w.pool, b)
			mu.Lock()
			all = append(all, p)
			mu.Unlock()
			w.peers <- p
			return p, nil
		})
	}()
	t.Cleanup(func() {
		begun := time.Now()
		assert.NoError(t, w.endpoint.Listener.Close())
		assert.Less(t, time.Since(begun), w.setup.Linger+patience, "Close takes no longer than it lingers")
		select {
		case err := <-w.served:
			assert.ErrorIs(t, err, net.ErrClosed)
		case <-time.After(patience):
			assert.Fail(t, "Serve did not return after Close")
		}
		assert.NoError(t, w.endpoint.Listener.Close(), "Close is idempotent")
		mu.Lock()
		defer mu.Unlock()
		for _, p := range all {
			p.verify(t)
			p.out.Drop()
		}
		assert.Zero(t, w.pool.Live(), "buffers that nobody released")
		assert.Zero(t, w.pool.Used(), "bytes that nobody released")
	})
	return w
}

// peer waits for the next connection's peer.
func (w *world) peer() *Peer {
	w.t.Helper()
	select {
	case p := <-w.peers:
		return p
	case <-time.After(patience):
		require.Fail(w.t, "no connection was handed over")
		return nil
	}
}

// dial connects a raw client that is closed at the end of the test.
func (w *world) dial() *Client {
	w.t.Helper()
	s, err := w.endpoint.Dial()
	require.NoError(w.t, err)
	return newClient(w.t, s)
}

// open connects a client and opens its session.
func (w *world) open() (*Client, *Peer) {
	w.t.Helper()
	c := w.dial()
	c.Hello()
	p := w.peer()
	c.ServerHello()
	return c, p
}

func within(t *testing.T, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		require.Fail(t, "waited in vain", what)
	}
}
