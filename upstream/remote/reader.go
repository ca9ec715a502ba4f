package remote

import (
	"errors"
	"fmt"
	"io"

	"strait/proto/batch"
	"strait/proto/straitv1"
	"strait/transport"
	"strait/upstream"
)

// version of upstream.proto.
const version = 1

var errEnded = errors.New("the backend ended the stream")

// read carries out the backend's batches until the stream ends, and says why.
func (st *stream) read() error {
	for {
		b, err := st.conn.Read()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return errEnded
			}
			return err
		}
		st.heard.Store(st.pool.now())
		st.in.Reset(b)
		if err := st.in.Err(); err != nil {
			return fmt.Errorf("a batch that cannot be used: %w", err)
		}
		if err := st.obey(); err != nil {
			return err
		}
		st.in.Reset(nil)
	}
}

// obey carries out one batch, which is in st.in.
func (st *stream) obey() error {
	if h := st.in.Hello(); h != nil {
		if err := st.greeted(h); err != nil {
			return err
		}
	} else if !st.hello.Load().proven {
		st.introduce(*st.hello.Load(), false)
	}
	if err := st.carryOut(); err != nil {
		return err
	}
	if acked := st.in.Acked(); acked != 0 {
		if err := st.acknowledge(acked); err != nil {
			return err
		}
	}
	if pong := st.in.Pong(); pong != 0 {
		if err := st.pong(pong); err != nil {
			return err
		}
		if !st.hello.Load().proven {
			st.introduce(*st.hello.Load(), true)
		}
	}
	return nil
}

// carryOut obeys the commands of the batch, and flushes each session once.
func (st *stream) carryOut() error {
	g := st.pool.gateway
	g.BeginBatch()
	defer g.EndBatch()
	number := st.pool.batches.Add(1)
	for {
		c, ok, err := st.in.Next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		st.command(c, number)
	}
	for _, s := range st.touched {
		g.Flush(s)
	}
	clear(st.touched)
	st.touched = st.touched[:0]
	return nil
}

// greeted takes a LogicHello.
func (st *stream) greeted(h *straitv1.LogicHello) error {
	if h.GetVersion() != version {
		return fmt.Errorf("LogicHello of %q says version %d: this gateway speaks version %d", h.GetName(), h.GetVersion(), version)
	}
	st.introduce(hello{
		proven: st.hello.Load().proven,
		name:   h.GetName(), routes: h.GetRoutes(), draining: h.GetDraining(),
	}, false)
	return nil
}

// introduce makes h what is known of the backend and moves sessions accordingly.
// Hearing from a backend proves that it works, unless it hung before: then it has
// to have answered a ping.
func (st *stream) introduce(h hello, answered bool) {
	p, b := st.pool, st.backend
	p.failover.Lock()
	if answered || !b.suspect {
		h.proven, b.suspect = true, false
	}
	b.routes = h.routes
	st.hello.Store(&h)
	p.rebuild()
	p.failover.Unlock()
	p.misplaced(st)
	p.unpark()
}

// acknowledge lets go of what was retained up to a batch.
func (st *stream) acknowledge(acked uint64) error {
	st.backend.acks.Store(true)
	st.mu.Lock()
	if acked > st.sent {
		sent := st.sent
		st.mu.Unlock()
		return fmt.Errorf("acked is %d after %d batches: it counts the batches of this stream, the first is 1", acked, sent)
	}
	st.keep = true
	st.acked = max(st.acked, acked)
	// In portions, so that Deliver need not wait.
	for more := true; more; {
		var portion [128]*transport.Buf
		n := 0
		more = false
		for st.retained.n > 0 && st.retained.front().batch <= st.acked {
			if n == len(portion) {
				more = true
				break
			}
			if it := st.retained.pop(); it.buf != nil {
				portion[n] = it.buf
				n++
			}
		}
		st.mu.Unlock()
		for _, b := range portion[:n] {
			b.Release()
		}
		st.mu.Lock()
	}
	st.mu.Unlock()
	return nil
}

