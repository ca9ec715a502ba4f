package sealed_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/udp/sealed"
)

// full is as long as a message in one packet to the client can be: nothing rides along.
const full = sealed.MaxPacket - 5 - 16 - 6

// A challenge is what ends the byte limit: messages neither take its bytes nor, where
// they leave no place beside them, put it off.
func TestMessagesDoNotStarveChallenges(t *testing.T) {
	t.Run("of bytes", func(t *testing.T) {
		p, r := boundRaw(t, setup{})
		up := r.data(msg(1, "moved")...)
		require.Equal(t, sealed.DropNone, p.toGateway(up, port2))
		// An echo is 8 bytes shorter than what it answers, a challenge has 9.
		_, _, err := p.down(1, "moved")
		require.ErrorIs(t, err, sealed.ErrBudget)
		require.Contains(t, r.challenged(p), port2)
	})
	t.Run("of place", func(t *testing.T) {
		p, r := boundRaw(t, setup{})
		up := string(make([]byte, 1100))
		for seq := range uint16(3) {
			require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(seq, up)...), port2))
		}
		b, to, err := p.down(1, string(make([]byte, full)))
		require.NoError(t, err)
		require.Equal(t, port2, to)
		require.Len(t, b, sealed.MaxPacket)
		require.Contains(t, r.challenged(p), port2)
	})
}

// A PING is answered also while packets are full of messages.
func TestMessagesDoNotReplacePongs(t *testing.T) {
	p, r := boundRaw(t, setup{})
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(ping...), home))
	b, _, err := p.down(1, string(make([]byte, full)))
	require.NoError(t, err)
	require.NotContains(t, r.open(b), byte(0x06))
	out := p.fromGateway()
	require.NotEmpty(t, out)
	require.Contains(t, r.open(out[0].pkt), byte(0x06))
	require.Zero(t, p.drops.Get(sealed.DropBudget))
}

// Whoever writes may have looked at the clock before the packet came that he answers.
func TestAnswerFromBeforeTheQuestion(t *testing.T) {
	p, r := boundRaw(t, setup{})
	before := p.now
	p.now = p.now.Add(time.Millisecond)
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(ping...), home))
	b, _, ok := p.lane.Control(nil, before)
	require.True(t, ok)
	require.Zero(t, binary.BigEndian.Uint32(r.open(b)[0x06][8:]), "its delay")
}
