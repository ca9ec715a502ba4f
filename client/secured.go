package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// secured is a TLS connection over TCP to a verified server.
type secured struct {
	*tls.Conn
	raw net.Conn
}

// finishWriting sends close_notify and FIN.
func (s *secured) finishWriting() {
	_ = s.CloseWrite()
	if half, ok := s.raw.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// dialTCP connects to w and verifies the server.
func (d *dialer) dialTCP(ctx context.Context, w way) (*connection, error) {
	c := &connection{transport: TCP}
	start := time.Now()
	dial := d.options.DialContext
	if dial == nil {
		var resolved sync.Once
		nd := net.Dialer{ControlContext: func(context.Context, string, string, syscall.RawConn) error {
			// The first socket is made when the name has been resolved.
			resolved.Do(func() { c.took.Resolve = time.Since(start) })
			return nil
		}}
		dial = nd.DialContext
	}
	raw, err := dial(ctx, "tcp", w.addr)
	if err != nil {
		phase := PhaseConnect
		var dns *net.DNSError
		if errors.As(err, &dns) {
			phase = PhaseResolve
		}
		return nil, w.failed(phase, cause(ctx, err))
	}
	c.took.Connect = time.Since(start) - c.took.Resolve
	if a, ok := raw.RemoteAddr().(*net.TCPAddr); ok {
		p := a.AddrPort()
		c.remote = netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}

	start = time.Now()
	s := &secured{Conn: tls.Client(raw, d.config(w)), raw: raw}
	if err := s.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, w.failed(PhaseTLS, cause(ctx, d.refusedCertificate(verification(err))))
	}
	state := s.ConnectionState()
	if state.NegotiatedProtocol != alpn {
		_ = s.Close()
		return nil, w.failed(PhaseTLS, errors.New("the server did not agree to ALPN "+alpn))
	}
	c.fingerprint = Fingerprint(state.PeerCertificates[0])
	c.took.TLS = time.Since(start)
	c.carry = func(l *link) carrier {
		carries := newStream(l, s)
		if w.transport == TCPUDP {
			carries.wantLane(newSealedLane(l, d, w.host))
		}
		return carries
	}
	return c, nil
}
