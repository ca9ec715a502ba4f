package transport_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/transport"
)

func TestOpeningsEvictTheOldest(t *testing.T) {
	o := transport.NewOpenings(2)
	var gone []string
	begin := func(name string) *transport.Opening {
		return o.Begin(netip.Prefix{}, func() { gone = append(gone, name) })
	}
	a, b := begin("a"), begin("b")
	require.Empty(t, gone)
	c := begin("c")
	require.Equal(t, []string{"a"}, gone)
	b.Done()
	b.Done()
	d := begin("d")
	require.Equal(t, []string{"a"}, gone, "b made room")
	begin("e")
	require.Equal(t, []string{"a", "c"}, gone)
	a.Done() // evicted already
	c.Done()
	unfinished, evicted := o.Len()
	assert.Equal(t, 2, unfinished)
	assert.EqualValues(t, 2, evicted)
	d.Done()
	unfinished, _ = o.Len()
	assert.Equal(t, 1, unfinished)
}

func TestOneNetworkPushesOutItself(t *testing.T) {
	o := transport.NewOpenings(4)
	var gone []string
	begin := func(addr string) *transport.Opening {
		return o.Begin(transport.Network(netip.MustParseAddr(addr)), func() { gone = append(gone, addr) })
	}
	player := begin("192.0.2.1")
	for range 20 {
		begin("198.51.100.7")
	}
	require.Len(t, gone, 17)
	require.NotContains(t, gone, "192.0.2.1")
	gone = nil

	// Who comes from elsewhere finds room, and all of one IPv6 network count together.
	for _, addr := range []string{"2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3"} {
		begin(addr)
	}
	require.Equal(t, []string{"198.51.100.7", "198.51.100.7", "2001:db8::1"}, gone,
		"the one with the most, and of equals the one that waits longest")
	player.Done()
	begin("203.0.113.9")
	begin("203.0.113.10")
	require.Equal(t, "2001:db8::2", gone[len(gone)-1])
}

func TestNetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		assert.Equal(t, netip.MustParsePrefix(want), transport.Network(netip.MustParseAddr(addr)), addr)
	}
	assert.Zero(t, transport.Network(netip.Addr{}))
}

// What is evicted is what a search of all openings finds.
func TestOpeningsAgainstASearch(t *testing.T) {
	type opening struct {
		*transport.Opening
		from string
		id   int
	}
	r := rand.New(rand.NewPCG(1, 2))
	const room = 9
	o := transport.NewOpenings(room)
	var all []opening // oldest first
	gone := -1
	for id := range 20000 {
		if len(all) > 0 && r.IntN(3) == 0 {
			i := r.IntN(len(all))
			all[i].Done()
			all = slices.Delete(all, i, i+1)
			continue
		}
		from := netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(5))})
		all = append(all, opening{from: from.String(), id: id})
		want := -1
		if len(all) > room {
			count := make(map[string]int)
			for _, x := range all {
				count[x.from]++
			}
			most := slices.MaxFunc(all, func(a, b opening) int { return count[a.from] - count[b.from] }) // the first of equals
			want = most.id
		}
		gone = -1
		all[len(all)-1].Opening = o.Begin(transport.Network(from), func() { gone = id })
		require.Equal(t, want, gone)
		all = slices.DeleteFunc(all, func(x opening) bool { return x.id == gone })
	}
	_, evicted := o.Len()
	require.Greater(t, evicted, uint64(1000))
}

func TestOpeningsWithoutACap(t *testing.T) {
	o := transport.NewOpenings(0)
	for range 1000 {
		o.Begin(netip.Prefix{}, func() { t.Error("evicted without a cap") })
	}
	unfinished, evicted := o.Len()
	assert.Equal(t, 1000, unfinished)
	assert.Zero(t, evicted)
}

// Evicting is called without a lock: it may end the opening, or begin another.
func TestOpeningsEvictMayCallBack(t *testing.T) {
	o := transport.NewOpenings(1)
	var first *transport.Opening
	first = o.Begin(netip.Prefix{}, func() { first.Done() })
	o.Begin(netip.Prefix{}, func() { o.Len() })
	o.Begin(netip.Prefix{}, func() {}).Done()
	unfinished, evicted := o.Len()
	assert.Zero(t, unfinished)
	assert.EqualValues(t, 2, evicted)
}

func TestOpeningsFromManyGoroutines(t *testing.T) {
	const goroutines, each, room = 4, 2000, 7
	o := transport.NewOpenings(room)
	var evicted atomic.Uint64
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for range each {
				n := o.Begin(netip.Prefix{}, func() { evicted.Add(1) })
				if unfinished, _ := o.Len(); unfinished > room {
					t.Error("more openings than the cap")
				}
				n.Done()
			}
		})
	}
	all.Wait()
	unfinished, counted := o.Len()
	assert.Zero(t, unfinished)
	assert.Equal(t, evicted.Load(), counted)
}
