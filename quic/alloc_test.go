package quic_test

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/transport/transporttest"
)

// What is allocated for a message is quic-go's: on the way through the session, at both
// ends, nothing is, neither by this module nor by what it calls of the standard library.
func TestNothingOfOurOwnIsAllocated(t *testing.T) {
	if transporttest.Race {
		t.Skip("the race detector makes sync.Pool forget on purpose")
	}
	const messages = 16000 // of two classes on two channels in both directions, together
	for _, c := range []struct {
		name      string
		datagrams bool
		// burst is how many messages of each class and channel are sent at a time. An
		// empty queue keeps room for 16 messages.
		burst int
	}{
		{"one at a time", true, 1},
		{"in bursts", true, 8},
		{"on the control stream alone", false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := start(t, defaultConfig(), nil)
			q := clientQUIC()
			if q.EnableDatagrams = c.datagrams; !c.datagrams {
				q.MaxIncomingUniStreams = -1
			}
			client, gateway := w.pair(q)
			exchange := func() {
				for range messages / 8 / c.burst {
					client.ping(t, gateway, c.burst, 0, 7)
					gateway.ping(t, client, c.burst, 0, 7)
				}
			}
			defer debug.SetGCPercent(debug.SetGCPercent(-1))
			exchange()
			defer func(rate int) { runtime.MemProfileRate = rate }(runtime.MemProfileRate)
			runtime.MemProfileRate = 1
			before := allocations()
			exchange()
			after := allocations()
			theirs := false
			for place, n := range after {
				n -= before[place]
				switch {
				case strings.HasPrefix(place, "strait/quic_test."):
				case strings.HasPrefix(place, "strait/"):
					// Pools that the collection before has emptied fill again: that is no
					// matter of how many messages there are.
					assert.Less(t, n, int64(messages/20), "allocations in %s, for %d messages", place, messages)
				case n >= messages/4:
					theirs = true
				}
			}
			require.True(t, theirs, "the profile does not show what quic-go allocates for each message")
		})
	}
}

// ping sends n messages of each class and channel to other and waits for all reliable
// ones; of the others newer ones may have taken the place.
func (p *peer) ping(t *testing.T, other *peer, n int, channels ...uint8) {
	other.mu.Lock()
	other.got = other.got[:0]
	other.mu.Unlock()
	for range n {
		for _, ch := range channels {
			p.send(unreliable, ch, "a message of a game")
			p.send(reliable, ch, "a message of a game")
		}
	}
	other.await(t, "the messages", func() bool {
		arrived := 0
		for _, m := range other.got {
			if m.Delivery == reliable {
				arrived++
			}
		}
		return arrived >= n*len(channels)
	})
}

// allocations counts objects by the function that asked for them, and where that is of
// the standard library by the first one that is not.
func allocations() map[string]int64 {
	runtime.GC()
	runtime.GC() // a profile is as of the last but one
	records := make([]runtime.MemProfileRecord, 1<<16)
	n, ok := runtime.MemProfile(records, true)
	if !ok {
		panic("more places than expected")
	}
	by := make(map[string]int64)
	for _, r := range records[:n] {
		frames := runtime.CallersFrames(r.Stack())
		for {
			f, more := frames.Next()
			if owned(f.Function) {
				by[f.Function] += r.AllocObjects
				break
			}
			if !more {
				break
			}
		}
	}
	return by
}

// owned reports whether a function is this module's or of another one, as opposed to
// the standard library.
func owned(function string) bool {
	first, _, inside := strings.Cut(function, "/")
	return first == "strait" || inside && strings.Contains(first, ".")
}
