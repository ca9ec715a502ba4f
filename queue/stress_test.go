package queue_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/queue"
)

// token names one element of a stress test: its producer, its running number
// there, and the number that its batch began with.
type token struct {
	producer   int
	seq, first uint64
	payload    *uint64 // equal to seq: for the race detector and the collector
}

// ledger counts every element taken. It belongs to the holder of the consumer
// token and has no lock: the race detector checks that the ring's handing
// over of the token is enough.
type ledger struct {
	r    *queue.Ring[token]
	next []uint64 // by producer: the number that must come next
	last token    // taken before
	bad  error    // the first violation
	dst  []token
}

func newLedger(r *queue.Ring[token], producers int) *ledger {
	// 11 elements of room end inside batches now and then.
	return &ledger{r: r, next: make([]uint64, producers), dst: make([]token, 11)}
}

// drain takes what is there, once.
func (l *ledger) drain() int {
	n := l.r.Drain(l.dst)
	for _, v := range l.dst[:n] {
		switch {
		case l.bad != nil:
		case v.payload == nil || *v.payload != v.seq:
			l.bad = fmt.Errorf("%+v was taken before it was published", v)
		case v.seq != l.next[v.producer]:
			l.bad = fmt.Errorf("%+v came where %d should", v, l.next[v.producer])
		case v.seq != v.first && (l.last.producer != v.producer || l.last.first != v.first):
			l.bad = fmt.Errorf("%+v came apart from its batch, after %+v", v, l.last)
		}
		l.next[v.producer]++
		l.last = v
	}
	return n
}

// run is a consumer's life.
func (l *ledger) run() {
	for l.r.Wait() {
		if l.drain() == 0 && l.bad == nil {
			l.bad = fmt.Errorf("Wait promised an element and Drain found none, after %+v", l.last)
		}
	}
}

// pusher is one producer's state.
type pusher struct {
	r    *queue.Ring[token]
	id   int
	next uint64
	vs   [8]token
}

// push tries to push 1 to 8 elements, not beyond limit, and reports whether
// any went in.
func (p *pusher) push(limit uint64) bool {
	size := min(1+(p.next+uint64(p.id))%uint64(len(p.vs)), limit-p.next)
	for i := range size {
		seq := p.next + i
		p.vs[i] = token{p.id, seq, p.next, new(seq)}
	}
	n := 0
	if size > 1 {
		n = p.r.PushBatch(p.vs[:size])
	} else if p.r.Push(p.vs[0]) {
		n = 1
	}
	p.next += uint64(n)
	return n > 0
}

func stress(t *testing.T, test func(t *testing.T, producers, capacity int, each uint64)) {
	total := uint64(30000)
	if testing.Short() {
		total = 3000
	}
	for _, producers := range []int{1, 2, 3, 4, 8, 16, 32, 64} {
		for _, capacity := range []int{2, 16, 1024} {
			t.Run(fmt.Sprintf("producers=%d/capacity=%d", producers, capacity), func(t *testing.T) {
				test(t, producers, capacity, total/uint64(producers))
			})
		}
	}
}

// Every element arrives once, in its producer's order, and batches arrive
// unmixed.
func TestStressEveryElementArrives(t *testing.T) {
	stress(t, func(t *testing.T, producers, capacity int, each uint64) {
		r := queue.New[token](capacity)
		l := newLedger(r, producers)
		var pushing, closing sync.WaitGroup
		for id := range producers {
			pushing.Go(func() {
				p := pusher{r: r, id: id}
				for p.next < each {
					if !p.push(each) {
						runtime.Gosched()
					}
				}
			})
		}
		closing.Go(func() {
			pushing.Wait()
			r.Close()
		})
		l.run()
		closing.Wait()
		require.NoError(t, l.bad)
		for id, next := range l.next {
			assert.Equal(t, each, next, "producer %d", id)
		}
		assert.Zero(t, r.Len())
		assert.Zero(t, l.drain())
	})
}

// Close in the middle of it all: exactly what was accepted arrives.
func TestStressCloseLosesNothingAccepted(t *testing.T) {
	stress(t, func(t *testing.T, producers, capacity int, each uint64) {
		r := queue.New[token](capacity)
		l := newLedger(r, producers)
		accepted := make([]uint64, producers)
		var pushing sync.WaitGroup
		for id := range producers {
			pushing.Go(func() {
				p := pusher{r: r, id: id}
				// One producer closes half way; the others go on for a while.
				for tries := each; p.next < each && tries > 0; {
					if id == 0 && p.next >= each/2 {
						r.Close()
					}
					if !p.push(each) {
						tries--
						runtime.Gosched()
					}
				}
				accepted[id] = p.next
				if id == 0 {
					r.Close()
				}
			})
		}
		l.run()
		pushing.Wait()
		require.NoError(t, l.bad)
		assert.Equal(t, accepted, l.next)
		assert.Zero(t, r.Len())
		assert.Zero(t, l.drain(), "nothing may come after Wait returned false")
	})
}

