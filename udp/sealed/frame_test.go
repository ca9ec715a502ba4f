package sealed_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/udp/sealed"
)

// "A packet with an unknown frame type, a frame that overruns it or goes in the wrong
// direction, non-zero padding or no frame at all is dropped whole and counted."
func TestPacketsAreDroppedWhole(t *testing.T) {
	first := msg(1, "never seen")
	with := func(tail ...byte) []byte { return append(append([]byte(nil), first...), tail...) }
	cases := []struct {
		why    sealed.Drop
		frames []byte
	}{
		{sealed.DropFrame, with(0x7F)},
		{sealed.DropFrame, with(0x01)},
		{sealed.DropOverrun, with(0x05, 1, 2)},
		{sealed.DropOverrun, with(ping[:8]...)},
		{sealed.DropOverrun, with(0x06, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)},
		{sealed.DropOverrun, with(0x0A, 0)},
		{sealed.DropOverrun, with(0x10)},
		{sealed.DropOverrun, with(0x10, 1, 0, 1, 0)},
		{sealed.DropOverrun, with(0x10, 1, 0, 1, 0, 1)},
		{sealed.DropOverrun, with(0x10, 1, 0, 1, 255, 255, 1)},
		{sealed.DropOverrun, with(0x11, 1, 0, 1, 0, 2)},
		{sealed.DropOverrun, with(0x11, 1, 0, 1, 0, 2, 0, 2, 9)},
		{sealed.DropOverrun, with(0x13, 1)},
		{sealed.DropOverrun, with(0x14, 1)},
		{sealed.DropOverrun, with(0x15, 1)},
		{sealed.DropField, with(piece(1, 1, 0, 1, "")...)},
		{sealed.DropField, with(piece(1, 1, 0, 0, "")...)},
		{sealed.DropField, with(piece(1, 1, 0, 17, "")...)},
		{sealed.DropField, with(piece(1, 1, 2, 2, "")...)},
		{sealed.DropPadding, with(0, 0, 0, 1)},
		{sealed.DropPadding, with(append([]byte{0}, ping...)...)},
	}
	p, r := boundRaw(t, setup{})
	up := append(cases, struct {
		why    sealed.Drop
		frames []byte
	}{sealed.DropDirection, with(append([]byte{0x12}, make([]byte, 12)...)...)})
	for _, c := range up {
		before := p.drops.Get(c.why)
		require.Equal(t, c.why, p.toGateway(r.data(c.frames...), away), "% x", c.frames)
		require.Equal(t, before+1, p.drops.Get(c.why))
		require.Empty(t, p.fromGateway())
	}
	require.Empty(t, p.atLane.take())
	// No frame at all: as long as DATA to the gateway may be short of a frame, it is too
	// short to be DATA.
	require.Equal(t, sealed.DropSize, p.toGateway(r.data(), home))

	q, s := clientOf(t)
	for _, c := range cases {
		require.Equal(t, c.why, q.toClient(s.answer(c.frames...)), "% x", c.frames)
	}
	require.Equal(t, sealed.DropSize, q.toClient(s.answer()))
	require.Empty(t, q.atClient.take())
	require.Empty(t, q.fromClient())
	require.Equal(t, sealed.DropType, q.toClient(bytes.Repeat([]byte{0x10}, 1200)))
	require.Equal(t, sealed.DropType, q.toClient(nil))
	require.Equal(t, sealed.DropType, q.toClient([]byte{0x40}))
	require.Equal(t, sealed.DropType, q.toClient([]byte{0x22}))
	require.Equal(t, sealed.DropType, q.toClient([]byte{0x14}))
	// Everything at once that is good.
	require.Equal(t, sealed.DropNone, q.toClient(s.answer(append(append(append(first, ping...), msg(2, "")...), make([]byte, 900)...)...)))
	require.Equal(t, []received{{1, 1, "never seen"}, {1, 2, ""}}, q.atClient.take())
	require.Len(t, q.fromClient(), 1)
}

// clientOf is a client that a raw gateway has accepted.
func clientOf(t testing.TB) (*pair, *raw) {
	p := newPair(t, setup{})
	o := p.offer()
	s := newRaw(t, p.session, o).gateway()
	require.Len(t, p.fromClient(), 1)
	accept := append([]byte{0x12}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x75, 0x30)
	require.Equal(t, sealed.DropNone, p.toClient(s.answer(accept...)))
	require.True(t, p.client.Bound())
	require.Contains(t, s.openUp(p.fromClient()[0]), byte(0x05))
	return p, s
}

