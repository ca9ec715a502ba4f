package sealed

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// "The receiver takes the number nearest to the highest received + 1 (0 if none)."
func TestExpand(t *testing.T) {
	const span = 1 << 32
	for _, c := range []struct {
		low        uint32
		next, want uint64
	}{
		{0, 0, 0}, {5, 0, 5}, {0xFFFFFFFF, 0, 0xFFFFFFFF}, {0xFFFFFFFF, 2, 0xFFFFFFFF},
		{0, span, span}, {0, span - 1, span}, {5, span, span + 5}, {0xFFFFFFFF, span, span - 1}, {0xFFFFFFFF, span + 5, span - 1},
		{0x80000001, span, span/2 + 1}, {0x7FFFFFFF, span, span + span/2 - 1}, {3, 7 * span, 7*span + 3}, {0xFFFFFFF0, 7*span + 3, 7*span - 16},
	} {
		require.Equal(t, c.want, expand(c.low, c.next), "%x after %x", c.low, c.next)
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 100_000 {
		n := r.Uint64N(1 << 40)
		next := n + r.Uint64N(span/2-1)
		require.Equal(t, n, expand(uint32(n), next))
		if off := r.Uint64N(span / 2); off < n {
			require.Equal(t, n, expand(uint32(n), n-off))
		}
	}
}

// "Receivers keep a window of at least 1024 packet numbers": the naive one is a set.
func TestWindow(t *testing.T) {
	require.GreaterOrEqual(t, windowSize, 1024)
	r := rand.New(rand.NewPCG(2, 2))
	for _, base := range []uint64{0, 1<<32 - 3000, 1 << 40} {
		var w window
		seen := map[uint64]bool{}
		highest := uint64(0)
		for range 50_000 {
			n := base + r.Uint64N(4000)
			if r.IntN(3) > 0 && highest > 0 {
				n = highest + 5 - min(r.Uint64N(2200), highest+5)
			}
			if r.IntN(2000) == 0 {
				n = highest + r.Uint64N(5000)
			}
			want := DropNone
			switch {
			case len(seen) > 0 && n <= highest && highest-n >= windowSize:
				want = DropOld
			case seen[n]:
				want = DropReplay
			}
			require.Equal(t, want, w.check(n), "%d, highest %d", n, highest)
			if want == DropNone {
				require.Equal(t, len(seen) == 0 || n > highest, w.mark(n))
				seen[n] = true
				highest = max(highest, n)
			}
		}
	}
}

// A window is checked before and marked after: what fails authentication leaves no
// trace.
func TestWindowIsMarkedAfterDecryption(t *testing.T) {
	v := vectors(t)[0]
	gateway := v.end(ToClient)
	forged := append([]byte(nil), v.Data[0].Up...)
	forged[len(forged)-1]++
	_, _, drop := gateway.open(gateway.cur, forged, gatewayHeader, 1, forged[:gatewayHeader])
	require.Equal(t, DropAuth, drop)
	require.Zero(t, gateway.cur.window)
	require.Zero(t, gateway.cur.received)
	good := append([]byte(nil), v.Data[0].Up...)
	_, _, drop = gateway.open(gateway.cur, good, gatewayHeader, 1, good[:gatewayHeader])
	require.Equal(t, DropNone, drop)
	_, _, drop = gateway.open(gateway.cur, good, gatewayHeader, 1, good[:gatewayHeader])
	require.Equal(t, DropReplay, drop)
}
