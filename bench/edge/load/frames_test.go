//go:build linux

package load

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/wire"
)

// stream is what a gateway might send to a client with three messages of 20 bytes
// on the way.
func stream() []byte {
	b := wire.AppendFrame(nil, wire.ServerHello, 0, []byte{8, 1})
	for i := range 3 {
		payload := make([]byte, 20)
		binary.LittleEndian.PutUint64(payload, uint64(i))
		b = wire.AppendFrame(b, wire.Data, 0, payload)
		b = wire.AppendFrame(b, wire.Ping, 0, []byte("12345678"))
		b = wire.AppendFrame(b, wire.Type(0x80), 0, nil)
	}
	return b
}

// The same comes out however the stream is cut.
func TestFeedTakesAnyCut(t *testing.T) {
	in := stream()
	for step := 1; step <= len(in); step++ {
		c := &client{}
		for i := range 3 {
			_ = c.message(nil, 20, int64(100+i))
		}
		var at []int64
		pings := 0
		for rest := in; len(rest) > 0; {
			n := min(step, len(rest))
			err := c.feed(rest[:n], 20, func(v int64) { at = append(at, v) }, func(p []byte) error {
				pings++
				assert.Equal(t, "12345678", string(p))
				return nil
			})
			require.NoError(t, err)
			rest = rest[n:]
		}
		require.Equal(t, []int64{100, 101, 102}, at, "cut each %d bytes", step)
		require.Equal(t, 3, pings)
		require.True(t, c.opened)
		require.Zero(t, c.waiting.len())
	}
}

func TestFeedRefusesWhatWasNotSent(t *testing.T) {
	echo := func(number uint64, size int) []byte {
		p := make([]byte, size)
		binary.LittleEndian.PutUint64(p, number)
		return wire.AppendFrame(nil, wire.Data, 0, p)
	}
	feed := func(b []byte) error {
		c := &client{}
		_ = c.message(nil, 20, 1)
		return c.feed(b, 20, func(int64) {}, func([]byte) error { return nil })
	}
	require.NoError(t, feed(echo(0, 20)))
	assert.ErrorIs(t, feed(echo(1, 20)), errOutOfOrder, "another number")
	assert.ErrorIs(t, feed(echo(0, 21)), errOutOfOrder, "another length")
	assert.ErrorIs(t, feed(append(echo(0, 20), echo(1, 20)...)), errOutOfOrder, "one too many")
	assert.ErrorIs(t, feed(wire.AppendFrame(nil, wire.Data, 0, nil)), errOutOfOrder, "no number")
	assert.ErrorContains(t, feed(wire.AppendHeader(nil, wire.Header{Type: wire.ServerHello, Length: wire.MaxControl + 1})), "are allowed")

	assert.ErrorContains(t, feed(make([]byte, wire.HeaderLen)), "nobody sends here")

	var closed *ClosedError
	require.ErrorAs(t, feed(wire.AppendClose(nil, 6, "full", 0)), &closed)
	assert.Equal(t, ClosedError{Code: 6, Reason: "full"}, *closed)
}

func FuzzFeed(f *testing.F) {
	f.Add(stream(), uint8(7))
	f.Add(wire.AppendClose(nil, 6, "full", 0), uint8(1))
	f.Add([]byte{0xff, 0xff, 0xff, 0x02, 0, 0, 1}, uint8(3))
	f.Fuzz(func(t *testing.T, in []byte, cut uint8) {
		c := &client{}
		for range 3 {
			_ = c.message(nil, 20, 0)
		}
		echoes := 0
		for len(in) > 0 {
			n := min(int(cut)+1, len(in))
			if c.feed(in[:n], 20, func(int64) { echoes++ }, func([]byte) error { return nil }) != nil {
				break
			}
			in = in[n:]
		}
		require.LessOrEqual(t, echoes, 3)
		require.LessOrEqual(t, len(c.in.kept), wire.MaxControl)
	})
}

func TestFifoKeepsOrderAndMemory(t *testing.T) {
	var q fifo
	next, want := int64(0), int64(0)
	for range 1000 {
		for range 3 {
			q.push(next)
			next++
		}
		for q.len() > 1 {
			require.Equal(t, want, q.pop())
			want++
		}
	}
	require.Equal(t, want, q.pop())
	require.Zero(t, q.len())
	require.LessOrEqual(t, cap(q.at), 16)
}

func TestMessageIsAFrameWithItsNumber(t *testing.T) {
	c := &client{}
	b := c.message([]byte("before"), 8, 5)
	b = c.message(b, 8, 6)
	want := []byte("before")
	for i := range 2 {
		want = wire.AppendFrame(want, wire.Data, 0, binary.LittleEndian.AppendUint64(nil, uint64(i)))
	}
	require.Equal(t, want, b)
	require.Equal(t, 2, c.waiting.len())
}
