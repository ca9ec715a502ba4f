package sealed_test

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/udp/sealed"
)

var (
	port2 = addr("192.0.2.1:2000")
	port3 = addr("192.0.2.1:3000")
	away  = addr("198.51.100.7:1000")
	away2 = addr("198.51.100.8:1000")
)

// where is the address that the gateway sends a message to.
func (p *pair) where() netip.AddrPort {
	p.t.Helper()
	_, to, err := p.down(1, "x")
	require.NoError(p.t, err)
	return to
}

// "A new port of the same IP is used at once, within the byte limit of 6.4, with a
// challenge beside it."
func TestNewPort(t *testing.T) {
	p, r := boundRaw(t, setup{})
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(1, "moved")...), port2))
	require.Equal(t, port2, p.lane.Remote())
	_, _, err := p.down(1, string(make([]byte, 200)))
	require.ErrorIs(t, err, sealed.ErrBudget)
	require.Zero(t, p.drops.Get(sealed.DropBudget), "it may be sent later")
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(2, string(make([]byte, 400)))...), port2))
	b, to, err := p.down(1, string(make([]byte, 200)))
	require.NoError(t, err)
	require.Equal(t, port2, to)
	challenge := r.open(b)[0x13]
	require.Len(t, challenge, 8, "it rides along")
	p.now = p.now.Add(999 * time.Millisecond)
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(append([]byte{0x14}, challenge...)...), port2))
	p.now = p.now.Add(time.Minute / 3)
	p.lane.Tick(p.now)
	require.Equal(t, port2, p.where())
}

// "Without PATH_RESPONSE within 1 s the lane returns to the last proven address."
func TestNewPortWithoutAnswer(t *testing.T) {
	p, r := boundRaw(t, setup{})
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(1, string(make([]byte, 900)))...), port2))
	at := p.now
	challenge := r.challenged(p)[port2]
	require.NotNil(t, challenge)
	require.False(t, p.lane.Deadline().After(at.Add(time.Second)))
	p.now = at.Add(999 * time.Millisecond)
	p.lane.Tick(p.now)
	require.Equal(t, port2, p.where())
	p.now = at.Add(time.Second)
	p.lane.Tick(p.now)
	require.Equal(t, home, p.where())
	require.True(t, p.lane.Bound())

	// The client goes on from there: once more it is used at once, and an answer to the
	// first challenge, on a path of more than a second, still counts.
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(2, string(make([]byte, 900)))...), port2))
	require.Equal(t, port2, p.where())
	p.now = p.now.Add(200 * time.Millisecond)
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(append([]byte{0x14}, challenge...)...), port2))
	p.now = p.now.Add(2 * time.Second)
	p.lane.Tick(p.now)
	require.Equal(t, port2, p.where())
}

// "At most once a second, except back to the last proven address, which is at once."
func TestMovesAtMostOnceASecond(t *testing.T) {
	p, r := boundRaw(t, setup{})
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(1, "a")...), port2))
	require.Equal(t, port2, p.lane.Remote())
	p.now = p.now.Add(100 * time.Millisecond)
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(2, "b")...), port3))
	require.Equal(t, port2, p.lane.Remote(), "too soon")
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(3, "c")...), away))
	require.NotContains(t, r.challenged(p), away, "too soon")
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(4, "d")...), home))
	require.Equal(t, home, p.lane.Remote(), "back is at once")
	p.now = p.now.Add(899 * time.Millisecond)
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(5, "e")...), port3))
	require.Equal(t, home, p.lane.Remote())
	p.now = p.now.Add(time.Millisecond)
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(6, "f")...), port3))
	require.Equal(t, port3, p.lane.Remote())
	require.Len(t, p.atLane.take(), 6, "messages are taken wherever they come from")
}

// "Only an authenticated packet with a new highest packet number moves it."
func TestOldPacketsDoNotMove(t *testing.T) {
	p, r := boundRaw(t, setup{})
	late, forged := r.data(msg(1, "late")...), r.data(msg(2, "forged")...)
	forged[20]++
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(3, "x")...), home))
	require.Equal(t, sealed.DropNone, p.toGateway(late, port2))
	require.Equal(t, home, p.lane.Remote())
	r.pn += 10
	require.Equal(t, sealed.DropAuth, p.toGateway(forged, port2))
	require.Equal(t, home, p.lane.Remote())
	// Dropped whole, though authentic.
	require.Equal(t, sealed.DropFrame, p.toGateway(r.data(append(msg(4, "x"), 0x7F)...), port2))
	require.Equal(t, home, p.lane.Remote())
	require.Equal(t, sealed.DropReplay, p.toGateway(late, port2))
}

