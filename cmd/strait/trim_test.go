package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTrimAfterABurst(t *testing.T) {
	var used int64
	trims := 0
	tr := &trimmer{used: func() int64 { return used }, top: func() int64 { return used }, trim: func() { trims++ }}
	now := time.Unix(1000, 0)
	look := func(n int64) {
		used = n
		now = now.Add(trimLook)
		tr.look(now)
	}
	look(1 << 20)
	look(0)
	require.Zero(t, trims, "too small a burst")
	look(100 << 20)
	look(50 << 20)
	require.Zero(t, trims, "still going on")
	look(1 << 20)
	require.Equal(t, 1, trims)
	look(100 << 20)
	look(0)
	require.Equal(t, 1, trims, "too soon")
	for range 10 {
		look(0)
	}
	require.Equal(t, 2, trims, "but not forgotten")
	for range 60 {
		look(0)
	}
	require.Equal(t, 2, trims, "nothing new")
}
