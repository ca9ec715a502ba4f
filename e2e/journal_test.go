package e2e

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// journal is a record that is only appended to and can be waited on. Safe for
// concurrent use.
type journal[T any] struct {
	mu    sync.Mutex
	items []T
	grown chan struct{} // closed and replaced with each item; nil: nobody waits
}

func (j *journal[T]) add(v T) {
	j.mu.Lock()
	j.items = append(j.items, v)
	if j.grown != nil {
		close(j.grown)
		j.grown = nil
	}
	j.mu.Unlock()
}

// all is a snapshot.
func (j *journal[T]) all() []T {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.items[:len(j.items):len(j.items)]
}

// count is how many items match by now.
func (j *journal[T]) count(match func(T) bool) (n int) {
	for _, v := range j.all() {
		if match(v) {
			n++
		}
	}
	return n
}

// await returns the first item that matches, and waits for it.
func (j *journal[T]) await(t testing.TB, what string, match func(T) bool) T {
	t.Helper()
	v, _ := j.awaitFrom(t, 0, what, match)
	return v
}

// awaitFrom is await beginning at an index; next is the index behind what it found.
func (j *journal[T]) awaitFrom(t testing.TB, from int, what string, match func(T) bool) (v T, next int) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		j.mu.Lock()
		for ; from < len(j.items); from++ {
			if match(j.items[from]) {
				v = j.items[from]
				j.mu.Unlock()
				return v, from + 1
			}
		}
		if j.grown == nil {
			j.grown = make(chan struct{})
		}
		grown := j.grown
		j.mu.Unlock()
		select {
		case <-grown:
		case <-deadline.C:
			require.FailNow(t, "never happened: "+what)
		}
	}
}
