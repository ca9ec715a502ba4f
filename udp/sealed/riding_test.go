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

// A lane that carries a message a second tells its REPORT with the messages, in time.
func TestReportsOfQuietLanesRide(t *testing.T) {
	for _, every := range []time.Duration{780 * time.Millisecond, 830 * time.Millisecond, 990 * time.Millisecond} {
		p := newPair(t, setup{ // without PINGs
			gateway: sealed.Config{PingEvery: time.Hour, IdleTimeout: time.Hour},
			client:  sealed.ClientConfig{PingEvery: time.Hour},
		}).bind()
		alone, rode := map[string]int{}, map[string]int{}
		carry := func() {
			up, down := p.fromClient(), p.fromGateway()
			alone["up"] += len(up)
			alone["down"] += len(down)
			for _, b := range up {
				require.Equal(t, sealed.DropNone, p.toGateway(b, home))
			}
			for _, s := range down {
				require.Equal(t, sealed.DropNone, p.toClient(s.pkt))
			}
		}
		const seconds = 60
		n := int(seconds * time.Second / every)
		for i := range n {
			up := p.up(uint16(i), "x")
			require.Equal(t, sealed.DropNone, p.toGateway(up, home))
			down, _, err := p.down(uint16(i), "x")
			require.NoError(t, err)
			require.Equal(t, sealed.DropNone, p.toClient(down))
			if len(up) > 17+5+1+16 {
				rode["up"]++
			}
			if len(down) > 5+5+1+16 {
				rode["down"]++
			}
			p.pass(every, carry)
		}
		for _, way := range []string{"up", "down"} {
			require.LessOrEqual(t, alone[way], 2, "%s, a message every %s", way, every)
			require.GreaterOrEqual(t, rode[way], seconds/2-2, "%s, a message every %s", way, every)
		}
	}
}
