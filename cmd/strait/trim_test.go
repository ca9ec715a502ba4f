package main

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// watched is a trimmer that counts, and what it sees.
type watched struct {
	used  int64
	heap  heap
	spent time.Duration
	trims int
	look  func() // a second later
}

func watch() *watched {
	w := new(watched)
	tr := &trimmer{
		used: func() int64 { return w.used }, top: func() int64 { return w.used },
		heap: func() heap { return w.heap }, cpu: func() time.Duration { return w.spent }, trim: func() { w.trims++ },
	}
	now := time.Unix(1000, 0)
	w.look = func() {
		now = now.Add(trimLook)
		tr.look(now)
	}
	return w
}

func TestTrimAfterABurst(t *testing.T) {
	w := watch()
	look := func(n int64) {
		w.used = n
		w.look()
	}
	look(1 << 20)
	look(0)
	require.Zero(t, w.trims, "too small a burst")
	look(100 << 20)
	look(50 << 20)
	require.Zero(t, w.trims, "still going on")
	w.spent += 500 * time.Millisecond
	look(1 << 20)
	require.Zero(t, w.trims, "half a processor is no calm")
	look(1 << 20)
	require.Equal(t, 1, w.trims)
	look(100 << 20)
	look(0)
	require.Equal(t, 1, w.trims, "too soon")
	for range 5 {
		look(0)
	}
	require.Equal(t, 2, w.trims, "but not forgotten")
	for range 60 {
		look(0)
	}
	require.Equal(t, 2, w.trims, "nothing new")
}

func TestTrimWhenQuiet(t *testing.T) {
	w := watch()
	w.heap = heap{live: 100 << 20}
	allocate := func(n uint64) {
		w.heap.slack += n
		w.heap.allocated += n
		w.look()
	}
	allocate(10 << 20)
	require.Zero(t, w.trims, "an eighth of what lives is 12.5 MiB")
	for range 20 {
		allocate(4 << 20)
	}
	require.Zero(t, w.trims, "what it allocates in five seconds is a quarter of the slack: Go's collector will come by itself")
	for range 20 {
		w.spent += 200 * time.Millisecond
		w.look()
	}
	require.Zero(t, w.trims, "players are served, which allocates nothing")
	w.spent += 50 * time.Millisecond
	w.look()
	require.Equal(t, 1, w.trims, "quiet, with 90 MiB to be had")
	w.heap.slack = 1 << 20
	for range 60 {
		allocate(4 << 10)
	}
	require.Equal(t, 1, w.trims, "nothing worth it")
	w.heap = heap{live: 1 << 20, slack: 7 << 20}
	for range 60 {
		w.look()
	}
	require.Equal(t, 1, w.trims, "a small process keeps its slack")
}

func TestCPUTime(t *testing.T) {
	before := cpuTime()
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); {
	}
	require.Greater(t, cpuTime(), before)
}

// What is read of the heap is what happens in it.
func TestHeap(t *testing.T) {
	read := newHeap()
	trim()
	before := read()
	garbage := make([][]byte, 64)
	for i := range garbage {
		garbage[i] = make([]byte, 1<<20)
	}
	runtime.KeepAlive(garbage)
	held := read()
	require.GreaterOrEqual(t, held.allocated-before.allocated, uint64(64<<20))
	require.GreaterOrEqual(t, held.live+held.slack, before.live+64<<20)
	garbage = nil
	trim()
	after := read()
	require.Less(t, after.live, before.live+16<<20)
	require.Less(t, after.slack, uint64(16<<20), "returned")
}
