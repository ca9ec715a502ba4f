package sealed_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strait/udp/sealed"
)

// "For the client the lane is bound with ACCEPT, for the gateway with PATH_RESPONSE."
func TestBinding(t *testing.T) {
	for _, a := range []sealed.AEAD{sealed.AES128GCM, sealed.ChaCha20Poly1305} {
		p := newPair(t, setup{aead: a})
		require.True(t, p.lane.OfferDue())
		p.offer()
		require.False(t, p.lane.OfferDue())
		hello := p.fromClient()
		require.Len(t, hello, 1)
		require.Len(t, hello[0], sealed.MaxPacket)
		require.Equal(t, sealed.DropNone, p.toGateway(hello[0], home))
		require.False(t, p.lane.Bound())
		answer := p.fromGateway()
		require.Len(t, answer, 1)
		require.Equal(t, home, answer[0].to)
		require.Equal(t, sealed.Opening, p.client.State())
		require.Equal(t, sealed.DropNone, p.toClient(answer[0].pkt))
		require.Equal(t, sealed.Bound, p.client.State())
		response := p.fromClient()
		require.Len(t, response, 1)
		require.Equal(t, sealed.DropNone, p.toGateway(response[0], home))
		require.True(t, p.lane.Bound())
		require.Equal(t, home, p.lane.Remote())
		p.settle()
		p.talk(1)
	}
}
