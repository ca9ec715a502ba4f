package remote

import (
	"slices"
	"sync"
	"sync/atomic"
)

// routes counts the sessions of each route, for publishes of backends that serve
// any.
type routes struct {
	mu     sync.Mutex
	counts map[string]int
	list   atomic.Pointer[[]string]
}

func (r *routes) add(route string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = make(map[string]int)
	}
	r.counts[route]++
	if r.counts[route] == 1 {
		r.publish()
	}
}

func (r *routes) remove(route string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[route]--
	if r.counts[route] == 0 {
		delete(r.counts, route)
		r.publish()
	}
}

func (r *routes) publish() {
	list := make([]string, 0, len(r.counts))
	for route := range r.counts {
		list = append(list, route)
	}
	slices.Sort(list)
	r.list.Store(&list)
}

// inUse returns the routes that have sessions. Read-only.
func (r *routes) inUse() []string {
	if list := r.list.Load(); list != nil {
		return *list
	}
	return nil
}
