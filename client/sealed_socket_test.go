package client_test

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/client/clienttest"
)

// narrow is a socket as Windows has them: a datagram above the buffer is an error.
type narrow struct {
	net.PacketConn
	long atomic.Int32
}

func (n *narrow) ReadFrom(p []byte) (int, net.Addr, error) {
	var b [1500]byte
	got, from, err := n.PacketConn.ReadFrom(b[:])
	if err == nil && got >= len(p) {
		n.long.Add(1)
		return 0, nil, &net.OpError{Op: "read", Err: syscall.EMSGSIZE}
	}
	return copy(p, b[:got]), from, err
}

// Anybody can send a datagram that is too long: it costs the lane nothing.
func TestLaneOutlivesLongDatagrams(t *testing.T) {
	var socket *narrow
	g := startGateway(t, clienttest.Config{UDP: true})
	c, _ := bind(t, g, client.Options{
		ListenPacket: func(_ context.Context, network string) (net.PacketConn, error) {
			p, err := net.ListenPacket(network, "127.0.0.1:0")
			socket = &narrow{PacketConn: p}
			return socket, err
		},
	})
	stranger, err := net.Dial("udp", socket.LocalAddr().String())
	require.NoError(t, err)
	defer func() { _ = stranger.Close() }()
	for n := int32(1); n <= 2; n++ {
		_, err = stranger.Write(make([]byte, 1300))
		require.NoError(t, err)
		require.Eventually(t, func() bool { return socket.long.Load() == n }, patience, time.Millisecond)
	}
	exchange(t, c, 1, []byte("still here"))
	info := c.Info()
	assert.True(t, info.Lane.Bound)
	assert.Zero(t, info.Lane.Moves)
}

// A lane for which there is no other socket stays where it is, and who asked for one
// learns why at once.
func TestLaneWithoutAnotherSocket(t *testing.T) {
	var sockets atomic.Int32
	g := startGateway(t, clienttest.Config{UDP: true})
	c, _ := bind(t, g, client.Options{
		ListenPacket: func(_ context.Context, network string) (net.PacketConn, error) {
			if sockets.Add(1) > 1 {
				return nil, syscall.EMFILE
			}
			return net.ListenPacket(network, "127.0.0.1:0")
		},
	})
	for range 2 {
		require.ErrorIs(t, c.Rebind(timeout(t)), syscall.EMFILE)
	}
	exchange(t, c, 0, []byte("still here"))
	assert.Zero(t, c.Info().Lane.Moves)
}
