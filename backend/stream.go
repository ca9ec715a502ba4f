package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"strait/internal/direct"
	"strait/internal/frames"
	"strait/proto/batch"
	"strait/proto/straitv1"
)

const (
	// version of upstream.proto.
	version = 1
	// openTimeout bounds the TLS handshake and the wait for the first batch.
	openTimeout = 10 * time.Second
	// lingering is how long a gateway may take to read what is written last.
	lingering = time.Second
)

// stream is one connection of a gateway.
type stream struct {
	server *Server
	conn   net.Conn
	socket syscall.RawConn // to write without waiting; nil over TLS
	out    *outbox
	gone   chan struct{} // closed when the connection is of no use any more

	// Owned by the reader.
	in       *frames.Reader
	events   batch.GatewayReader
	batches  uint64
	sessions map[uint64]*Session

	// Set by the first batch, before the stream is attached.
	gateway string
	index   uint32
}

func newStream(srv *Server, conn net.Conn) *stream {
	return &stream{
		server: srv, conn: conn, out: newOutbox(srv.config.BufferBytes), gone: make(chan struct{}),
		in:       frames.NewReader(direct.Reader(conn)),
		socket:   direct.Socket(conn),
		sessions: make(map[uint64]*Session),
	}
}

// serve runs the stream until it ends and says why; nil when it ended in order.
func (st *stream) serve() error {
	written := make(chan error, 1)
	go func() { written <- st.write() }()
	err := st.read()
	if st.server.ctx.Err() != nil || errors.Is(err, io.EOF) {
		st.farewell(written)
		err = nil
	} else {
		close(st.gone)
		_ = st.conn.Close()
		// Where the writer failed first it knows better.
		if e := <-written; e != nil && errors.Is(err, net.ErrClosed) {
			err = e
		}
	}
	st.out.close()
	return err
}

// farewell sends what is queued and waits for the gateway to end its side.
func (st *stream) farewell(written <-chan error) {
	_ = st.conn.SetDeadline(time.Now().Add(lingering))
	st.out.finish()
	if <-written == nil {
		_, _ = io.Copy(io.Discard, st.conn)
	}
	close(st.gone)
	_ = st.conn.Close()
}

// write sends what is queued until the stream ends, nil when it ended in order.
func (st *stream) write() error {
	var b []byte
	for {
		b = st.out.next(b, st.gone)
		if b == nil {
			break
		}
		if _, err := st.conn.Write(b); err != nil {
			_ = st.conn.Close() // the reader has to end, too
			return err
		}
	}
	if c, ok := st.conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// read takes batches until the stream ends.
func (st *stream) read() error {
	if err := st.open(); err != nil {
		return err
	}
	defer st.server.detach(st)
	for {
		if err := st.handle(); err != nil {
			return err
		}
		if st.server.ctx.Err() != nil {
			return nil
		}
		b, err := st.in.Next()
		if err != nil {
			return err
		}
		st.events.Reset(b)
		if err := st.events.Err(); err != nil {
			return fmt.Errorf("a batch that cannot be used: %w", err)
		}
	}
}

// open waits for the first batch, which has to introduce the gateway.
func (st *stream) open() error {
	ctx, cancel := context.WithTimeout(st.server.ctx, openTimeout)
	defer cancel()
	if c, ok := st.conn.(*tls.Conn); ok {
		if err := c.HandshakeContext(ctx); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = st.conn.SetReadDeadline(time.Unix(1, 0)) })
	b, err := st.in.Next()
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	st.events.Reset(b)
	if err := st.events.Err(); err != nil {
		return fmt.Errorf("a first batch that cannot be used: %w", err)
	}
	h := st.events.Hello()
	switch {
	case h == nil:
		return errors.New("the first batch has no GatewayHello")
	case h.GetVersion() != version:
		return fmt.Errorf("gateway %q says version %d: this backend speaks version %d", h.GetGateway(), h.GetVersion(), version)
	}
	st.gateway, st.index = h.GetGateway(), h.GetStream()
	return st.server.attach(st)
}

// handle calls the handler for a batch and answers it.
func (st *stream) handle() error {
	st.batches++
	st.out.hold()
	defer st.out.release(st.socket)
	for {
		ev, ok, err := st.events.Next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		st.event(ev)
	}
	var acked uint64
	if st.server.config.Acknowledge {
		acked = st.batches
	}
	st.out.answer(acked, st.events.Ping())
	st.events.Reset(nil)
	return nil
}

func (st *stream) event(ev *batch.Event) {
	if ev.Kind == batch.EventOpened {
		st.opened(ev.Session, ev.Opened)
		return
	}
	s := st.sessions[ev.Session]
	if s == nil {
		return
	}
	h := st.server.handler
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.stream.Load() != st { // it was announced again elsewhere
		delete(st.sessions, ev.Session)
		return
	}
	switch ev.Kind {
	case batch.EventMessage:
		m := Message{Channel: uint8(ev.Channel), Sequence: uint16(ev.Sequence), Payload: ev.Payload}
		if ev.Unreliable {
			m.Delivery = Unreliable
		}
		h.Message(s, m)
	case batch.EventClosed:
		delete(st.sessions, ev.Session)
		st.server.end(s, Closed{Code: Code(ev.Code), Reason: string(ev.Reason)})
	case batch.EventLink:
		st.linked(s, ev.Link)
	}
}

// opened announces a session, the one of before if it was announced again.
func (st *stream) opened(handle uint64, o *straitv1.Opened) {
	s := st.server.session(st, handle, o)
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.closed.Load() { // its time was over while it came back
		s = st.server.replace(st, handle, o)
		s.turn.Lock()
		defer s.turn.Unlock()
	}
	s.describe(o)
	s.stream.Store(st)
	st.sessions[handle] = s
	st.server.handler.Opened(s)
}

func (st *stream) linked(s *Session, l *straitv1.LinkChanged) {
	now := *s.about.Load()
	now.remote, now.transport = parseRemote(l.GetRemote()), Transport(l.GetTransport())
	s.about.Store(&now)
	if h, ok := st.server.handler.(LinkHandler); ok {
		h.Link(s, Link{
			Transport: now.transport,
			Remote:    now.remote,
			RTT:       time.Duration(l.GetRttUs()) * time.Microsecond,
			Jitter:    time.Duration(l.GetJitterUs()) * time.Microsecond,
			LossPPM:   l.GetLossPpm(),
			Queued:    int(l.GetQueuedBytes()),
		})
	}
}

// hello tells the gateway what this backend serves, now or once more.
func (st *stream) hello(draining bool) error {
	c := &st.server.config
	h := &straitv1.LogicHello{Version: version, Name: c.Name, Routes: c.Routes, Draining: draining}
	size := len(c.Name)
	for _, r := range c.Routes {
		size += len(r) + handleSize
	}
	b, err := st.out.begin(size)
	if err != nil {
		return err
	}
	b, err = batch.AppendLogicHello(b, h)
	st.out.end(b)
	return err
}