// Producers that borrow the token whenever they find the consumer asleep,
// beside others that only push, and one that calls Wake all the time.
func TestStressBorrowers(t *testing.T) {
	stress(t, func(t *testing.T, producers, capacity int, each uint64) {
		r := queue.New[token](capacity)
		l := newLedger(r, producers)
		var pushing, closing sync.WaitGroup
		for id := range producers {
			pushing.Go(func() {
				p := pusher{r: r, id: id}
				for p.next < each {
					if id%2 == 1 || !r.TryAcquire() {
						if !p.push(each) {
							runtime.Gosched()
						}
						continue
					}
					p.push(each)
					l.drain()
					r.Release()
				}
			})
		}
		woken := make(chan struct{})
		closing.Go(func() {
			for {
				select {
				case <-woken:
					return
				default:
					r.Wake()
					runtime.Gosched()
				}
			}
		})
		closing.Go(func() {
			pushing.Wait()
			close(woken)
			r.Close()
		})
		for r.Wait() {
			l.drain() // 0 after a Wake
		}
		closing.Wait()
		require.NoError(t, l.bad)
		for id, next := range l.next {
			assert.Equal(t, each, next, "producer %d", id)
		}
		assert.Zero(t, r.Len())
	})
}

// One element at a time, each answered before the next is pushed: the
// consumer parks, or is about to, at every push. A lost wake-up hangs.
func TestStressParking(t *testing.T) {
	rounds := 20000
	if testing.Short() {
		rounds = 2000
	}
	for name, push := range map[string]func(*queue.Ring[int], int){
		"Push":      func(r *queue.Ring[int], v int) { r.Push(v) },
		"PushBatch": func(r *queue.Ring[int], v int) { r.PushBatch([]int{v}) },
		"Borrowed": func(r *queue.Ring[int], v int) {
			// Pushed with the token out and left to the consumer.
			acquired := r.TryAcquire()
			r.Push(v)
			if acquired {
				r.Release()
			}
		},
		"PushAndWake": func(r *queue.Ring[int], v int) { r.Push(v); r.Wake() },
	} {
		t.Run(name, func(t *testing.T) {
			r := queue.New[int](2)
			echo := make(chan int, 1)
			go func() {
				defer close(echo)
				dst := make([]int, 2)
				for r.Wait() {
					for _, v := range dst[:r.Drain(dst)] {
						echo <- v
					}
				}
			}()
			for i := range rounds {
				push(r, i)
				require.Equal(t, i, <-echo)
			}
			r.Close()
			_, open := <-echo
			require.False(t, open)
		})
	}
}

// Side work posted before Wake is seen after Wait, without a lock.
func TestStressWakeIsNeverLost(t *testing.T) {
	rounds := 20000
	if testing.Short() {
		rounds = 2000
	}
	r := queue.New[int](2)
	var posted int // handed over by Wake and Wait
	seen := make(chan int)
	go func() {
		defer close(seen)
		for r.Wait() {
			seen <- posted
		}
	}()
	for i := 1; i <= rounds; i++ {
		posted = i
		r.Wake()
		require.Equal(t, i, <-seen)
	}
	r.Close()
	_, open := <-seen
	require.False(t, open)
}

// Producers that never have more elements in the ring together than it has
// slots are never refused, however old the positions they work with.
func TestStressNoFalseFull(t *testing.T) {
	const producers = 4
	rounds := 20000
	if testing.Short() {
		rounds = 2000
	}
	r := queue.New[int](producers)
	var echoes [producers]chan struct{}
	var pushing, closing sync.WaitGroup
	for id := range producers {
		echoes[id] = make(chan struct{}, 1)
		pushing.Go(func() {
			for i := range rounds {
				if !assert.True(t, r.Push(id), "round %d", i) {
					return
				}
				<-echoes[id]
			}
		})
	}
	closing.Go(func() {
		pushing.Wait()
		r.Close()
	})
	dst := make([]int, producers)
	for r.Wait() {
		for _, id := range dst[:r.Drain(dst)] {
			echoes[id] <- struct{}{}
		}
	}
	closing.Wait()
}

// Close at any moment of the consumer's way to sleep ends Wait.
func TestStressCloseEndsWait(t *testing.T) {
	rounds := 20000
	if testing.Short() {
		rounds = 5000
	}
	rings := make(chan *queue.Ring[int])
	ended := make(chan bool)
	go func() {
		defer close(ended)
		for r := range rings {
			ended <- r.Wait()
		}
	}()
	for range rounds {
		r := queue.New[int](2)
		rings <- r
		r.Close()
		require.False(t, <-ended)
	}
	close(rings)
	_, open := <-ended
	require.False(t, open)
}
