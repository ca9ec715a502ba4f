package main

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// watch returns a trimmer that counts, and a function that looks a second later.
func watch(used *int64, h *heap) (trims *int, look func()) {
	trims = new(int)
	tr := &trimmer{
		used: func() int64 { return *used }, top: func() int64 { return *used },
		heap: func() heap { return *h }, trim: func() { *trims++ },
	}
	now := time.Unix(1000, 0)
	return trims, func() {
		now = now.Add(trimLook)
		tr.look(now)
	}
}

func TestTrimAfterABurst(t *testing.T) {
	var used int64
	trims, again := watch(&used, &heap{})
	look := func(n int64) {
		used = n
		again()
	}
	look(1 << 20)
	look(0)
	require.Zero(t, *trims, "too small a burst")
	look(100 << 20)
	look(50 << 20)
	require.Zero(t, *trims, "still going on")
	look(1 << 20)
	require.Equal(t, 1, *trims)
	look(100 << 20)
	look(0)
	require.Equal(t, 1, *trims, "too soon")
	for range 5 {
		look(0)
	}
	require.Equal(t, 2, *trims, "but not forgotten")
	for range 60 {
		look(0)
	}
	require.Equal(t, 2, *trims, "nothing new")
}

func TestTrimWhenQuiet(t *testing.T) {
	var used int64
	h := heap{live: 100 << 20}
	trims, look := watch(&used, &h)
	allocate := func(n uint64) {
		h.slack += n
		h.allocated += n
		look()
	}
	allocate(10 << 20)
	require.Zero(t, *trims, "an eighth of what lives is 12.5 MiB")
	for range 20 {
		allocate(4 << 20)
	}
	require.Zero(t, *trims, "what it allocates in five seconds is a quarter of the slack: Go's collector will come by itself")
	look()
	require.Equal(t, 1, *trims, "quiet, with 90 MiB to be had")
	h.slack = 1 << 20
	for range 60 {
		allocate(4 << 10)
	}
	require.Equal(t, 1, *trims, "nothing worth it")
	h = heap{live: 1 << 20, slack: 7 << 20}
	for range 60 {
		look()
	}
	require.Equal(t, 1, *trims, "a small process keeps its slack")
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
