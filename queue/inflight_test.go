package queue

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// stopped is a producer that was stopped between reserving one slot and
// publishing it.
type stopped struct {
	r   *Ring[int]
	pos uint64
}

func stopAfterReserving(r *Ring[int]) stopped {
	return stopped{r, r.tail.Add(1) - 1}
}

func (s stopped) goOn(v int) {
	s.r.values[s.pos&s.r.mask] = v
	s.r.slot(s.pos).Store(s.r.stamp(s.pos, 1))
	if s.r.state.Load() == parked {
		s.r.unpark()
	}
}

func TestPushInFlightHidesWhatFollows(t *testing.T) {
	r := New[int](4)
	dst := make([]int, 4)
	require.True(t, r.Push(1))
	producer := stopAfterReserving(r)
	require.Equal(t, 2, r.PushBatch([]int{3, 4}))
	require.False(t, r.Push(5), "full: a slot reserved is a slot occupied")
	require.Equal(t, 4, r.Len())
	require.Equal(t, 1, r.Drain(dst))
	require.Equal(t, 0, r.Drain(dst))
	producer.goOn(2)
	require.Equal(t, 3, r.Drain(dst))
	require.Equal(t, []int{2, 3, 4}, dst[:3])
}

func TestCloseWaitsForPushInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New[int](4)
		producer := stopAfterReserving(r)
		answers := make(chan bool, 2)
		dst := make([]int, 4)
		go func() {
			answers <- r.Wait()
			r.Drain(dst)
			answers <- r.Wait()
		}()
		synctest.Wait()
		require.True(t, r.Push(2))
		synctest.Wait()
		r.Close()
		synctest.Wait()
		require.Empty(t, answers, "closed, but an accepted push is not drained")
		producer.goOn(1)
		require.True(t, <-answers)
		require.False(t, <-answers)
		require.Equal(t, []int{1, 2, 0, 0}, dst)
	})
}

// The arithmetic on positions holds up to the closed bit, which is none.
func TestPositionsFarFromZero(t *testing.T) {
	r := New[int](2)
	const start = 1<<63 - 101
	r.tail.Store(start)
	r.head.Store(start)
	dst := make([]int, 2)
	for i := range 100 {
		require.True(t, r.Push(i))
		require.Equal(t, 1, r.Drain(dst))
		require.Equal(t, i, dst[0])
	}
	r.Close()
	require.False(t, r.Push(0))
	require.Equal(t, 0, r.Len())
	require.False(t, r.Wait())
}