func (st *stream) pong(id uint64) error {
	st.mu.Lock()
	done, ok := st.ping.answer(id, st.pool.now())
	wanted := st.ping.wanted
	last := ok && st.ping.last != 0 && id >= st.ping.last
	if last {
		st.confirmed = true
	}
	st.mu.Unlock()
	if !ok {
		return fmt.Errorf("pong is %d: the newest ping was %d", id, wanted)
	}
	for _, w := range done {
		close(w.done)
	}
	if last {
		return errRetired
	}
	return nil
}

// command carries out one command of batch number.
func (st *stream) command(c *batch.Command, number uint64) {
	switch c.Kind {
	case batch.CommandSend:
		st.sendTo(c, number)
	case batch.CommandPublish:
		st.publish(c)
	case batch.CommandClose:
		st.closeSession(c)
	case batch.CommandJoin:
		st.group(c, st.pool.gateway.Join)
	case batch.CommandLeave:
		st.group(c, st.pool.gateway.Leave)
	case batch.CommandMove:
		if s, t := st.find(c.Session); s != nil {
			st.pool.move(st, t, string(c.Route))
		}
	}
}

// find returns the session of a handle if it is on this stream; else it counts
// why not and returns nil.
func (st *stream) find(handle uint64) (upstream.Session, *seat) {
	g := st.pool.gateway
	s := g.Session(handle)
	if s == nil {
		g.Drop(upstream.DropUnknown, 1)
		return nil, nil
	}
	t := seatOf(s)
	if t == nil || t.stream.Load() != st {
		g.Drop(upstream.DropNotCurrent, 1)
		return nil, nil
	}
	return s, t
}

// lane checks how a payload is to be sent; false when it cannot be, for n players.
func (st *stream) lane(c *batch.Command, n int) (m transport.Message, ok bool) {
	switch {
	case c.Channel > 255:
		st.pool.gateway.Drop(upstream.DropBadChannel, n)
		return m, false
	case c.Delivery != straitv1.Delivery_DELIVERY_RELIABLE && c.Delivery != straitv1.Delivery_DELIVERY_UNRELIABLE:
		st.pool.gateway.Drop(upstream.DropBadDelivery, n)
		return m, false
	}
	m.Channel = uint8(c.Channel)
	if c.Unreliable {
		m.Delivery = transport.Unreliable
	}
	return m, true
}

func (st *stream) sendTo(c *batch.Command, number uint64) {
	m, ok := st.lane(c, max(1, len(c.Sessions)))
	if !ok {
		return
	}
	g := st.pool.gateway
	for _, handle := range c.Sessions {
		s, _ := st.find(handle)
		if s == nil {
			continue
		}
		if m.Buf == nil {
			m.Buf = g.Buffers().Copy(c.Payload)
		}
		if len(c.Sessions) > 1 {
			m.Buf.Retain()
		}
		_ = g.Send(s, m) // what it refuses it counts
		if s.Slot().Touch(number) {
			st.touched = append(st.touched, s)
		}
	}
	if m.Buf != nil && len(c.Sessions) > 1 {
		m.Buf.Release()
	}
}

// publish sends to a group. The command has no route: the group is that of every
// route which the backend serves, and where it serves any, of every route in use.
func (st *stream) publish(c *batch.Command) {
	m, ok := st.lane(c, 1)
	if !ok {
		return
	}
	g := st.pool.gateway
	m.Buf = g.Buffers().Copy(c.Payload)
	routes := st.hello.Load().routes
	if len(routes) == 0 {
		routes = st.pool.routes.inUse()
	}
	group := string(c.Group)
	for _, route := range routes {
		m.Buf.Retain()
		g.Publish(route, group, m, c.Except)
	}
	m.Buf.Release()
}

func (st *stream) closeSession(c *batch.Command) {
	s, _ := st.find(c.Session)
	if s == nil {
		return
	}
	g := st.pool.gateway
	if c.Code >= uint32(transport.Codes) {
		g.Drop(upstream.DropBadCode, 1)
		g.CloseSession(s, because(transport.Kicked, "game logic gave a close code that does not exist"))
		return
	}
	g.CloseSession(s, because(transport.Code(c.Code), string(c.Reason)))
}

func (st *stream) group(c *batch.Command, do func(route, group string, s upstream.Session)) {
	group := string(c.Group)
	for _, handle := range c.Sessions {
		if s, t := st.find(handle); s != nil {
			do(t.route, group, s)
		}
	}
}
