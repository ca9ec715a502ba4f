package e2e

import (
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who floods the gateway with half-open connections from one address pushes out his
// own; a player from another takes as long as he needs to open.
func TestHalfOpenConnectionsOfAnother(t *testing.T) {
	t.Parallel()
	const room = 16
	gw := serve(t, fmt.Sprintf("STRAIT_MAX_HANDSHAKES=%d", room))
	slow := connect(t, gw) // done with TLS, but not open
	flood := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	const n = 200
	for range n {
		conn, err := flood.Dial("tcp", gw.addr)
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
	}
	gw.reaches("strait_evicted_openings_total", n+1-room)
	slow.write(clientHello())
	slow.welcome()
	slow.plays()
	join(t, gw).plays()
}
