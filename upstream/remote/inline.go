package remote

// inlineItems and inlineBytes bound what is written by who delivers it: more is
// work for the writer's goroutine, beside which the deliverer goes on.
const (
	inlineItems = 256
	inlineBytes = 64 << 10
)

// rest is what is left of a batch that was begun without waiting.
type rest struct {
	bytes  []byte // part of out
	end    int    // of taken, as writeTaken has it
	number uint64 // of the batch
}

// begun reports whether a batch was begun and not finished. By the writer.
func (st *stream) begun() bool { return st.rest.bytes != nil }

// kick sees to it that what is queued is written: at once and without waiting, in
// the caller's goroutine, if the writer sleeps and the connection can do that, else
// by waking the writer. A goroutine that is woken for one message costs more than
// the message.
func (st *stream) kick() {
	st.mu.Lock()
	if !st.idle || !st.work() {
		st.mu.Unlock()
		return
	}
	st.idle = false
	to, ok := st.conn.(TryWriter)
	if !ok || !st.simple() {
		st.mu.Unlock()
		st.wake <- struct{}{}
		return
	}
	st.inline.Lock() // the writer's end waits for it
	defer st.inline.Unlock()
	for st.simple() {
		st.swap()
		st.mu.Unlock()
		if !st.writeNow(to) {
			st.wake <- struct{}{}
			return
		}
		st.mu.Lock()
		if !st.work() || st.ended {
			st.idle = !st.ended
			st.mu.Unlock()
			return
		}
	}
	st.mu.Unlock()
	st.wake <- struct{}{}
}

// simple reports whether there is a little to write and nothing else to do. The
// mutex is held.
func (st *stream) simple() bool {
	return len(st.queue) > 0 && len(st.queue) <= inlineItems && st.bytes <= inlineBytes &&
		st.cut == uncut && !st.finishing && !st.ping.due()
}

// writeNow sends what was taken; false: the writer has to go on with it.
func (st *stream) writeNow(to TryWriter) bool {
	b, end := st.encode(st.begin())
	st.out = b
	if len(b) > Headroom {
		st.mu.Lock()
		st.sent++
		number := st.sent
		st.mu.Unlock()
		if n := to.TryWrite(b); n < len(b) {
			st.rest = rest{bytes: b[n:], end: end, number: number}
			return false
		}
		st.settle(end, number)
	} else {
		st.settle(end, 0) // nothing of it could be sent, and it was counted
	}
	st.at = end
	if end < len(st.taken) {
		return false
	}
	st.mu.Lock()
	st.takenSince, st.takenLeft = 0, 0
	st.mu.Unlock()
	return true
}

// finishBegun sends what is left of a batch that was begun.
func (st *stream) finishBegun() error {
	if !st.begun() {
		return nil
	}
	r := st.rest
	if err := st.conn.(TryWriter).WriteRest(r.bytes); err != nil {
		return err
	}
	st.rest = rest{}
	st.settle(r.end, r.number)
	st.at = r.end
	return nil
}

// writerEnds makes sure that nobody has the writer's part, and none will.
func (st *stream) writerEnds() {
	st.mu.Lock()
	st.idle, st.ended = false, true
	st.mu.Unlock()
	st.inline.Lock()
	st.rest = rest{}
	st.inline.Unlock()
}
