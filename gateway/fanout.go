package gateway

import (
	"slices"
	"sync"
	"sync/atomic"

	"strait/transport"
	"strait/upstream"
)

const (
	// directMembers is up to how many members of a shard a publish is spread by the
	// caller itself.
	directMembers = 64
	// turn is how many members one hold of the worker's token serves.
	turn = 256
	// maxJobs is how many commands may wait before the caller has to help.
	maxJobs = 4096
)

// fanout spreads what game logic sends over the sessions of one shard, in order.
// As long as nothing waits, commands are carried out by their caller. A publish
// to many members makes the rest wait behind it, served by a worker that exists
// only as long as there is work; the caller goes on reading game logic.
type fanout struct {
	gw      *Gateway
	pending atomic.Int64 // jobs waiting or under way

	token sync.Mutex // who serves; held for a turn

	mu     sync.Mutex
	jobs   []job
	worker bool
	idle   *sync.Cond // the worker has ended
}

// job is one command that waits.
type job struct {
	do      func() // CloseSession and Flush; nil for a message
	message transport.Message
	session *session   // Send
	members []*session // Publish; what is still to be served
	except  []uint64
}

func (f *fanout) init(g *Gateway) { f.gw, f.idle = g, sync.NewCond(&f.mu) }

// direct reports whether the caller may carry out a command itself.
func (f *fanout) direct() bool { return f.pending.Load() == 0 }

// add queues a job behind the others and sees to it that somebody serves it.
func (f *fanout) add(j job) {
	f.mu.Lock()
	f.pending.Add(1)
	f.jobs = append(f.jobs, j)
	n := len(f.jobs)
	if !f.worker {
		f.worker = true
		go f.serve()
	}
	f.mu.Unlock()
	for n > maxJobs {
		if !f.turn() {
			return
		}
		f.mu.Lock()
		n = len(f.jobs)
		f.mu.Unlock()
	}
}

func (f *fanout) serve() {
	for {
		if f.turn() {
			continue
		}
		f.mu.Lock()
		if len(f.jobs) == 0 {
			f.worker = false
			f.idle.Broadcast()
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
	}
}

// turn serves the oldest job, or a part of it, as a batch of its own; false when
// there is none.
func (f *fanout) turn() bool {
	f.token.Lock()
	defer f.token.Unlock()
	f.mu.Lock()
	if len(f.jobs) == 0 {
		f.mu.Unlock()
		return false
	}
	j := f.jobs[0]
	f.mu.Unlock()
	commands{f.gw}.BeginBatch()
	defer commands{f.gw}.EndBatch()

	var rest []*session
	switch {
	case j.do != nil:
		j.do()
	case j.session != nil:
		_ = j.session.Send(j.message) // counted by the session
	default:
		now := j.members
		if len(now) > turn {
			now, rest = now[:turn], now[turn:]
		}
		spread(now, j.message, j.except)
		if rest == nil {
			j.message.Buf.Release()
		}
	}

	f.mu.Lock()
	if rest != nil {
		f.jobs[0].members = rest
	} else {
		f.jobs[0] = job{}
		f.jobs = f.jobs[1:]
		if len(f.jobs) == 0 {
			f.jobs = nil
		}
		f.pending.Add(-1)
	}
	f.mu.Unlock()
	return true
}

// wait returns when everything was served and the worker has ended.
func (f *fanout) wait() {
	f.mu.Lock()
	for f.worker {
		f.idle.Wait()
	}
	f.mu.Unlock()
}

// spread sends m to members but those in except and wakes them. m.Buf is borrowed.
func spread(members []*session, m transport.Message, except []uint64) (n int) {
	for _, s := range members {
		if len(except) > 0 && slices.Contains(except, s.handle) {
			continue
		}
		m.Buf.Retain()
		n++
		if s.Send(m) == nil {
			s.Flush()
		}
	}
	return n
}

// commands is the gateway as drivers see it.
type commands struct{ *Gateway }

func (c commands) Session(handle uint64) upstream.Session {
	if s := c.table.find(handle); s != nil {
		return s
	}
	return nil
}

func (c commands) Send(us upstream.Session, m transport.Message) error {
	s := us.(*session)
	if f := &s.shard.fanout; !f.direct() {
		f.add(job{session: s, message: m})
		return nil
	}
	return s.Send(m)
}

func (c commands) Flush(us upstream.Session) {
	s := us.(*session)
	if f := &s.shard.fanout; !f.direct() {
		f.add(job{do: s.Flush})
		return
	}
	s.Flush()
}

func (c commands) BeginBatch() {
	if c.corker != nil {
		c.corker.Cork()
	}
}

func (c commands) EndBatch() {
	if c.corker != nil {
		c.corker.Uncork()
	}
}

func (c commands) CloseSession(us upstream.Session, r transport.Reason) {
	s := us.(*session)
	if f := &s.shard.fanout; !f.direct() {
		f.add(job{do: func() { s.Close(r) }})
		return
	}
	s.Close(r)
}

func (c commands) Join(route, group string, s upstream.Session) {
	c.groups.join(route, group, s.(*session))
}

func (c commands) Leave(route, group string, s upstream.Session) {
	c.groups.leave(route, group, s.(*session))
}

func (c commands) Publish(route, group string, m transport.Message, except []uint64) (n int) {
	defer m.Buf.Release()
	c.BeginBatch() // game logic may publish outside of any
	defer c.EndBatch()
	members := c.groups.members(route, group)
	for i, ms := range members {
		if len(ms) == 0 {
			continue
		}
		n += len(ms)
		f := &c.shards[i].fanout
		if len(ms) <= directMembers && f.direct() {
			spread(ms, m, except)
			continue
		}
		m.Buf.Retain()
		f.add(job{members: ms, message: m, except: slices.Clone(except)})
	}
	return n
}

func (c commands) Moved(s upstream.Session, _ string) { c.groups.leaveAll(s.(*session)) }

func (c commands) Drop(r upstream.Drop, n int) { c.drops[r].Add(int64(n)) }

func (c commands) Buffers() *transport.Pool { return c.pool }

func (c commands) Shards() int { return len(c.shards) }