// A packet takes messages until it is full, and not one byte more.
func TestPacketRoom(t *testing.T) {
	p := newPair(t, setup{}).bind()
	for _, d := range []sealed.Direction{sealed.ToGateway, sealed.ToClient} {
		var k sealed.Packet
		require.True(t, k.Empty())
		require.False(t, k.Message(1, 1, nil), "before Start")
		buf := make([]byte, sealed.MaxPacket)
		k.Start(buf, d)
		require.True(t, k.Empty())
		require.GreaterOrEqual(t, k.Room(), sealed.MaxMessage)
		require.False(t, k.Message(1, 1, make([]byte, k.Room()+1)))
		require.True(t, k.Empty())
		n := 0
		for k.Room() >= 200 {
			require.True(t, k.Message(1, uint16(n), bytes.Repeat([]byte{byte(n)}, 100)))
			n++
		}
		require.True(t, k.Message(1, uint16(n), make([]byte, k.Room())))
		require.Negative(t, k.Room())
		require.False(t, k.Message(1, 1, nil))
		var b []byte
		var err error
		if d == sealed.ToGateway {
			b, err = p.client.Seal(&k, p.now)
			require.NoError(t, err)
			require.Equal(t, sealed.DropNone, p.toGateway(b, home))
			require.Len(t, p.atLane.take(), n+1)
		} else {
			b, _, err = p.lane.Seal(&k, p.now)
			require.NoError(t, err)
			require.Equal(t, sealed.DropNone, p.toClient(b))
			require.Len(t, p.atClient.take(), n+1)
		}
		require.Len(t, b, sealed.MaxPacket)
		require.Same(t, &buf[0], &b[0], "in place")
		require.False(t, k.Message(1, 1, nil), "after Seal")
	}
	var k sealed.Packet
	k.Start(make([]byte, sealed.MaxPacket), sealed.ToClient)
	_, _, err := p.lane.Seal(&k, p.now)
	require.ErrorIs(t, err, sealed.ErrEmpty)
	require.True(t, k.Message(1, 1, nil))
	_, err = p.client.Seal(&k, p.now)
	require.ErrorIs(t, err, sealed.ErrEmpty, "of the other direction")
	require.Panics(t, func() { k.Start(make([]byte, 100), sealed.ToClient) })
}

// sendPieces seals a message in pieces.
func (p *pair) sendPieces(channel byte, seq uint16, m []byte) (out [][]byte) {
	p.t.Helper()
	n := sealed.Pieces(len(m), sealed.ToGateway)
	for i := range n {
		var k sealed.Packet
		k.Start(make([]byte, sealed.MaxPacket), sealed.ToGateway)
		require.True(p.t, k.Piece(channel, seq, m, i, n))
		b, err := p.client.Seal(&k, p.now)
		require.NoError(p.t, err)
		out = append(out, b)
	}
	return out
}

// "Longer unreliable messages, up to 16 fragments": whatever the size and order.
func TestPieces(t *testing.T) {
	p := newPair(t, setup{gateway: sealed.Config{Shared: sealed.Shared{MaxMessage: 20000}}}).bind()
	random := seeded(5)
	for _, size := range []int{1166, 1200, 2326, 2327, 5000, 16384, 16 * 1163} {
		m := make([]byte, size)
		random(m)
		out := p.sendPieces(3, uint16(size), m)
		require.Greater(t, len(out), 1)
		require.LessOrEqual(t, len(out), 16)
		for _, i := range []string{"forwards", "backwards"} {
			for j := range out {
				if i == "backwards" {
					j = len(out) - 1 - j
				}
				drop := p.toGateway(out[j], home)
				if i == "forwards" {
					require.Equal(t, sealed.DropNone, drop)
				} else {
					require.Equal(t, sealed.DropReplay, drop)
				}
			}
			if i == "forwards" {
				require.Equal(t, []received{{3, uint16(size), string(m)}}, p.atLane.take())
				out = p.sendPieces(3, uint16(size), m) // and again, backwards
				for j := range out {
					require.Equal(t, sealed.DropNone, p.toGateway(out[len(out)-1-j], home))
				}
				require.Equal(t, []received{{3, uint16(size), string(m)}}, p.atLane.take())
			}
		}
	}
	require.Equal(t, 1, sealed.Pieces(1165, sealed.ToGateway))
	require.Equal(t, 1, sealed.Pieces(1173, sealed.ToClient))
	require.Equal(t, 1, sealed.Pieces(0, sealed.ToClient))
	require.Equal(t, 2, sealed.Pieces(1174, sealed.ToClient))
	require.Zero(t, sealed.Pieces(16*1163+1, sealed.ToGateway))
	require.Equal(t, sealed.MaxMessage, 1165)
}

