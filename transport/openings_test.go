package transport_test

import (
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
	begin := func(name string) *transport.Opening { return o.Begin(func() { gone = append(gone, name) }) }
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

func TestOpeningsWithoutACap(t *testing.T) {
	o := transport.NewOpenings(0)
	for range 1000 {
		o.Begin(func() { t.Error("evicted without a cap") })
	}
	unfinished, evicted := o.Len()
	assert.Equal(t, 1000, unfinished)
	assert.Zero(t, evicted)
}

// Evicting is called without a lock: it may end the opening, or begin another.
func TestOpeningsEvictMayCallBack(t *testing.T) {
	o := transport.NewOpenings(1)
	var first *transport.Opening
	first = o.Begin(func() { first.Done() })
	o.Begin(func() { o.Len() })
	o.Begin(func() {}).Done()
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
				n := o.Begin(func() { evicted.Add(1) })
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
