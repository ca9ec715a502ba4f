package sealed_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/udp/sealed"
)

// "The client starts the new epoch with its next DATA; the gateway sends under it after
// the first authenticated packet of it; from then both take the old epoch for 3 s more.
// Receivers choose the keys by K."
func TestRotation(t *testing.T) {
	p := newPair(t, setup{}).bind()
	oldUp, oldUp2 := p.up(1, "up 1"), p.up(2, "up 2")
	oldDown, _, err := p.down(1, "down 1")
	require.NoError(t, err)
	oldDown2, _, err := p.down(2, "down 2")
	require.NoError(t, err)
	oldDown3, _, err := p.down(3, "down 3")
	require.NoError(t, err)
	o := p.offer()
	require.EqualValues(t, 1, o.Epoch)
	require.Equal(t, sealed.Bound, p.client.State(), "without HELLO")
	newUp := p.up(3, "up 3")
	require.EqualValues(t, 0x1A, newUp[0])
	require.Zero(t, number(newUp, sealed.ToGateway), "packet numbers restart at 0")
	b, _, err := p.down(4, "down 4")
	require.NoError(t, err)
	require.EqualValues(t, 0x12, b[0], "the gateway has seen nothing of it yet")
	require.Equal(t, sealed.DropNone, p.toClient(b))
	p.now = p.now.Add(20 * time.Second) // however long that takes
	p.client.Tick(p.now)
	p.lane.Tick(p.now)
	require.Equal(t, sealed.DropNone, p.toClient(oldDown))

	require.Equal(t, sealed.DropNone, p.toGateway(newUp, home))
	b, _, err = p.down(5, "down 5")
	require.NoError(t, err)
	require.EqualValues(t, 0x1A, b[0])
	require.Zero(t, number(b, sealed.ToClient))
	require.Equal(t, sealed.DropNone, p.toClient(b))

	p.now = p.now.Add(3*time.Second - 1)
	require.Equal(t, sealed.DropNone, p.toGateway(oldUp, home))
	require.Equal(t, sealed.DropReplay, p.toGateway(oldUp, home))
	require.Equal(t, sealed.DropNone, p.toClient(oldDown2))
	p.now = p.now.Add(1)
	require.Equal(t, sealed.DropEpoch, p.toGateway(oldUp2, home))
	require.Equal(t, sealed.DropEpoch, p.toClient(oldDown3))
	require.Len(t, p.atLane.take(), 2)
	require.Len(t, p.atClient.take(), 4)
}

// An old epoch's packets do not move the lane, whatever their number.
func TestOldEpochDoesNotMove(t *testing.T) {
	p := newPair(t, setup{}).bind()
	old := p.up(1, "old")
	p.offer()
	p.settle()
	require.Equal(t, sealed.DropNone, p.toGateway(old, port2))
	require.Equal(t, home, p.lane.Remote())
	require.Equal(t, sealed.DropNone, p.toGateway(p.up(2, "new"), port2))
	require.Equal(t, port2, p.lane.Remote())
}

// One rotation at a time: K could not tell more epochs apart.
func TestOneRotationAtATime(t *testing.T) {
	p := newPair(t, setup{}).bind()
	o, err := p.lane.Offer(home, p.now)
	require.NoError(t, err)
	_, err = p.lane.Offer(home, p.now)
	require.ErrorIs(t, err, sealed.ErrOfferPending)
	require.NoError(t, p.client.Offer(o, p.now))
	p.settle()
	_, err = p.lane.Offer(home, p.now)
	require.ErrorIs(t, err, sealed.ErrOfferPending, "the old epoch is still taken")
	p.after(3 * time.Second)
	p.offer()
	p.settle()
	p.talk(1)
}

// "The next epoch (mod 256, from 0)."
func TestEpochsWrap(t *testing.T) {
	p := newPair(t, setup{}).bind()
	for i := range 300 {
		p.now = p.now.Add(3 * time.Second)
		o := p.offer()
		require.EqualValues(t, (i+1)%256, o.Epoch)
		p.settle()
		p.talk(uint16(i))
	}
	require.Zero(t, p.drops.Get(sealed.DropEpoch)+p.drops.Get(sealed.DropAuth)+p.drops.Get(sealed.DropUnbound))
}