// "A new IP is challenged first, the old address serving meanwhile."
func TestNewIP(t *testing.T) {
	p, r := boundRaw(t, setup{})
	for i := range 3 {
		require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(uint16(i), "x")...), away))
		require.Equal(t, home, p.where())
	}
	c := r.challenged(p)
	require.Len(t, c, 1)
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(append([]byte{0x14}, c[away]...)...), home))
	require.Equal(t, home, p.where(), "an answer proves where it comes from")
	p.now = p.now.Add(250 * time.Millisecond)
	require.Equal(t, c, r.challenged(p), "repeated")
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(append([]byte{0x14}, c[away]...)...), away))
	require.Equal(t, away, p.where())
	require.Equal(t, away, p.lane.Remote())

	// home is no longer the last proven one.
	p.now = p.now.Add(100 * time.Millisecond)
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(9, "x")...), home))
	require.Empty(t, r.challenged(p))
	p.now = p.now.Add(time.Second)
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(10, "x")...), home))
	require.Contains(t, r.challenged(p), home)
	require.Equal(t, away, p.where())
	// A third one takes over from it after a second.
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(11, "x")...), away2))
	require.Empty(t, r.challenged(p))
	p.now = p.now.Add(time.Second)
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(12, "x")...), away2))
	require.Contains(t, r.challenged(p), away2)
}

// The answer of a new IP moves the lane as any packet does: if it is the newest.
func TestNewIPWithALateAnswer(t *testing.T) {
	p, r := boundRaw(t, setup{})
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(1, string(make([]byte, 900)))...), away))
	answer := append([]byte{0x14}, r.challenged(p)[away]...)
	late := r.data(answer...)
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(2, "newer")...), home))
	require.Equal(t, sealed.DropNone, p.toGateway(late, away))
	require.Equal(t, home, p.where())
	p.now = p.now.Add(250 * time.Millisecond)
	require.Contains(t, r.challenged(p), away, "it is asked again")
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(answer...), away))
	require.Equal(t, away, p.where())
}

// A new IP gets no more bytes than came from it.
func TestNewIPByteLimit(t *testing.T) {
	p, r := boundRaw(t, setup{})
	gave, got := 0, 0
	for range 100 {
		b := r.data(append(ping, ping...)...)
		gave += len(b)
		require.Equal(t, sealed.DropNone, p.toGateway(b, away))
		p.now = p.now.Add(20 * time.Millisecond)
		for _, s := range p.fromGateway() {
			if s.to == away {
				got += len(s.pkt)
			}
		}
		require.LessOrEqual(t, got, gave)
	}
	require.Positive(t, got)
	require.Equal(t, home, p.where())
}

// "8 bytes of the newest challenge received from that address."
func TestGatewayAnswersChallenges(t *testing.T) {
	p, r := boundRaw(t, setup{})
	challenge := func(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{0x13}, n) }
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(append(challenge(1), challenge(2)...)...), home))
	out := p.fromGateway()
	require.Len(t, out, 1)
	require.Equal(t, home, out[0].to)
	require.EqualValues(t, 2, binary.BigEndian.Uint64(r.open(out[0].pkt)[0x14]))
	old := r.data(challenge(3)...)
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(pad...), home))
	require.Equal(t, sealed.DropNone, p.toGateway(old, away))
	out = p.fromGateway()
	require.Len(t, out, 1)
	require.Equal(t, away, out[0].to, "an address that does not move the lane")
	require.Less(t, len(out[0].pkt), len(old))
}

// The gateway unbinds after the announced silence; the client may come back on it.
func TestIdle(t *testing.T) {
	p, r := boundRaw(t, setup{gateway: sealed.Config{IdleTimeout: 10 * time.Second}})
	p.now = noon.Add(10*time.Second - 1)
	p.lane.Tick(p.now)
	require.True(t, p.lane.Bound())
	p.now = noon.Add(10 * time.Second)
	require.False(t, p.lane.Deadline().After(p.now))
	p.lane.Tick(p.now)
	require.False(t, p.lane.Bound())
	require.Equal(t, sealed.CauseIdle, p.lane.Cause())
	_, _, err := p.down(1, "x")
	require.ErrorIs(t, err, sealed.ErrUnbound)
	require.Empty(t, p.fromGateway())

	// "While a lane is unbound the gateway sends a fresh UDP_OFFER at most every 60 s."
	require.False(t, p.lane.OfferDue())
	require.Equal(t, noon.Add(60*time.Second), p.lane.Deadline())
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(1, "back")...), away))
	require.Equal(t, []received{{1, 1, "back"}}, p.atLane.take())
	require.False(t, p.lane.Bound())
	r.prove(p, away)
	require.True(t, p.lane.Bound())
	require.Equal(t, away, p.where())
}

// Deadlines never lie: between them Tick changes nothing, and there is an end to them.
func TestDeadlines(t *testing.T) {
	p := newPair(t, setup{}).bind()
	require.Equal(t, sealed.DropNone, p.toGateway(p.up(1, "x"), port2))
	p.fromGateway()
	for range 50 {
		d := p.lane.Deadline()
		require.False(t, d.IsZero())
		require.True(t, d.After(p.now), "%v", p.now.Sub(noon))
		p.now = d
		p.lane.Tick(d)
		p.fromGateway()
		if p.lane.OfferDue() {
			_, err := p.lane.Offer(home, p.now)
			require.NoError(t, err)
		}
	}
}
