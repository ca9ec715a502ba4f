package remote

// pings numbers the pings of a stream and knows which are answered. Pings are
// answered in order, so that the answer to one answers those before it. Guarded by
// the stream's mutex.
type pings struct {
	wanted   uint64 // the newest one asked for
	sent     uint64 // the newest one written
	answered uint64 // the newest one answered
	last     uint64 // the one that ends a stream that is being retired; 0 for none
	since    int64  // when the oldest one without answer was asked for, in nanoseconds of pool.now
	quiet    int64  // when there was last none without answer
	covered  uint64 // batches that the newest answer covers
	at       []sentPing
	waiters  []waiter
}

// sentPing says how many batches had been sent with a ping.
type sentPing struct {
	id      uint64
	batches uint64
}

// waiter is told when a ping is answered.
type waiter struct {
	id   uint64
	done chan struct{}
}

// request asks for one more ping, behind everything that is queued.
func (p *pings) request(now int64) uint64 {
	if p.wanted == p.answered {
		p.since = now
	}
	p.wanted++
	return p.wanted
}

// due reports whether there is a ping to write.
func (p *pings) due() bool { return p.wanted > p.sent }

// outstanding reports whether an answer is missing.
func (p *pings) outstanding() bool { return p.wanted > p.answered }

// wrote notes that all pings asked for before id, and id, went out as the last of
// so many batches.
func (p *pings) wrote(id, batches uint64) {
	p.sent = id
	p.at = append(p.at, sentPing{id, batches})
}

// answer takes a pong and returns whom it satisfies; false when the ping was
// never sent.
func (p *pings) answer(id uint64, now int64) (done []waiter, ok bool) {
	if id > p.sent {
		return nil, false
	}
	if id <= p.answered {
		return nil, true
	}
	p.answered, p.since, p.quiet = id, now, now
	for len(p.at) > 0 && p.at[0].id <= id {
		p.covered = p.at[0].batches
		p.at = p.at[1:]
	}
	kept := p.waiters[:0]
	for _, w := range p.waiters {
		if w.id <= id {
			done = append(done, w)
		} else {
			kept = append(kept, w)
		}
	}
	clear(p.waiters[len(kept):])
	p.waiters = kept
	return done, true
}
