package transport

import (
	"container/heap"
	"container/list"
	"net/netip"
	"sync"
)

// Openings caps the connections that have not opened a session yet, over all
// listeners that share it. When the cap is reached one makes room: the oldest of the
// network that has the most of them. A client in good faith opens within a few round
// trips, so the oldest is the likeliest to be idle or hostile; and whoever floods from
// one network pushes out himself and nobody else. Safe for concurrent use.
type Openings struct {
	max     int
	mu      sync.Mutex
	begun   uint64 // so far; numbers openings
	count   int
	sources map[netip.Prefix]*source
	order   sources
	evicted uint64
}

// source is a network with unfinished openings.
type source struct {
	network  netip.Prefix
	openings list.List // of *Opening, oldest first; never empty
	index    int       // in Openings.order
}

func (s *source) oldest() *Opening { return s.openings.Front().Value.(*Opening) }

// Opening is one unfinished opening.
type Opening struct {
	owner  *Openings
	source *source
	elem   *list.Element // nil: done, or evicted
	number uint64
	evict  func()
}

// NewOpenings returns a cap of max unfinished openings; 0 is no cap.
func NewOpenings(max int) *Openings {
	return &Openings{max: max, sources: make(map[netip.Prefix]*source)}
}

// Network is what counts as one network of clients where they are counted by address:
// an IPv4 address, or 64 bits of an IPv6 address, as one customer has at least. Those
// without an address are one, too.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // of no address: the zero Prefix
	return p
}

// Begin counts a new opening from a network. evict is called, without any lock held,
// if it must make room for a newer one before Done; it must not block.
func (o *Openings) Begin(network netip.Prefix, evict func()) *Opening {
	n := &Opening{owner: o, evict: evict}
	o.mu.Lock()
	o.add(network, n)
	var victim *Opening
	if o.max > 0 && o.count > o.max {
		victim = o.order[0].oldest()
		o.remove(victim)
		o.evicted++
	}
	o.mu.Unlock()
	if victim != nil {
		victim.evict()
	}
	return n
}

func (o *Openings) add(network netip.Prefix, n *Opening) {
	o.begun++
	n.number = o.begun
	s := o.sources[network]
	if s == nil {
		s = &source{network: network}
		o.sources[network] = s
		n.elem = s.openings.PushBack(n)
		heap.Push(&o.order, s)
	} else {
		n.elem = s.openings.PushBack(n)
		heap.Fix(&o.order, s.index)
	}
	n.source = s
	o.count++
}

func (o *Openings) remove(n *Opening) {
	s := n.source
	s.openings.Remove(n.elem)
	n.elem = nil
	o.count--
	if s.openings.Len() > 0 {
		heap.Fix(&o.order, s.index)
		return
	}
	heap.Remove(&o.order, s.index)
	delete(o.sources, s.network)
}

// Done ends the opening, opened or failed. Idempotent.
func (n *Opening) Done() {
	o := n.owner
	o.mu.Lock()
	if n.elem != nil {
		o.remove(n)
	}
	o.mu.Unlock()
}

// Len returns how many openings are unfinished now, and how many were evicted so far.
func (o *Openings) Len() (unfinished int, evicted uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.count, o.evicted
}

// sources is a heap: the one with the most openings first, and among equals the one
// whose oldest is the oldest.
type sources []*source

func (h sources) Len() int { return len(h) }

func (h sources) Less(i, j int) bool {
	if a, b := h[i].openings.Len(), h[j].openings.Len(); a != b {
		return a > b
	}
	return h[i].oldest().number < h[j].oldest().number
}

func (h sources) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *sources) Push(x any) {
	s := x.(*source)
	s.index = len(*h)
	*h = append(*h, s)
}

func (h *sources) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return s
}
