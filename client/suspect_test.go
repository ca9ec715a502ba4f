package client_test

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/client/clienttest"
	"strait/transport"
)

// deafening is a listener whose connections fall silent, as those do whose client has
// moved to another address.
type deafening struct {
	net.Listener
	silent atomic.Bool
}

func (l *deafening) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &deafened{c, l}, err
}

type deafened struct {
	net.Conn
	l *deafening
}

func (c *deafened) Write(p []byte) (int, error) {
	if c.l.silent.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// A player moves to another network: the lane moves with him, the TCP connection is
// dead, and he comes back long before the idle timeout.
func TestMoveThatTheConnectionDoesNotSurvive(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	silent := &deafening{Listener: l}
	g := startGateway(t, clienttest.Config{UDP: true, Listener: silent})
	c, heard := bind(t, g, client.Options{})
	silent.silent.Store(true)
	require.NoError(t, c.Rebind(timeout(t)))
	lost := heard.next(t, client.Lost)
	require.ErrorIs(t, lost.Err, transport.Idle)
	assert.ErrorContains(t, lost.Err, "the address changed")
	silent.silent.Store(false)
	heard.next(t, client.Reconnecting)
	heard.next(t, client.Reopened)
	heard.next(t, client.LaneBound)
	exchange(t, c, 0, []byte("here I am again"))
}

// Where the connection does survive, a move changes nothing.
func TestMoveThatTheConnectionSurvives(t *testing.T) {
	g := startGateway(t, clienttest.Config{UDP: true})
	c, _ := bind(t, g, client.Options{})
	session := c.Session()
	require.NoError(t, c.Rebind(timeout(t)))
	require.Never(t, func() bool { return c.Session() != session }, client.LongSuspicion+client.LongSuspicion/4, client.LongSuspicion/10)
	exchange(t, c, 0, []byte("still here"))
}

func TestPatience(t *testing.T) {
	for rtt, want := range map[time.Duration]time.Duration{
		0:                      3 * time.Second,
		time.Millisecond:       time.Second,
		200 * time.Millisecond: 1600 * time.Millisecond,
		time.Second:            3 * time.Second,
	} {
		assert.Equal(t, want, client.Patience(rtt), "round trip %v", rtt)
	}
}
