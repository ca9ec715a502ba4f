package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	quicgo "github.com/quic-go/quic-go"

	quicsession "strait/quic/session"
	"strait/transport"
)

// quicQuiet is after how long without a packet QUIC itself gives up. The session's
// own idle timeout is shorter but while nothing is received; then this one counts.
const quicQuiet = 2 * time.Minute

// dialQUIC makes a QUIC connection to w and verifies the server.
func (d *dialer) dialQUIC(ctx context.Context, w way) (*connection, error) {
	start := time.Now()
	host, port, _ := net.SplitHostPort(w.addr)
	addrs, err := resolve(ctx, host, port)
	if err != nil {
		return nil, w.failed(PhaseResolve, cause(ctx, err))
	}
	c := &connection{transport: QUIC}
	c.took.Resolve = time.Since(start)

	start = time.Now()
	config := d.quicConfig()
	attempts := make([]func(context.Context) (*quicConn, error), len(addrs))
	for i, addr := range addrs {
		attempts[i] = func(ctx context.Context) (*quicConn, error) {
			return d.handshake(ctx, addr, d.config(w), config)
		}
	}
	var late sync.WaitGroup
	conn, won, errs := staggered(ctx, &late, d.options.FallbackDelay, attempts, decisive, errBeaten, (*quicConn).drop)
	late.Wait() // a handshake that is cancelled ends at once
	if won < 0 {
		err := errors.Join(errs...)
		phase := PhaseConnect
		var v *VerifyError
		var t *quicgo.TransportError
		if errors.As(err, &v) || errors.As(err, &t) && t.ErrorCode.IsCryptoError() {
			phase = PhaseTLS
		}
		return nil, w.failed(phase, cause(ctx, err))
	}
	c.took.Connect = time.Since(start)
	c.remote = addrs[won]
	c.fingerprint = Fingerprint(conn.ConnectionState().TLS.PeerCertificates[0])
	c.carry = func(l *link) carrier { return newStreams(l, conn, d.listenPacket) }
	return c, nil
}

func (d *dialer) quicConfig() *quicgo.Config {
	c := quicsession.QUICConfig()
	c.EnableDatagrams = !d.options.NoDatagrams
	c.HandshakeIdleTimeout = 2 * d.options.OpenTimeout // the context ends it
	c.MaxIdleTimeout = quicQuiet
	return c
}