// "The gateway sends a new UDP_OFFER before 2^22 packets or 30 minutes under one epoch":
// none is lost over it and none comes twice.
func TestRotationUnderLoad(t *testing.T) {
	for _, s := range []sealed.Shared{{EpochPackets: 1024}, {EpochAge: 16 * time.Second}} {
		p := newPair(t, setup{gateway: sealed.Config{Shared: s}, client: sealed.ClientConfig{Shared: s}}).bind()
		rotations := 0
		seq := uint16(0)
		for rotations < 12 {
			p.now = p.now.Add(100 * time.Millisecond)
			p.lane.Tick(p.now)
			p.client.Tick(p.now)
			if p.lane.OfferDue() {
				rotations++
				// The offer takes its time; messages go on.
				o, err := p.lane.Offer(home, p.now)
				require.NoError(t, err)
				require.EqualValues(t, rotations, o.Epoch)
				for range 3 {
					seq++
					p.talk(seq)
				}
				require.NoError(t, p.client.Offer(o, p.now))
			}
			// Packets in flight across the rotation arrive, late and once.
			seq++
			flying := p.up(seq, fmt.Sprint(seq))
			p.settle()
			seq++
			p.talk(seq)
			require.Equal(t, sealed.DropNone, p.toGateway(flying, home))
			require.Len(t, p.atLane.take(), 1)
			require.True(t, p.lane.Bound() && p.client.Bound())
		}
		require.Zero(t, p.drops.Get(sealed.DropEpoch)+p.drops.Get(sealed.DropAuth)+p.drops.Get(sealed.DropUnbound))
	}
}

