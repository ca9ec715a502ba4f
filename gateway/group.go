package gateway

import "sync"

// groups are the fan-out sets of game logic, by route and name (upstream.proto).
type groups struct {
	mu     sync.Mutex
	byName map[groupName]*group
}

type groupName struct{ route, name string }

// group keeps its members by shard. A slice that a publish has taken is shared:
// it may be appended to, because the publish knows its length, but a removal
// makes a new one.
type group struct {
	name   groupName
	shards [][]*session
	shared []bool
	place  map[*session]int
}

func (g *groups) init() { g.byName = make(map[groupName]*group) }

// join adds s; twice is once. A session that has ended joins nothing.
func (g *groups) join(route, name string, s *session) {
	key := groupName{route, name}
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.end.Load() != nil {
		return
	}
	gr := g.byName[key]
	if gr == nil {
		n := len(s.gw.shards)
		gr = &group{name: key, shards: make([][]*session, n), shared: make([]bool, n), place: make(map[*session]int)}
		g.byName[key] = gr
	}
	if _, ok := gr.place[s]; ok {
		return
	}
	i := s.shard.index
	gr.place[s] = len(gr.shards[i])
	gr.shards[i] = append(gr.shards[i], s)
	s.groups = append(s.groups, gr)
}

// leave removes s from one group.
func (g *groups) leave(route, name string, s *session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	gr := g.byName[groupName{route, name}]
	if gr == nil {
		return
	}
	for i, have := range s.groups {
		if have == gr {
			s.groups[i] = s.groups[len(s.groups)-1]
			s.groups[len(s.groups)-1] = nil
			s.groups = s.groups[:len(s.groups)-1]
			g.remove(gr, s)
			return
		}
	}
}

// leaveAll removes s from every group.
func (g *groups) leaveAll(s *session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, gr := range s.groups {
		g.remove(gr, s)
	}
	s.groups = nil
}

func (g *groups) remove(gr *group, s *session) {
	i, at := s.shard.index, gr.place[s]
	old := gr.shards[i]
	last := len(old) - 1
	ms := old
	if gr.shared[i] {
		ms = make([]*session, len(old), cap(old))
		copy(ms, old)
		gr.shared[i] = false
	}
	ms[at] = ms[last]
	gr.place[ms[at]] = at
	ms[last] = nil
	gr.shards[i] = ms[:last]
	delete(gr.place, s)
	if len(gr.place) == 0 {
		delete(g.byName, gr.name)
	}
}

// members returns the members by shard; the slices are read-only.
func (g *groups) members(route, name string) [][]*session {
	g.mu.Lock()
	defer g.mu.Unlock()
	gr := g.byName[groupName{route, name}]
	if gr == nil {
		return nil
	}
	out := make([][]*session, len(gr.shards))
	for i, ms := range gr.shards {
		out[i] = ms[:len(ms):len(ms)]
		gr.shared[i] = gr.shared[i] || len(ms) > 0
	}
	return out
}

func (g *groups) len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.byName)
}
