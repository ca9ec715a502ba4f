package udp

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPermutation(t *testing.T) {
	m := newMint()
	seen := make(map[uint32]bool)
	for g := range uint32(1 << 16) {
		seen[m.permute(7, g)] = true
	}
	assert.Len(t, seen, 1<<16, "no slot has a connection id twice")
	differ := 0
	for g := range uint32(64) {
		if m.permute(7, g) != m.permute(8, g) {
			differ++
		}
	}
	assert.Greater(t, differ, 60, "slots have permutations of their own")
	other := newMint()
	assert.NotEqual(t, m.cid(0, 1, 0), other.cid(0, 1, 0), "and services, too")
	id := m.cid(3, 0xabcdef, 9)
	b := id.bytes()
	assert.Equal(t, id, parseCID(b[:]))
	assert.Equal(t, []byte{3, 0xab, 0xcd, 0xef}, b[:4])
	assert.Equal(t, uint32(0xabcdef), id.slot())
}

func TestTable(t *testing.T) {
	tb := newTable(2 * chunkSlots)
	ids := make(map[cid]*Lane)
	for range 2 * chunkSlots {
		id, ok := tb.reserve(1)
		require.True(t, ok)
		require.Nil(t, tb.find(id), "not before it was put")
		l := &Lane{id: id}
		tb.put(l)
		ids[id] = l
	}
	require.Len(t, ids, 2*chunkSlots)
	_, ok := tb.reserve(1)
	require.False(t, ok, "the table is full")
	var one cid
	for id, l := range ids {
		require.Same(t, l, tb.find(id))
		require.Nil(t, tb.find(id^1), "one bit off")
		require.Nil(t, tb.find(id^1<<56), "another socket's")
		one = id
	}
	require.Nil(t, tb.find(^cid(0)), "a slot that cannot be")
	tb.release(one)
	require.Nil(t, tb.find(one))
	id, ok := tb.reserve(1)
	require.True(t, ok)
	require.Equal(t, one.slot(), id.slot())
	require.NotEqual(t, one, id, "not used again")
	n := 0
	tb.each(func(*Lane) { n++ })
	require.Equal(t, 2*chunkSlots-1, n)
}
