package transport_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/transport"
)

func TestPoolCountsWhatIsOut(t *testing.T) {
	p := transport.NewPool(0, nil)
	for _, c := range []struct{ size, class int }{
		{0, 64}, {1, 64}, {64, 64}, {65, 128}, {4096, 4096}, {4097, 8192}, {65536, 65536},
		{1 << 20, 1 << 20}, {1<<20 + 1, 1<<20 + 1}, {5 << 20, 5 << 20},
	} {
		b := p.Get(c.size)
		assert.Equal(t, c.size, b.Len())
		assert.EqualValues(t, c.class, p.Used(), "size %d", c.size)
		assert.EqualValues(t, 1, p.Live())
		b.B = b.B[:0] // whatever happens to B, the same is given back
		b.Release()
		assert.Zero(t, p.Used())
		assert.Zero(t, p.Live())
	}
}

func TestPoolBudget(t *testing.T) {
	calls := 0
	p := transport.NewPool(100, func() { calls++ })
	assert.EqualValues(t, 100, p.Limit())
	a := p.Get(64)
	assert.LessOrEqual(t, p.Used(), p.Limit())
	assert.Zero(t, calls)
	b := p.Copy([]byte("beyond"))
	assert.Equal(t, "beyond", string(b.B), "what has arrived is kept")
	assert.Greater(t, p.Used(), p.Limit())
	assert.Equal(t, 1, calls)
	a.Release()
	assert.LessOrEqual(t, p.Used(), p.Limit())
	b.Release()

	silent := transport.NewPool(1, nil)
	silent.Get(64).Release()
	unbounded := transport.NewPool(0, func() { t.Error("no budget to be over") })
	unbounded.Get(1 << 20).Release()
	assert.Zero(t, unbounded.Limit())
}

func TestBufReferences(t *testing.T) {
	p := transport.NewPool(0, nil)
	b := p.Get(10)
	require.Same(t, b, b.Retain())
	b.Retain().Retain().Retain()
	for range 4 {
		b.Release()
		require.EqualValues(t, 1, p.Live())
	}
	b.Release()
	require.Zero(t, p.Live())

	big := p.Get(2 << 20) // not pooled: nobody else has it by now
	big.Release()
	assert.Panics(t, big.Release)
}

func TestPoolFromManyGoroutines(t *testing.T) {
	p := transport.NewPool(1<<20, func() {})
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 2000 {
				b := p.Get((i*37 + g) % 9000)
				for j := range b.B {
					b.B[j] = byte(g)
				}
				b.Retain()
				b.Release()
				for j := range b.B {
					if b.B[j] != byte(g) {
						t.Error("two owners")
						return
					}
				}
				b.Release()
			}
		})
	}
	all.Wait()
	assert.Zero(t, p.Used())
	assert.Zero(t, p.Live())
}

// A buffer of 64 bytes taken and given back, one goroutine.
func BenchmarkPool64(b *testing.B) {
	p := transport.NewPool(1<<30, nil)
	b.ReportAllocs()
	for b.Loop() {
		p.Get(64).Release()
	}
}
