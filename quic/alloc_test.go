package quic_test

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"strait/transport/transporttest"
)

// What is allocated for a message is quic-go's: on the way through the session, at both
// ends, nothing is.
func TestNothingOfOurOwnIsAllocated(t *testing.T) {
	if transporttest.Race {
		t.Skip("the race detector makes pools forget")
	}
	w := start(t, defaultConfig(), nil)
	client, gateway := w.pair(clientQUIC())
	const messages = 2000
	exchange := func() {
		for range messages {
			client.ping(t, gateway, 0, 7)
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	rate := runtime.MemProfileRate
	exchange()
	runtime.MemProfileRate = 1
	before := allocations()
	exchange()
	after := allocations()
	runtime.MemProfileRate = rate
	for place, n := range after {
		n -= before[place]
		if strings.HasPrefix(place, "strait/") && !strings.HasPrefix(place, "strait/quic_test") {
			assert.Less(t, n, int64(messages/20), "allocations in %s, for %d messages each way on two streams and in datagrams", place, messages)
		}
	}
	assert.NotEmpty(t, after, "the profile shows nothing at all")
}

// ping sends one message of each class and channel to other and waits for all.
func (p *peer) ping(t *testing.T, other *peer, channels ...uint8) {
	n := 0
	other.mu.Lock()
	other.got = other.got[:0]
	other.mu.Unlock()
	for _, ch := range channels {
		p.send(reliable, ch, "a message of a game")
		p.send(unreliable, ch, "a message of a game")
		n += 2
	}
	other.await(t, "the messages", func() bool { return len(other.got) >= n })
}

// allocations counts objects by the function that asked for them.
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
			if !strings.HasPrefix(f.Function, "runtime.") {
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