// "The lane closes rather than go beyond."
func TestEpochLimits(t *testing.T) {
	packets := sealed.Shared{EpochPackets: 64}
	age := sealed.Shared{EpochAge: 10 * time.Second}
	t.Run("gateway sends", func(t *testing.T) {
		p, r := boundRaw(t, setup{gateway: sealed.Config{Shared: packets}})
		var err error
		n := uint32(0)
		for range 64 {
			var b []byte
			if b, _, err = p.down(1, "x"); err != nil {
				break
			}
			n = number(b, sealed.ToClient)
		}
		require.ErrorIs(t, err, sealed.ErrUnbound)
		require.EqualValues(t, 62, n)
		out := p.fromGateway()
		require.Len(t, out, 1)
		require.EqualValues(t, 63, number(out[0].pkt, sealed.ToClient))
		require.Contains(t, r.open(out[0].pkt), byte(0x0A))
		require.Equal(t, sealed.CauseExhausted, p.lane.Cause())
		require.Equal(t, sealed.DropEpoch, p.toGateway(r.data(ping...), home))
		p.now = noon.Add(time.Minute)
		p.lane.Tick(p.now)
		require.True(t, p.lane.OfferDue())
	})
	t.Run("gateway receives", func(t *testing.T) {
		p, r := boundRaw(t, setup{gateway: sealed.Config{Shared: packets}})
		for range 62 {
			require.True(t, p.lane.Bound())
			require.Equal(t, sealed.DropNone, p.toGateway(r.data(pad...), home))
		}
		require.True(t, p.lane.OfferDue())
		require.Equal(t, sealed.DropUnbound, p.toGateway(r.data(pad...), home))
		require.False(t, p.lane.Bound())
	})
	t.Run("gateway's time", func(t *testing.T) {
		p, r := boundRaw(t, setup{gateway: sealed.Config{Shared: age}})
		p.now = noon.Add(7500 * time.Millisecond)
		require.False(t, p.lane.Deadline().After(p.now))
		p.lane.Tick(p.now)
		require.True(t, p.lane.OfferDue())
		_, err := p.lane.Offer(home, p.now)
		require.NoError(t, err)
		require.Equal(t, sealed.DropNone, p.toGateway(r.data(ping...), home))
		p.fromGateway()
		p.now = noon.Add(10 * time.Second)
		require.False(t, p.lane.Deadline().After(p.now))
		p.lane.Tick(p.now)
		require.False(t, p.lane.Bound())
		require.Contains(t, r.open(p.fromGateway()[0].pkt), byte(0x0A))
	})
	t.Run("gateway's time, with the next offer due", func(t *testing.T) {
		p, r := boundRaw(t, setup{gateway: sealed.Config{Shared: sealed.Shared{EpochAge: 20 * time.Minute}, IdleTimeout: time.Hour}})
		p.now = noon.Add(15 * time.Minute)
		p.lane.Tick(p.now)
		_, err := p.lane.Offer(home, p.now)
		require.NoError(t, err)
		p.now = noon.Add(20 * time.Minute)
		p.lane.Tick(p.now)
		require.False(t, p.lane.Bound())
		require.False(t, p.lane.OfferDue(), "it may take the keys of CLOSE away")
		require.Contains(t, r.open(p.fromGateway()[0].pkt), byte(0x0A))
		require.True(t, p.lane.OfferDue())
	})
	t.Run("client", func(t *testing.T) {
		p := newPair(t, setup{client: sealed.ClientConfig{Shared: packets}}).bind()
		for p.client.Bound() {
			var k sealed.Packet
			k.Start(make([]byte, sealed.MaxPacket), sealed.ToGateway)
			require.True(t, k.Message(1, 1, nil))
			b, err := p.client.Seal(&k, p.now)
			if err != nil {
				require.ErrorIs(t, err, sealed.ErrUnbound)
				break
			}
			require.Equal(t, sealed.DropNone, p.toGateway(b, home))
		}
		require.Equal(t, sealed.CauseExhausted, p.client.Cause())
		out := p.fromClient()
		require.Len(t, out, 1)
		require.EqualValues(t, 63, number(out[0], sealed.ToGateway))
		require.Equal(t, sealed.DropNone, p.toGateway(out[0], home))
		require.Equal(t, sealed.CauseRemote, p.lane.Cause())
		require.Empty(t, p.fromClient())
	})
}

// "(HELLO if unbound)": the gateway may still believe in the lane.
func TestOfferToAnUnboundClient(t *testing.T) {
	p := newPair(t, setup{}).bind()
	p.client.Close(0, p.now)
	require.Len(t, p.fromClient(), 1) // and that is lost
	require.True(t, p.lane.Bound())
	p.from = away
	p.offer()
	require.Equal(t, sealed.Opening, p.client.State())
	p.settle()
	require.True(t, p.client.Bound() && p.lane.Bound())
	p.talk(1)
}

// A client that has not noticed that its lane went idle answers the fresh offer with
// DATA under its epoch.
func TestOfferToAnIdleLane(t *testing.T) {
	p := newPair(t, setup{gateway: sealed.Config{IdleTimeout: time.Second}, client: sealed.ClientConfig{DeadAfter: time.Hour}}).bind()
	p.now = noon.Add(time.Minute)
	p.lane.Tick(p.now)
	require.True(t, p.lane.OfferDue())
	p.offer()
	require.Equal(t, sealed.Bound, p.client.State())
	p.settle()
	require.True(t, p.lane.Bound())
	p.talk(1)
}

// An offer replaces the one before.
func TestOfferIsReplaced(t *testing.T) {
	p, first := rawPair(t, setup{})
	p.now = noon.Add(time.Minute)
	o, err := p.lane.Offer(home, p.now)
	require.NoError(t, err)
	require.NotEqual(t, first.offer.Secret, o.Secret)
	require.Equal(t, first.offer.CID, o.CID)
	second := newRaw(t, p.session, o)
	require.Equal(t, sealed.DropExpired, p.toGateway(first.hello(), home))
	require.Equal(t, sealed.DropNone, p.toGateway(second.hello(), home))
}
