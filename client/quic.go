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

// quicConn is a QUIC connection with the sockets that it has used.
type quicConn struct {
	*quicgo.Conn
	remote netip.AddrPort

	// guarded by mu
	mu   sync.Mutex
	ends []quicEnd // the last one is in use
	path *quicgo.Path
}

// quicEnd is a socket that a QUIC connection uses or has used: quic-go ends a
// connection with any of its transports.
type quicEnd struct {
	transport *quicgo.Transport
	socket    net.PacketConn
}

func newQUICEnd(socket net.PacketConn) quicEnd {
	return quicEnd{&quicgo.Transport{Conn: socket}, socket}
}

func (e quicEnd) close() {
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
	return &quicConn{Conn: conn, remote: addr, ends: []quicEnd{end}}, nil
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

// rebind moves the connection to a socket of its own. One at a time.
func (c *quicConn) rebind(ctx context.Context, socket net.PacketConn) error {
	end := newQUICEnd(socket)
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
	if err != nil {
		if path != nil {
			_ = path.Close()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && c.ends == nil {
		err = errEnded
	}
	if err != nil && c.ends == nil {
		end.close()
		return err
	}
	// Also one that failed: quic-go may have begun to use it.
	c.ends = append(c.ends, end)
	if err == nil {
		if c.path != nil {
			_ = c.path.Close()
		}
		c.path = path
	}
	return err
}
