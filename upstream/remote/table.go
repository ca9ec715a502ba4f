package remote

import "slices"

// table is who may be given sessions now. It is never changed, only replaced.
type table struct {
	entries []entry
}

// entry is one backend with its live streams.
type entry struct {
	backend *backend
	suspect bool // it hung: a connection alone proves nothing
	streams []option
}

// option is a stream as it was when the table was made.
type option struct {
	stream   *stream
	routes   []string // empty: any
	proven   bool     // the backend was heard on it
	draining bool
}

// tier is how good a choice a stream is; lower is better.
type tier int

const (
	// heard: the backend spoke on the stream, so that what it serves is known.
	heard tier = iota
	// connected: it need not say anything before it has something to answer, so such
	// a stream is used where there is no better one. Likewise one that spoke, of a
	// backend that hung on another stream since.
	connected
	// staying: the backend wants no new sessions, but this one was there before.
	staying
	tiers
)

func (o *option) fits(want tier, route string, suspect bool) bool {
	if len(o.routes) > 0 && !slices.Contains(o.routes, route) {
		return false
	}
	switch want {
	case heard:
		return o.proven && !o.draining && !suspect
	case connected:
		return o.proven == suspect && !o.draining
	}
	return o.proven
}

// pick chooses a stream for a session of a route; nil when nobody serves it. key
// is the hash of the session's id. Sessions of one shard share a stream, so that
// what a shard delivers at once is one write. home is the backend that the session was
// announced to before, which keeps it while draining if there is no other; nil
// without one.
func (t *table) pick(route string, key uint64, shard int, home *backend) *stream {
	hash := key
	if route != "" {
		hash = hashString(route)
	}
	for want := range tiers {
		var best *entry
		var bestWeight uint64
		for i := range t.entries {
			e := &t.entries[i]
			if want == staying && e.backend != home || e.count(want, route) == 0 {
				continue
			}
			if w := mix(hash ^ e.backend.seed); best == nil || w > bestWeight {
				best, bestWeight = e, w
			}
		}
		if best != nil {
			return best.choose(want, route, shard)
		}
	}
	return nil
}

func (e *entry) count(want tier, route string) (n int) {
	for i := range e.streams {
		if e.streams[i].fits(want, route, e.suspect) {
			n++
		}
	}
	return n
}

// choose returns of the streams that fit the one with the shard's number, or the
// next one after it; nil without one.
func (e *entry) choose(want tier, route string, shard int) *stream {
	var best *stream
	var bestAway int
	for i := range e.streams {
		o := &e.streams[i]
		if !o.fits(want, route, e.suspect) {
			continue
		}
		n := o.stream.pool.cfg.Streams
		if away := (o.stream.index - shard%n + n) % n; best == nil || away < bestAway {
			best, bestAway = o.stream, away
		}
	}
	return best
}

// rebuild replaces the table. The failover mutex is held.
func (p *Pool) rebuild() {
	t := new(table)
	for _, b := range p.backends {
		e := entry{backend: b, suspect: b.suspect}
		for st := range b.live {
			if h := st.hello.Load(); h != nil {
				e.streams = append(e.streams, option{stream: st, routes: h.routes, proven: h.proven, draining: h.draining})
			}
		}
		if len(e.streams) > 0 {
			t.entries = append(t.entries, e)
		}
	}
	p.table.Store(t)
}

// hashString is FNV-1a, so that all gateways agree on where a route is.
func hashString(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// mix is the finalizer of SplitMix64: every bit of x reaches every bit of the
// result.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
