package tcp_test

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/tcp"
	"strait/transport"
	"strait/transport/outbox"
)

// countingListener counts the writes of what it accepts, and the deadlines for
// writing that are further away than the end of a connection may take.
type countingListener struct {
	net.Listener
	writes, late atomic.Int64
}

type countingConn struct {
	*net.TCPConn
	l *countingListener
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countingConn{c.(*net.TCPConn), l}, nil
}

func (c countingConn) Write(b []byte) (int, error) {
	c.l.writes.Add(1)
	return c.TCPConn.Write(b)
}

func (c countingConn) SetWriteDeadline(t time.Time) error {
	if time.Until(t) > linger {
		c.l.late.Add(1)
	}
	return c.TCPConn.SetWriteDeadline(t)
}

// burst queues everything at once when it is opened.
type burst struct {
	*echo
	messages, size int
}

func (b burst) Hello([]byte) {
	pool := transport.NewPool(0, nil)
	for range b.messages {
		_, _ = b.out.Push(transport.Message{Buf: pool.Get(b.size)})
		b.conn.Wake()
	}
	b.conn.Control(transport.ControlServerHello, nil)
}

func TestWritesAreFullRecords(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	counting := &countingListener{Listener: inner}
	l, err := tcp.New(counting, config(nil))
	require.NoError(t, err)
	const messages, size = 1000, 58 // 64 bytes each with their header: 62.5 KiB
	served := make(chan error, 1)
	go func() {
		served <- l.Serve(func(c transport.Conn) (transport.Peer, error) {
			e := &echo{conn: c}
			e.out.Init(outbox.Config{ReliableBytes: 1 << 20})
			return burst{e, messages, size}, nil
		})
	}()
	s, err := dial(inner.Addr(), clientTLS())
	require.NoError(t, err)
	_, err = io.ReadFull(s, nil)
	require.NoError(t, err)
	_, err = s.Write(wire.AppendFrame(nil, wire.ClientHello, 0, nil))
	require.NoError(t, err)
	_, err = io.ReadFull(s, make([]byte, wire.HeaderLen+messages*(wire.HeaderLen+size)))
	require.NoError(t, err)
	// The handshake's writes, then SERVER_HELLO and messages: four full records, or
	// five if the first write came before the messages.
	assert.LessOrEqual(t, counting.writes.Load(), int64(2+5))
	_, err = s.Write(wire.AppendClose(nil, 0, "bye", 0))
	require.NoError(t, err)
	_, err = io.ReadAll(s)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, l.Close())
	assert.ErrorIs(t, <-served, net.ErrClosed)
	assert.Zero(t, counting.late.Load(), "crypto/tls gives close_notify 5 s")
}
