package queue_test

import (
	"fmt"
	"runtime"
	"testing"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/queue"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestNewRoundsUp(t *testing.T) {
	for _, c := range []struct{ asked, slots int }{
		{1, 2}, {2, 2}, {3, 4}, {4, 4}, {5, 8}, {1000, 1024}, {1024, 1024}, {1025, 2048},
	} {
		assert.Equal(t, c.slots, queue.New[byte](c.asked).Cap(), "capacity %d", c.asked)
	}
}

func TestNewRefusesNonsense(t *testing.T) {
	for _, capacity := range []int{0, -1, 1<<30 + 1} {
		assert.PanicsWithValue(t,
			fmt.Sprintf("queue: New(%d): the capacity must be from 1 to 1073741824", capacity),
			func() { queue.New[byte](capacity) })
	}
}

func TestPushUntilFull(t *testing.T) {
	r := queue.New[int](4)
	dst := make([]int, 8)
	for lap := range 5 {
		for i := range 4 {
			require.Equal(t, i, r.Len())
			require.True(t, r.Push(10*lap+i))
		}
		require.False(t, r.Push(99))
		require.Equal(t, 4, r.Len())
		require.Equal(t, 4, r.Drain(dst))
		require.Equal(t, []int{10 * lap, 10*lap + 1, 10*lap + 2, 10*lap + 3}, dst[:4])
		require.Equal(t, 0, r.Drain(dst))
		require.Equal(t, 0, r.Len())
	}
}

func TestPushBatchTakesThePrefixThatFits(t *testing.T) {
	r := queue.New[int](8)
	require.Equal(t, 0, r.PushBatch(nil))
	require.Equal(t, 5, r.PushBatch([]int{0, 1, 2, 3, 4}))
	require.Equal(t, 3, r.PushBatch([]int{5, 6, 7, 8}))
	require.Equal(t, 0, r.PushBatch([]int{8}))
	dst := make([]int, 8)
	require.Equal(t, 8, r.Drain(dst))
	require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7}, dst)
	require.Equal(t, 8, r.PushBatch(make([]int, 100)))
}

// Every length of batch at every offset, taken out in pieces of every size:
// batches wrap around the end of the ring, and Drain stops inside them.
func TestBatchesWrapAndDrainInPieces(t *testing.T) {
	const slots = 8
	for offset := range slots {
		for length := 1; length <= slots; length++ {
			for piece := 1; piece <= slots; piece++ {
				r := queue.New[int](slots)
				for range offset {
					require.True(t, r.Push(-1))
				}
				require.Equal(t, offset, r.Drain(make([]int, slots)))
				vs := make([]int, length)
				for i := range vs {
					vs[i] = i
				}
				require.Equal(t, length, r.PushBatch(vs))
				var got []int
				for len(got) < length {
					dst := make([]int, piece)
					n := r.Drain(dst)
					require.Equal(t, min(piece, length-len(got)), n)
					got = append(got, dst[:n]...)
					require.Equal(t, length-len(got), r.Len())
				}
				require.Equal(t, vs, got)
				require.Equal(t, 0, r.Drain(make([]int, piece)))
			}
		}
	}
}

func TestDrainFreesPartOfABatch(t *testing.T) {
	r := queue.New[int](4)
	require.Equal(t, 4, r.PushBatch([]int{0, 1, 2, 3}))
	dst := make([]int, 4)
	require.Equal(t, 0, r.Drain(nil))
	require.Equal(t, 3, r.Drain(dst[:3]))
	require.Equal(t, 3, r.PushBatch([]int{4, 5, 6, 7}))
	require.True(t, r.Wait())
	require.Equal(t, 4, r.Drain(dst))
	require.Equal(t, []int{3, 4, 5, 6}, dst)
}

func TestDrainKeepsNothingAlive(t *testing.T) {
	type payload [1024]byte
	for _, offset := range []int{0, 3} {
		r := queue.New[*payload](4)
		dst := make([]*payload, 4)
		require.Equal(t, offset, r.PushBatch(make([]*payload, offset)))
		require.Equal(t, offset, r.Drain(dst))
		var alive []weak.Pointer[payload]
		for range 4 {
			p := new(payload)
			alive = append(alive, weak.Make(p))
			require.True(t, r.Push(p))
		}
		runtime.GC()
		for _, p := range alive {
			require.NotNil(t, p.Value(), "the ring must keep what it holds")
		}
		require.Equal(t, 2, r.Drain(dst[:2]))
		require.Equal(t, 2, r.Drain(dst[2:]))
		clear(dst)
		runtime.GC()
		for i, p := range alive {
			assert.Nil(t, p.Value(), "element %d with the ring at offset %d", i, offset)
		}
		runtime.KeepAlive(r)
	}
}

func TestCloseRefusesAndKeeps(t *testing.T) {
	r := queue.New[int](4)
	require.True(t, r.Push(1))
	require.Equal(t, 2, r.PushBatch([]int{2, 3}))
	r.Close()
	r.Close()
	require.False(t, r.Push(4))
	require.Equal(t, 0, r.PushBatch([]int{4}))
	require.Equal(t, 3, r.Len())
	require.True(t, r.Wait())
	dst := make([]int, 2)
	require.Equal(t, 2, r.Drain(dst))
	require.Equal(t, []int{1, 2}, dst)
	require.True(t, r.Wait())
	require.Equal(t, 1, r.Drain(dst))
	require.Equal(t, 3, dst[0])
	require.Equal(t, 0, r.Len())
	require.False(t, r.Wait())
	require.False(t, r.Wait())
	require.False(t, r.Push(4))
}

func TestCloseOfAFullRing(t *testing.T) {
	r := queue.New[int](2)
	require.Equal(t, 2, r.PushBatch([]int{1, 2}))
	r.Close()
	require.False(t, r.Push(3))
	require.True(t, r.Wait())
	require.Equal(t, 2, r.Drain(make([]int, 2)))
	require.False(t, r.Wait())
}

func TestNoAllocation(t *testing.T) {
	r := queue.New[event](64)
	v := makeEvent(1)
	vs := []event{v, v, v}
	dst := make([]event, 4)
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		r.Push(v)
		r.PushBatch(vs)
		r.Wake()
		r.Wait()
		r.Wait()
		r.Drain(dst)
		r.TryAcquire()
		r.Len()
	}))
}
