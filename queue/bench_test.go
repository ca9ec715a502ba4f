package queue_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"strait/queue"
)

const (
	benchCapacity = 1024    // of every contender
	benchElements = 1 << 16 // of one iteration, shared out among the producers
	benchBatch    = 32      // of a batched push
	benchDrain    = 256     // the receiver's room
)

// small is an element of 8 bytes.
type small struct{ key uint64 }

func makeSmall(key uint64) small { return small{key} }
func (e small) weight() uint64   { return e.key }

// event is an element of 64 bytes with pointers, like what a transport hands
// to its dispatcher.
type event struct {
	owner   any
	payload *[64]byte
	key     uint64
	_       [4]uint64
}

var benchPayload [64]byte

func makeEvent(key uint64) event {
	return event{owner: &benchPayload, payload: &benchPayload, key: key}
}
func (e event) weight() uint64 { return e.key }

// BenchmarkThroughput measures elements from N producers to one consumer, for
// the ring and for what one would use instead. One iteration moves 65,536
// elements; ns/elem is the figure to compare, ns/op is one iteration.
func BenchmarkThroughput(b *testing.B) {
	b.Run("bytes=8", func(b *testing.B) { benchElement(b, makeSmall) })
	b.Run("bytes=64", func(b *testing.B) { benchElement(b, makeEvent) })
}

func benchElement[T interface{ weight() uint64 }](b *testing.B, element func(uint64) T) {
	contenders := []struct {
		name string
		make func(capacity int) contender[T]
	}{
		{"ring", newRingContender[T]},
		{"channel", newChannel[T]},
		{"trychannel", newTryChannel[T]},
		{"mutex", newSwapped[T]},
		{"linked", newLinked[T]},
	}
	for _, batch := range []int{1, benchBatch} {
		for _, producers := range []int{1, 2, 4, 16, 64} {
			for _, c := range contenders {
				name := fmt.Sprintf("batch=%d/producers=%d/queue=%s", batch, producers, c.name)
				b.Run(name, func(b *testing.B) {
					benchContender(b, c.make, element, producers, batch)
				})
			}
		}
	}
}

func benchContender[T interface{ weight() uint64 }](
	b *testing.B, newContender func(int) contender[T], element func(uint64) T, producers, batch int,
) {
	b.ReportAllocs()
	c := newContender(benchCapacity)
	starts := make([]chan struct{}, producers)
	var running sync.WaitGroup
	share := benchElements / producers
	for p := range starts {
		start := make(chan struct{}, 1)
		starts[p] = start
		running.Go(func() {
			v := element(uint64(p))
			vs := slices.Repeat([]T{v}, batch)
			for range start {
				if batch == 1 {
					for range share {
						c.send(v)
					}
					continue
				}
				for range share / batch {
					c.sendBatch(vs)
				}
			}
		})
	}
	want := uint64(share * producers * (producers - 1) / 2)
	dst := make([]T, benchDrain)
	runtime.GC()
	rounds := 0
	began := time.Now()
	for b.Loop() {
		rounds++
		for _, start := range starts {
			start <- struct{}{}
		}
		var sum uint64
		for left := benchElements; left > 0; {
			n := c.receive(dst)
			for i := range n {
				sum += dst[i].weight()
			}
			left -= n
		}
		if sum != want {
			b.Fatalf("got a sum of %d, want %d", sum, want)
		}
	}
	elapsed := time.Since(began)
	for _, start := range starts {
		close(start)
	}
	running.Wait()
	c.close()
	b.ReportMetric(float64(elapsed.Nanoseconds())/float64(rounds)/benchElements, "ns/elem")
}

// BenchmarkHandOver measures one element at a time to a consumer that is
// asleep: from before the push until it was taken. inline is the producer
// that borrows the consumer token and wakes nobody.
func BenchmarkHandOver(b *testing.B) {
	for _, c := range []struct {
		name string
		make func(capacity int) contender[event]
	}{
		{"ring", newRingContender[event]},
		{"channel", newChannel[event]},
		{"mutex", newSwapped[event]},
		{"linked", newLinked[event]},
	} {
		b.Run("queue="+c.name, func(b *testing.B) {
			b.ReportAllocs()
			q := c.make(benchCapacity)
			taken := make(chan uint64)
			go func() {
				defer close(taken)
				dst := make([]event, benchDrain)
				for {
					n := q.receive(dst)
					if n == 0 {
						return
					}
					taken <- dst[0].key
				}
			}()
			v := makeEvent(7)
			for b.Loop() {
				q.send(v)
				if <-taken != v.key {
					b.Fatal("another element came out")
				}
			}
			q.close()
			<-taken
		})
	}
	b.Run("queue=ring/inline", func(b *testing.B) {
		b.ReportAllocs()
		r := queue.New[event](benchCapacity)
		ended := make(chan bool)
		go func() { ended <- r.Wait() }()
		dst := make([]event, benchDrain)
		v := makeEvent(7)
		for !r.TryAcquire() { // until it sleeps
			runtime.Gosched()
		}
		r.Release()
		for b.Loop() {
			if !r.TryAcquire() {
				b.Fatal("the consumer is awake")
			}
			r.Push(v)
			if r.Drain(dst) != 1 || dst[0].key != v.key {
				b.Fatal("another element came out")
			}
			r.Release()
		}
		r.Close()
		if <-ended {
			b.Fatal("something is left")
		}
	})
}
