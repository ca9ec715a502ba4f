package remote

import (
	"strait/proto/batch"
	"strait/proto/straitv1"
	"strait/transport"
	"strait/upstream"
)

// fill is the size at which a batch is sent even if more is queued: enough to
// make the cost of a system call vanish, and small enough for the backend to work
// on one batch while the next one is under way.
const fill = 256 << 10

// Up to what size the encoding buffer, in bytes, and the queue, in items, are kept
// from batch to batch.
const (
	keepOut   = 1 << 20
	keepItems = 64 << 10
)

// write sends what is queued until the stream ends. It returns nil after finish.
func (st *stream) write() error {
	defer st.writerEnds()
	if err := st.greet(); err != nil {
		return err
	}
	for {
		ping, ok := st.next()
		if !ok {
			select {
			case <-st.lost:
				return st.cause
			default:
				return st.conn.CloseWrite()
			}
		}
		if err := st.writeTaken(); err != nil {
			return err
		}
		if ping == 0 {
			continue
		}
		// In a batch of its own: the answer covers the batches before it.
		if err := st.writePing(ping); err != nil {
			return err
		}
	}
}

// greet sends the hello and a first ping, whose answer proves the backend alive.
func (st *stream) greet() error {
	b, err := batch.AppendGatewayHello(st.begin(), &straitv1.GatewayHello{
		Version: 1,
		Gateway: st.pool.cfg.GatewayID,
		Stream:  uint32(st.index),
		Streams: uint32(st.pool.cfg.Streams),
	})
	if err != nil {
		return err
	}
	_, err = st.send(b)
	return err
}

// next takes the queue, sleeping until there is something to take; ok is false
// when the stream ended. ping is what to send behind it, 0 for nothing.
func (st *stream) next() (ping uint64, ok bool) {
	st.mu.Lock()
	for !st.work() && !st.begun() && st.at == len(st.taken) {
		st.idle = true
		st.mu.Unlock()
		select {
		case <-st.wake:
		case <-st.lost:
			return 0, false
		}
		st.mu.Lock()
	}
	defer st.mu.Unlock()
	if st.begun() || st.at < len(st.taken) {
		return 0, true
	}
	if st.cut != cutOff {
		st.swap()
		if st.cut == cutting {
			st.cut = cutOff
		}
	}
	if st.ping.due() {
		ping = st.ping.wanted
	}
	if len(st.taken) == st.at && ping == 0 {
		return 0, false // nothing left, so that it was finish
	}
	return ping, true
}

// swap takes the queue. The mutex is held, and taken is written.
func (st *stream) swap() {
	if cap(st.taken) > keepItems {
		st.taken = nil
	}
	st.taken, st.queue = st.queue, st.taken[:0]
	st.at, st.holes, st.scan = 0, 0, 0
	st.takenSince, st.takenLeft = st.queueSince, len(st.taken)
}

func (st *stream) writeTaken() error {
	if err := st.finishBegun(); err != nil {
		return err
	}
	for st.at < len(st.taken) {
		b, end := st.encode(st.begin())
		if len(b) > Headroom {
			number, err := st.send(b)
			if err != nil {
				return err
			}
			st.settle(end, number)
		} else {
			st.settle(end, 0) // nothing of it could be sent, and it was counted
		}
		st.at = end
	}
	st.mu.Lock()
	st.takenSince, st.takenLeft = 0, 0
	st.mu.Unlock()
	return nil
}

func (st *stream) writePing(ping uint64) error {
	// Noted before it is sent, because the answer may be there before send returns.
	st.mu.Lock()
	st.ping.wrote(ping, st.sent+1)
	st.mu.Unlock()
	_, err := st.send(batch.AppendPing(st.begin(), ping))
	return err
}

// begin returns the encoding buffer with the room for the carrier in front.
func (st *stream) begin() []byte {
	if cap(st.out) < Headroom || cap(st.out) > keepOut {
		st.out = make([]byte, Headroom, 16<<10)
	}
	return st.out[:Headroom]
}

// send hands one batch to the connection and returns its number, the first is 1.
func (st *stream) send(b []byte) (number uint64, err error) {
	st.out = b
	st.mu.Lock()
	st.sent++
	number = st.sent
	st.mu.Unlock()
	return number, st.conn.Write(b)
}

// encode appends one batch of the items taken, from at to end.
func (st *stream) encode(b []byte) (_ []byte, end int) {
	for end = st.at; end < len(st.taken) && len(b) < fill; end++ {
		it := &st.taken[end]
		before := len(b)
		b = it.append(b)
		if len(b)-Headroom <= batch.MaxBatch {
			continue
		}
		b = b[:before]
		if before > Headroom {
			break // it goes into a batch of its own
		}
		st.mu.Lock()
		st.bytes -= it.size()
		st.discard(*it, upstream.DropTooLarge)
		st.unlock()
		*it = item{}
	}
	return b, end
}

// append encodes the item's event.
func (it *item) append(b []byte) []byte {
	t := it.seat
	var err error
	switch it.kind {
	case upstream.Message:
		return batch.AppendMessage(b, t.handle, it.channel, it.delivery == transport.Unreliable, it.seq, it.buf.B)
	case upstream.Opened:
		o := t.opened()
		if b, err = batch.AppendOpened(b, t.handle, o); err != nil {
			cleanOpened(o)
			b, _ = batch.AppendOpened(b, t.handle, o) // text was all that could be wrong
		}
	case upstream.Closed:
		var r transport.Reason
		if it.reason != nil {
			r = *it.reason
		}
		b = batch.AppendClosed(b, t.handle, uint32(r.Code), r.Text)
	case upstream.Link:
		b, _ = batch.AppendLink(b, t.handle, linkChanged(t.session)) // no free text in it
	}
	return b
}

// settle releases what batch number carried, the items from at to end, or retains
// what the backend may want again.
func (st *stream) settle(end int, number uint64) {
	written := st.taken[st.at:end]
	for i := range written {
		written[i].credit()
	}
	st.mu.Lock()
	keep := st.keep && number > st.acked
	for i := range written {
		it := &written[i]
		if it.kind == 0 {
			continue
		}
		st.bytes -= it.size()
		if it.kind == upstream.Opened {
			it.seat.announced = true
		}
		if keep && (it.reliable() || it.kind == upstream.Closed) {
			it.batch = number
			st.retained.push(*it)
			it.buf = nil
		}
	}
	st.takenLeft = len(st.taken) - end
	st.trim()
	open := st.full && st.bytes <= st.pool.cfg.StreamBufferBytes/2
	if open {
		st.full = false
	}
	st.unlock()
	for i := range written {
		written[i].release()
	}
	clear(written)
	if open {
		st.gate.Open()
	}
}

// trim keeps what is retained within its budget. A backend that never acknowledged
// anything is taken for one that never will. The mutex is held.
func (st *stream) trim() {
	budget := st.pool.cfg.RetainBytes
	if st.retained.bytes <= budget {
		return
	}
	acks := st.backend.acks.Load()
	if !acks {
		st.keep = false
		budget = 0
	}
	for st.retained.n > 0 && st.retained.bytes > budget {
		it := st.retained.pop()
		if it.buf == nil {
			continue
		}
		if acks {
			st.discard(it, upstream.DropRetention)
		} else {
			it.buf.Release()
		}
	}
	if !acks {
		st.retained = items{}
	}
}
