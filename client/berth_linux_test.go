package client_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"strait/client"
	"strait/client/clienttest"
)

// A socket that takes the place of another gets the options that quic-go gave that one:
// without them its probes for a larger MTU were fragmented and said nothing.
func TestQUICRebindsWithTheSameOptions(t *testing.T) {
	var sockets []net.PacketConn
	g := startBoth(t, clienttest.Config{})
	c := dial(t, g, client.Options{Transport: client.QUIC, ListenPacket: keeping(&sockets)})
	c.PartAfter(time.Millisecond)
	for range 3 {
		require.NoError(t, c.Rebind(timeout(t)))
		raw, err := sockets[len(sockets)-1].(*net.UDPConn).SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(fd uintptr) {
			df, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER)
			assert.NoError(t, err)
			assert.Equal(t, unix.IP_PMTUDISC_PROBE, df)
			ecn, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS)
			assert.NoError(t, err)
			assert.Equal(t, 1, ecn)
		}))
		parts(t, sockets)
	}
	assert.Equal(t, 2, c.Transports())
}
