package queue_test

import (
	"runtime"
	"sync"
	"sync/atomic"

	"strait/queue"
)

// contender is one way to get elements from many goroutines to one, bounded,
// with a receiver that parks when there is nothing to do.
type contender[T any] interface {
	// send blocks or yields until v is in.
	send(v T)
	// sendBatch blocks or yields until all of vs is in; vs is borrowed.
	sendBatch(vs []T)
	// receive parks until there is something, moves up to len(dst) elements
	// into dst and returns how many; 0 after close and the last element.
	receive(dst []T) int
	// close is called after the last send has returned.
	close()
}

// ringContender is the ring with producers that yield when it is full.
type ringContender[T any] struct{ r *queue.Ring[T] }

func newRingContender[T any](capacity int) contender[T] {
	return ringContender[T]{queue.New[T](capacity)}
}

func (c ringContender[T]) send(v T) {
	for !c.r.Push(v) {
		runtime.Gosched()
	}
}

func (c ringContender[T]) sendBatch(vs []T) {
	for {
		vs = vs[c.r.PushBatch(vs):]
		if len(vs) == 0 {
			return
		}
		runtime.Gosched()
	}
}

func (c ringContender[T]) receive(dst []T) int {
	for {
		if n := c.r.Drain(dst); n > 0 {
			return n
		}
		if !c.r.Wait() {
			return 0
		}
	}
}

func (c ringContender[T]) close() { c.r.Close() }

// channel is a buffered channel whose senders block when it is full. The
// receiver blocks for the first element only and takes what else is there.
type channel[T any] chan T

func newChannel[T any](capacity int) contender[T] { return make(channel[T], capacity) }

func (c channel[T]) send(v T) { c <- v }

func (c channel[T]) sendBatch(vs []T) {
	for i := range vs {
		c <- vs[i]
	}
}

func (c channel[T]) receive(dst []T) int {
	v, ok := <-c
	if !ok {
		return 0
	}
	dst[0] = v
	n := 1
	for n < len(dst) {
		select {
		case v, ok := <-c:
			if !ok {
				return n
			}
			dst[n] = v
			n++
		default:
			return n
		}
	}
	return n
}

func (c channel[T]) close() { close(c) }

// tryChannel is a buffered channel whose senders never block, like Push: they
// yield when it is full.
type tryChannel[T any] struct{ channel[T] }

func newTryChannel[T any](capacity int) contender[T] {
	return tryChannel[T]{make(channel[T], capacity)}
}

func (c tryChannel[T]) send(v T) {
	for {
		select {
		case c.channel <- v:
			return
		default:
			runtime.Gosched()
		}
	}
}

func (c tryChannel[T]) sendBatch(vs []T) {
	for i := range vs {
		c.send(vs[i])
	}
}

// swapped is a slice under a mutex that the consumer swaps for an empty one.
type swapped[T any] struct {
	mu       sync.Mutex
	filling  []T
	waiting  bool
	closed   bool
	capacity int
	sema     chan struct{}

	draining []T // consumer only
	taken    int // consumer only: how much of draining was handed out
}

func newSwapped[T any](capacity int) contender[T] {
	return &swapped[T]{
		filling:  make([]T, 0, capacity),
		draining: make([]T, 0, capacity),
		capacity: capacity,
		sema:     make(chan struct{}, 1),
	}
}

func (c *swapped[T]) send(v T) {
	for {
		c.mu.Lock()
		if len(c.filling) < c.capacity {
			c.filling = append(c.filling, v)
			c.unlockAndWake()
			return
		}
		c.mu.Unlock()
		runtime.Gosched()
	}
}

func (c *swapped[T]) sendBatch(vs []T) {
	for {
		c.mu.Lock()
		n := min(len(vs), c.capacity-len(c.filling))
		c.filling = append(c.filling, vs[:n]...)
		vs = vs[n:]
		c.unlockAndWake()
		if len(vs) == 0 {
			return
		}
		runtime.Gosched()
	}
}

func (c *swapped[T]) unlockAndWake() {
	waiting := c.waiting
	c.waiting = false
	c.mu.Unlock()
	if waiting {
		c.sema <- struct{}{}
	}
}

func (c *swapped[T]) receive(dst []T) int {
	for c.taken == len(c.draining) {
		clear(c.draining)
		c.mu.Lock()
		if len(c.filling) > 0 {
			c.filling, c.draining, c.taken = c.draining[:0], c.filling, 0
			c.mu.Unlock()
			break
		}
		if c.closed {
			c.mu.Unlock()
			return 0
		}
		c.waiting = true
		c.mu.Unlock()
		<-c.sema
	}
	n := copy(dst, c.draining[c.taken:])
	c.taken += n
	return n
}

func (c *swapped[T]) close() {
	c.mu.Lock()
	c.closed = true
	c.unlockAndWake()
}

// linked is Vyukov's linked MPSC queue: a node a push, one exchange. A count
// bounds it like the others.
type linked[T any] struct {
	tail atomic.Pointer[node[T]]
	_    [120]byte
	head *node[T] // consumer only
	_    [120]byte
	size atomic.Int64
	_    [120]byte

	waiting  atomic.Bool
	closed   atomic.Bool
	capacity int64
	sema     chan struct{}
}

type node[T any] struct {
	next atomic.Pointer[node[T]]
	v    T
}

func newLinked[T any](capacity int) contender[T] {
	c := &linked[T]{capacity: int64(capacity), sema: make(chan struct{}, 1)}
	c.head = new(node[T])
	c.tail.Store(c.head)
	return c
}

func (c *linked[T]) reserve(n int64) {
	for c.size.Add(n) > c.capacity {
		c.size.Add(-n)
		runtime.Gosched()
	}
}

func (c *linked[T]) append(first, last *node[T]) {
	c.tail.Swap(last).next.Store(first)
	c.wake()
}

func (c *linked[T]) wake() {
	if c.waiting.Load() && c.waiting.CompareAndSwap(true, false) {
		c.sema <- struct{}{}
	}
}

func (c *linked[T]) send(v T) {
	c.reserve(1)
	n := &node[T]{v: v}
	c.append(n, n)
}

func (c *linked[T]) sendBatch(vs []T) {
	if len(vs) == 0 {
		return
	}
	c.reserve(int64(len(vs)))
	first := &node[T]{v: vs[0]}
	last := first
	for _, v := range vs[1:] {
		n := &node[T]{v: v}
		last.next.Store(n)
		last = n
	}
	c.append(first, last)
}

func (c *linked[T]) receive(dst []T) int {
	for {
		n := 0
		for n < len(dst) {
			next := c.head.next.Load()
			if next == nil {
				break
			}
			dst[n] = next.v
			var zero T
			next.v = zero
			c.head = next
			n++
		}
		if n > 0 {
			c.size.Add(int64(-n))
			return n
		}
		c.waiting.Store(true)
		if c.head.next.Load() != nil || c.closed.Load() {
			if !c.waiting.CompareAndSwap(true, false) {
				<-c.sema
			}
			if c.head.next.Load() == nil && c.closed.Load() {
				return 0
			}
			continue
		}
		<-c.sema
	}
}

func (c *linked[T]) close() {
	c.closed.Store(true)
	c.wake()
}