// resolve returns the addresses of host, those of the two families in turn, with
// IPv6 first (RFC 8305 section 4).
func resolve(ctx context.Context, host, port string) ([]netip.AddrPort, error) {
	n, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil {
		return nil, err
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var families [2][]netip.AddrPort
	for _, ip := range found {
		ip = ip.Unmap()
		family := 0
		if ip.Is4() {
			family = 1
		}
		families[family] = append(families[family], netip.AddrPortFrom(ip, uint16(n)))
	}
	addrs := make([]netip.AddrPort, 0, len(found))
	for i := range len(found) {
		for _, f := range families {
			if i < len(f) {
				addrs = append(addrs, f[i])
			}
		}
	}
	return addrs, nil
}

// quicConn is a QUIC connection with the sockets that it uses.
type quicConn struct {
	*quicgo.Conn
	remote netip.AddrPort
	// parting is for how long the socket of a path that was left is read from at least.
	parting time.Duration

	// guarded by mu
	mu   sync.Mutex
	ends []*quicEnd // nil: closed
	used *quicEnd
	path *quicgo.Path // nil: that of the handshake
}

// parting is enough for what is on its way when a path is left, and for some loss while
// the gateway finds out.
const parting = 3 * time.Second

// quicEnd is a quicgo.Transport that a connection uses, has used or will use again.
type quicEnd struct {
	transport *quicgo.Transport
	socket    net.PacketConn
	berth     *berth // the socket; nil: one that cannot be taken, as it is no *net.UDPConn
	// guarded by quicConn.mu
	spare bool        // the berth is empty
	left  *time.Timer // it was left, and this will empty the berth
	since uint32      // the berth's heard when it came into use
}

// newQUICEnd makes a Transport for one connection: its packets need no connection ID to
// be told from others. With one the gateway would run out of them: quic-go 0.64 keeps
// those that it used for paths which were left.
func newQUICEnd(socket net.PacketConn) *quicEnd {
	e := &quicEnd{socket: socket}
	if u, ok := socket.(*udpSocket); ok {
		e.berth = newBerth(u)
		e.socket = e.berth
	}
	e.transport = &quicgo.Transport{Conn: e.socket, ConnectionIDGenerator: noIDs{}}
	return e
}

// noIDs are connection IDs of length 0.
type noIDs struct{}

func (noIDs) GenerateConnectionID() (quicgo.ConnectionID, error) { return quicgo.ConnectionID{}, nil }
func (noIDs) ConnectionIDLen() int                               { return 0 }

// vacate closes the socket and leaves the Transport to the next one. mu is held.
func (e *quicEnd) vacate() {
	if e.berth != nil {
		e.berth.vacate()
		e.spare = true
	}
}

// heard reports whether anything has arrived since it came into use.
func (e *quicEnd) heard() bool { return e.berth == nil || e.berth.heard.Load() != e.since }

func (e *quicEnd) close() {
	if e.left != nil {
		e.left.Stop()
	}
	_ = e.transport.Close()
	_ = e.socket.Close()
}

// handshake connects to one address.
func (d *dialer) handshake(ctx context.Context, addr netip.AddrPort, t *tls.Config, q *quicgo.Config) (*quicConn, error) {
	socket, err := d.listenPacket(ctx, addr)
	if err != nil {
		return nil, err
	}
	watched, _ := socket.(*udpSocket)
	end := newQUICEnd(socket)
	conn, err := end.transport.Dial(ctx, net.UDPAddrFromAddrPort(addr), t, q)
	if err != nil {
		if watched != nil {
			if refused := watched.failure(); refused != nil {
				err = refused
			}
		}
		end.close()
		return nil, d.refusedCertificate(verification(err))
	}
	if watched != nil {
		watched.settle()
	}
	return &quicConn{Conn: conn, remote: addr, parting: parting, ends: []*quicEnd{end}, used: end}, nil
}

// drop ends a connection that nobody wants.
func (c *quicConn) drop() {
	_ = c.CloseWithError(quicgo.ApplicationErrorCode(transport.Normal), "")
	c.close()
}

// close gives the sockets back, once the connection has ended.
func (c *quicConn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.ends {
		e.close()
	}
	c.ends = nil
}

// errEnded refuses to move a connection that has ended.
var errEnded = errors.New("the connection has ended")

// rebind moves the connection to another socket. One at a time. ping sends something
// that the gateway answers, so that it moves, too.
func (c *quicConn) rebind(ctx context.Context, socket net.PacketConn, ping func()) error {
	end := c.board(socket)
	if end == nil {
		_ = socket.Close()
		return errEnded
	}
	path, err := c.AddPath(end.transport)
	if err == nil {
		err = path.Probe(ctx)
	}
	if err == nil {
		if s, ok := socket.(*udpSocket); ok {
			s.settle()
		}
		err = path.Switch()
	}
	if err := c.moved(end, path, err, ping); err != nil {
		return err
	}
	ping()
	return nil
}

// moved notes that end and path are in use now, or with an error that they are not.
func (c *quicConn) moved(end *quicEnd, path *quicgo.Path, err error, ping func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && c.ends == nil {
		err = errEnded
	}
	if err != nil {
		if path != nil {
			_ = path.Close()
		}
		if c.ends != nil {
			end.vacate()
		}
		return err
	}
	if c.path != nil {
		_ = c.path.Close() // the gateway gives another connection ID for that of it
	}
	c.path = path
	c.leave(c.used, ping)
	c.used = end
	if end.berth != nil {
		end.since = end.berth.heard.Load()
	}
	return nil
}

// board gives the socket to a Transport; nil: the connection has ended.
func (c *quicConn) board(socket net.PacketConn) *quicEnd {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ends == nil {
		return nil
	}
	if u, ok := socket.(*udpSocket); ok {
		for _, e := range c.ends {
			if e.spare {
				e.berth.moor(u)
				e.spare = false
				return e
			}
		}
	}
	end := newQUICEnd(socket)
	c.ends = append(c.ends, end)
	return end
}

// leave closes the socket of e, which was in use, when its time is over and the gateway
// was heard on the one that is in use then. mu is held.
func (c *quicConn) leave(e *quicEnd, ping func()) {
	if e.berth == nil {
		return
	}
	e.left = time.AfterFunc(c.parting, func() {
		if c.vacated(e) {
			return
		}
		ping()
	})
}

// vacated closes the socket of e, which was left, unless the gateway was not heard since
// then: it will be called again.
func (c *quicConn) vacated(e *quicEnd) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ends != nil && !c.used.heard() {
		e.left.Reset(c.parting)
		return false
	}
	if c.ends != nil {
		e.left = nil
		e.vacate()
	}
	return true
}
