package clienttest

import (
	"context"
	"net"
	"sync"

	quicgo "github.com/quic-go/quic-go"

	quicsession "strait/quic/session"
	"strait/transport"
	"strait/transport/outbox"
)

// quicServer is the part of a Gateway that speaks QUIC.
type quicServer struct {
	gateway   *Gateway
	socket    net.PacketConn
	transport *quicgo.Transport
	listener  *quicgo.Listener

	mu    sync.Mutex
	conns map[*quicgo.Conn]struct{}
	count int
}

func (g *Gateway) serveQUIC(socket net.PacketConn) (*quicServer, error) {
	q := &quicServer{
		gateway: g, socket: socket, transport: &quicgo.Transport{Conn: socket},
		conns: make(map[*quicgo.Conn]struct{}),
	}
	var err error
	if q.listener, err = q.transport.Listen(g.tls, quicsession.QUICConfig()); err != nil {
		return nil, err
	}
	g.work.Go(q.accept)
	return q, nil
}

// AcceptedQUIC is how many QUIC connections came so far.
func (g *Gateway) AcceptedQUIC() int {
	if g.overQUIC == nil {
		return 0
	}
	g.overQUIC.mu.Lock()
	defer g.overQUIC.mu.Unlock()
	return g.overQUIC.count
}

func (q *quicServer) accept() {
	for {
		conn, err := q.listener.Accept(context.Background())
		if err != nil {
			return
		}
		q.mu.Lock()
		q.count++
		q.conns[conn] = struct{}{}
		q.mu.Unlock()
		q.gateway.work.Go(func() {
			if raw := q.gateway.config.RawQUIC; raw != nil {
				raw(conn)
				_ = conn.CloseWithError(0, "")
			} else {
				q.gateway.serveSession(conn)
			}
			q.mu.Lock()
			delete(q.conns, conn)
			q.mu.Unlock()
		})
	}
}

// close ends everything at once.
func (q *quicServer) close() {
	_ = q.listener.Close()
	q.mu.Lock()
	for conn := range q.conns {
		_ = conn.CloseWithError(quicgo.ApplicationErrorCode(transport.Internal), "QUIC is over")
	}
	q.mu.Unlock()
	_ = q.transport.Close()
	_ = q.socket.Close()
}

func (g *Gateway) serveSession(conn *quicgo.Conn) {
	s := &Session{gateway: g, over: make(chan struct{})}
	s.queue.Init(outbox.Config{ReliableBytes: 64 << 20})
	c := quicsession.New(conn, quicsession.Config{
		MaxMessage: 1 << 20, Pool: buffers, Opened: func() {
			if opened := g.config.Opened; opened != nil {
				g.work.Go(func() { opened(s) })
			}
		},
	})
	if c.Datagrams() != nil {
		s.queue.SetDatagrams(true)
	}
	s.lane, s.wake = c, c.Wake
	s.cut = func() { c.Cut(transport.Reason{Code: transport.Internal, Text: "cut"}) }
	c.Run(peer{s})
	close(s.over)
	s.queue.Drop()
	if g.config.Closed != nil {
		g.config.Closed(s, s.why)
	}
}

// StopQUIC ends QUIC and what is connected by it, as if the network let no more UDP
// through: TCP goes on.
func (g *Gateway) StopQUIC() {
	if g.overQUIC != nil {
		g.overQUIC.close()
	}
}
