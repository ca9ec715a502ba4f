package quic_test

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/quic/session"
	"strait/transport/lane"
)

func portOf(a net.Addr) uint16 { return session.AddrPort(a).Port() }

// A client that moves to another socket keeps its session, and Path shows where it is.
func TestMigration(t *testing.T) {
	w := start(t, defaultConfig(), func(p *peer) { p.echo = true })
	first, err := newSocket()
	require.NoError(t, err)
	second, err := newSocket()
	require.NoError(t, err)
	t.Cleanup(second.vanish)

	conn, err := first.Dial(t.Context(), w.l.Addr(), clientTLS(), clientQUIC())
	require.NoError(t, err)
	client := w.runClient(first, conn)
	gateway := w.peer()
	client.send(reliable, 1, "from the first")
	client.messages(t, 1)
	require.Equal(t, portOf(first.LocalAddr()), gateway.conn.Path().Remote.Port())

	path, err := conn.AddPath(second.Transport)
	require.NoError(t, err)
	require.NoError(t, path.Probe(t.Context()))
	require.NoError(t, path.Switch())
	n := 1
	require.Eventually(t, func() bool {
		client.send(reliable, 1, "from the second")
		client.send(unreliable, 1, "from the second")
		n++
		return gateway.conn.Path().Remote.Port() == portOf(second.LocalAddr())
	}, patience, 10*time.Millisecond)
	client.messages(t, n)
	assert.EqualValues(t, 1, w.l.Stats().Session.Migrations)
	assert.GreaterOrEqual(t, gateway.conn.Max(), 1100)
}

// runClient runs a session on a connection that the test made itself.
func (w *world) runClient(end *socket, conn *quicgo.Conn) *peer {
	s := session.New(conn, session.Config{Role: lane.Client, Pool: w.pool, Linger: 500 * time.Millisecond})
	p := newPeer(s, w.pool)
	open := make(chan struct{})
	p.hello = func(*peer) { close(open) }
	s.ClientHello(clientHello)
	go s.Run(p)
	w.t.Cleanup(func() {
		s.Close(closing)
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

// nat is a router between clients and a gateway on loopback: it forwards, from a port of
// its own that it may change.
type nat struct {
	inside  net.PacketConn
	gateway net.Addr
	client  atomic.Pointer[net.Addr]
	outside atomic.Pointer[net.PacketConn]
	running sync.WaitGroup
}

func newNAT(t *testing.T, gateway net.Addr) *nat {
	inside, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	n := &nat{inside: inside, gateway: gateway}
	n.rebind(t)
	n.running.Go(func() {
		b := make([]byte, 2048)
		for {
			k, from, err := inside.ReadFrom(b)
			if err != nil {
				return
			}
			n.client.Store(&from)
			_, _ = (*n.outside.Load()).WriteTo(b[:k], n.gateway)
		}
	})
	t.Cleanup(func() {
		_ = inside.Close()
		_ = (*n.outside.Load()).Close()
		n.running.Wait()
	})
	return n
}

// rebind takes another port, as a NAT does that has forgotten a flow.
func (n *nat) rebind(t *testing.T) netip.AddrPort {
	outside, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	if old := n.outside.Swap(&outside); old != nil {
		_ = (*old).Close()
	}
	n.running.Go(func() {
		b := make([]byte, 2048)
		for {
			k, _, err := outside.ReadFrom(b)
			if err != nil {
				return
			}
			if c := n.client.Load(); c != nil {
				_, _ = n.inside.WriteTo(b[:k], *c)
			}
		}
	})
	return session.AddrPort(outside.LocalAddr())
}

// A NAT that gives the client another port is followed without the client's doing.
func TestRebinding(t *testing.T) {
	w := start(t, defaultConfig(), func(p *peer) { p.echo = true })
	router := newNAT(t, w.l.Addr())
	end, err := newSocket()
	require.NoError(t, err)
	client := w.clientFrom(end, router.inside.LocalAddr(), clientQUIC())
	gateway := w.peer()
	client.send(reliable, 1, "before")
	client.messages(t, 1)
	for round := range 2 {
		moved := router.rebind(t)
		n := len(client.messages(t, 1))
		client.send(reliable, 1, "after")
		client.messages(t, n+1)
		require.Eventually(t, func() bool {
			client.send(reliable, 1, "more")
			return gateway.conn.Path().Remote == moved
		}, patience, 10*time.Millisecond)
		assert.EqualValues(t, round+1, w.l.Stats().Session.Migrations)
	}
}
