package remote_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"strait/proto/straitv1"
	"strait/transport"
	"strait/upstream"
	"strait/upstream/remote"
	"strait/upstream/upstreamtest"
)

// A backend knows a session's path as it is now, also one that comes later.
func TestLinkReachesTheBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		b := newLogic()
		var told []*straitv1.Opened
		b.opened = func(o *straitv1.Opened) { told = append(told, o) }
		n.up("10.0.0.1:1", b)
		start(t, g, n, remote.Config{Grace: time.Minute}, "10.0.0.1:1")
		s := g.Open(upstream.Announcement{})
		b.await(t, s.Handle(), 1)
		s.SetLink(transport.Info{
			Kind: transport.KindTCPUDP, Remote: netip.MustParseAddrPort("198.51.100.2:77"), Queued: 9,
			Path: transport.Path{RTT: 7 * time.Millisecond, Jitter: 3 * time.Millisecond, LossPPM: 1234},
		})
		require.Equal(t, seen{"link", s.Handle(), "TRANSPORT_TCP_UDP 198.51.100.2:77 rtt 7000 jitter 3000 loss 1234 queued 9"},
			b.await(t, s.Handle(), 2)[1])

		n.down("10.0.0.1:1")
		n.up("10.0.0.1:1", b)
		b.await(t, s.Handle(), 3)
		synctest.Wait()
		require.Len(t, told, 2)
		require.Equal(t, straitv1.Transport_TRANSPORT_TCP, told[0].Transport)
		require.Equal(t, straitv1.Transport_TRANSPORT_TCP_UDP, told[1].Transport)
		require.Equal(t, "198.51.100.2:77", told[1].Remote)
	})
}