// "All with the same count; at most 2 reassemblies for each session and channel (a third
// evicts the oldest), 250 ms each, bytes capped."
func TestReassembly(t *testing.T) {
	p, r := boundRaw(t, setup{gateway: sealed.Config{Shared: sealed.Shared{MaxMessage: 1000, ReassemblyBytes: 3000}}})
	give := func(frames ...byte) {
		t.Helper()
		require.Equal(t, sealed.DropNone, p.toGateway(r.data(frames...), home))
	}
	count := func(d sealed.Drop, n uint64) { t.Helper(); require.Equal(t, n, p.drops.Get(d), d.String()) }

	give(piece(1, 7, 1, 2, "world")...)
	give(piece(1, 7, 1, 2, "again")...)
	give(piece(1, 7, 0, 3, "other count")...)
	count(sealed.DropFragment, 2)
	give(piece(1, 7, 0, 2, "hello ")...)
	require.Equal(t, []received{{1, 7, "hello world"}}, p.atLane.take())

	// Both in one packet, and empty pieces.
	give(append(piece(1, 8, 0, 2, ""), piece(1, 8, 1, 2, "")...)...)
	require.Equal(t, []received{{1, 8, ""}}, p.atLane.take())

	// A third evicts the oldest of its channel.
	for seq := range uint16(3) {
		give(piece(1, seq, 0, 2, "a")...)
	}
	give(piece(2, 0, 0, 2, "a")...)
	count(sealed.DropEvicted, 1)
	give(piece(1, 1, 1, 2, "b")...)
	give(piece(1, 2, 1, 2, "b")...)
	give(piece(2, 0, 1, 2, "b")...)
	require.Equal(t, []received{{1, 1, "ab"}, {1, 2, "ab"}, {2, 0, "ab"}}, p.atLane.take())

	// 250 ms.
	give(piece(1, 20, 0, 2, "a")...)
	at := p.now
	require.Equal(t, at.Add(250*time.Millisecond), p.lane.Deadline())
	p.now = at.Add(250*time.Millisecond - 1)
	p.lane.Tick(p.now)
	count(sealed.DropIncomplete, 0)
	p.now = at.Add(250 * time.Millisecond)
	p.lane.Tick(p.now)
	count(sealed.DropIncomplete, 1)
	give(piece(1, 20, 1, 2, "b")...)
	require.Empty(t, p.atLane.take())
	p.now = p.now.Add(time.Second)
	p.lane.Tick(p.now)

	// The limit of a message.
	big := string(make([]byte, 600))
	give(piece(1, 30, 0, 3, big)...)
	give(piece(1, 30, 1, 3, big)...)
	count(sealed.DropTooLarge, 1)
	// The limit of bytes over all channels.
	before := p.drops.Get(sealed.DropEvicted)
	for c := range byte(8) {
		give(piece(10+c, 1, 0, 2, big)...)
	}
	count(sealed.DropEvicted, before+5)
	for c := range byte(3) { // the newest are left
		give(piece(17-c, 1, 1, 2, "end")...)
	}
	require.Len(t, p.atLane.take(), 3)
}

// A flood of fragments costs bounded memory and time, and hurts nobody's messages.
func TestFragmentFlood(t *testing.T) {
	p, r := boundRaw(t, setup{})
	for i := range 2000 {
		var frames []byte
		for j := range 100 {
			frames = append(frames, piece(byte(i*7+j), uint16(i*j), byte(j%15), 16, "x")...)
		}
		require.Equal(t, sealed.DropNone, p.toGateway(r.data(frames...), home))
		if i%100 == 0 {
			require.Equal(t, sealed.DropNone, p.toGateway(r.data(append(piece(1, 9, 0, 2, fmt.Sprint(i)), piece(1, 9, 1, 2, "!")...)...), home))
			require.Equal(t, []received{{1, 9, fmt.Sprint(i, "!")}}, p.atLane.take())
		}
		p.fromGateway()
	}
}
