package link

import "time"

// Flight holds what is under way, ordered by arrival; what arrives at the same time
// leaves in the order in which it came. The zero value is empty. It allocates only to
// grow. For one goroutine at a time.
type Flight[T any] struct {
	heap   []flying[T]
	pushed uint64
}

type flying[T any] struct {
	at     time.Duration
	number uint64
	cargo  T
}

func (f *flying[T]) before(g *flying[T]) bool {
	return f.at < g.at || f.at == g.at && f.number < g.number
}

// Len returns how many are under way.
func (f *Flight[T]) Len() int { return len(f.heap) }

// Next returns when the next one arrives; false if none is under way.
func (f *Flight[T]) Next() (at time.Duration, ok bool) {
	if len(f.heap) == 0 {
		return 0, false
	}
	return f.heap[0].at, true
}

// Push adds one.
func (f *Flight[T]) Push(at time.Duration, cargo T) {
	h := append(f.heap, flying[T]{at: at, number: f.pushed, cargo: cargo})
	f.pushed++
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !h[i].before(&h[parent]) {
			break
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
	f.heap = h
}

// Pop takes the next one out; there must be one.
func (f *Flight[T]) Pop() (at time.Duration, cargo T) {
	h := f.heap
	top, n := h[0], len(h)-1
	h[0], h[n] = h[n], flying[T]{} // the place behind the end keeps nothing alive
	h = h[:n]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < n; child++ {
			if h[child].before(&h[least]) {
				least = child
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	f.heap = h
	return top.at, top.cargo
}
