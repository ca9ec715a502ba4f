package queue_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/queue"
)

// waiter runs Wait in a goroutine of the test's synctest bubble. A parked
// consumer is durably blocked there: synctest.Wait returns when it sleeps, and
// would not return if it spun.
type waiter struct {
	r       *queue.Ring[int]
	answers []bool // what Wait has returned so far
	again   chan struct{}
}

// startWaiter lets the consumer call Wait once, and once more a call of next.
func startWaiter(t *testing.T, r *queue.Ring[int]) *waiter {
	w := &waiter{r: r, again: make(chan struct{}, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range w.again {
			w.answers = append(w.answers, r.Wait())
		}
	}()
	t.Cleanup(func() {
		close(w.again)
		r.Wake() // in case it is parked: answered whatever the state
		<-done
	})
	w.next()
	return w
}

func (w *waiter) next() {
	w.again <- struct{}{}
	synctest.Wait()
}

// answered waits until nothing moves any more and returns what Wait returned.
func (w *waiter) answered() []bool {
	synctest.Wait()
	return w.answers
}

func TestWaitParksUntilPush(t *testing.T) {
	pushes := map[string]func(*queue.Ring[int]){
		"Push":      func(r *queue.Ring[int]) { r.Push(1) },
		"PushBatch": func(r *queue.Ring[int]) { r.PushBatch([]int{1}) },
		"Wake":      func(r *queue.Ring[int]) { r.Wake() },
	}
	for name, push := range pushes {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := startWaiter(t, queue.New[int](4))
				require.Empty(t, w.answered())
				push(w.r)
				require.Equal(t, []bool{true}, w.answered())
			})
		})
	}
}

func TestWaitEndsWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWaiter(t, queue.New[int](4))
		require.Empty(t, w.answered())
		w.r.Close()
		require.Equal(t, []bool{false}, w.answered())
		w.next()
		require.Equal(t, []bool{false, false}, w.answered())
	})
}

func TestWakeIsAnsweredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := queue.New[int](4)
		r.Wake()
		r.Wake()
		w := startWaiter(t, r)
		require.Equal(t, []bool{true}, w.answered(), "a Wake before Wait is kept")
		w.next()
		require.Equal(t, []bool{true}, w.answered(), "and answered only once")
		r.Wake()
		require.Equal(t, []bool{true, true}, w.answered())
		r.Wake()
		r.Push(1)
		w.next()
		w.next()
		require.Len(t, w.answered(), 4, "a Wake does not swallow a Push")
		require.Equal(t, 1, r.Drain(make([]int, 1)))
	})
}

func TestWakeComesBeforeTheEnd(t *testing.T) {
	r := queue.New[int](4)
	r.Close()
	r.Wake()
	require.True(t, r.Wait())
	require.False(t, r.Wait())
}

func TestTryAcquireNeedsAParkedConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := queue.New[int](4)
		require.False(t, r.TryAcquire(), "the consumer has not parked yet")
		r.Wake()
		require.False(t, r.TryAcquire(), "nor now")
		w := startWaiter(t, r)
		require.Equal(t, []bool{true}, w.answered())
		require.False(t, r.TryAcquire(), "awake again")
		w.next()
		require.True(t, r.TryAcquire())
		require.False(t, r.TryAcquire(), "one borrower at a time")
		r.Release()
		require.True(t, r.TryAcquire(), "put down again")
		r.Release()
		require.Equal(t, []bool{true}, w.answered(), "all that without waking the consumer")
	})
}

func TestBorrowerDrainsInline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWaiter(t, queue.New[int](4))
		dst := make([]int, 4)
		for i := range 20 {
			require.True(t, w.r.TryAcquire())
			require.True(t, w.r.Push(i))
			require.Equal(t, 1, w.r.Drain(dst))
			require.Equal(t, i, dst[0])
			w.r.Release()
			require.Empty(t, w.answered(), "nothing left: the consumer sleeps on")
		}
		require.True(t, w.r.Push(20))
		require.Equal(t, []bool{true}, w.answered())
		require.Equal(t, 1, w.r.Drain(dst))
		require.Equal(t, 20, dst[0])
	})
}

// What comes while the token is out wakes nobody, and Release makes up for it.
func TestReleaseHandsOver(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(*queue.Ring[int])
		answer    bool
		left      int
	}{
		"Push":      {func(r *queue.Ring[int]) { r.Push(1) }, true, 1},
		"PushBatch": {func(r *queue.Ring[int]) { r.PushBatch([]int{1, 2}) }, true, 2},
		"Wake":      {func(r *queue.Ring[int]) { r.Wake(); r.Wake() }, true, 0},
		"Close":     {func(r *queue.Ring[int]) { r.Close() }, false, 0},
		"Part of a batch": {func(r *queue.Ring[int]) {
			r.PushBatch([]int{1, 2, 3})
			r.Drain(make([]int, 1))
		}, true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := startWaiter(t, queue.New[int](4))
				require.True(t, w.r.TryAcquire())
				c.meanwhile(w.r)
				require.Empty(t, w.answered(), "the consumer must not run beside a borrower")
				require.False(t, w.r.TryAcquire())
				w.r.Release()
				require.Equal(t, []bool{c.answer}, w.answered())
				require.Equal(t, c.left, w.r.Drain(make([]int, 4)))
			})
		})
	}
}

func TestReleaseWithoutTheTokenPanics(t *testing.T) {
	r := queue.New[int](2)
	assert.PanicsWithValue(t, "queue: Release without TryAcquire", r.Release)
}
