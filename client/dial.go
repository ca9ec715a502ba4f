package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
	"strait/proto/wire"
	"strait/transport"
)

// Phase is the part of an opening that failed.
type Phase string

const (
	PhaseToken   Phase = "token"   // Options.Token
	PhaseResolve Phase = "resolve" // the name of the address
	PhaseConnect Phase = "connect" // TCP
	PhaseTLS     Phase = "TLS"     // handshake and check of the certificate
	PhaseHello   Phase = "hello"   // CLIENT_HELLO until SERVER_HELLO or CLOSE
)

// DialError says in which phase an opening failed. Err is the context's error, a
// *net.DNSError, *net.OpError or *VerifyError, or the transport.Reason with which
// the gateway refused.
type DialError struct {
	Phase Phase
	Addr  string // host:port as it was dialled
	Err   error
}

func (e *DialError) Error() string {
	return fmt.Sprintf("no session with %s: %s: %v%s", e.Addr, e.Phase, e.Err, e.hint())
}

// hint says what would be right, where that can be known.
func (e *DialError) hint() string {
	if errors.Is(e.Err, context.Canceled) {
		return ""
	}
	var (
		verify *VerifyError
		record tls.RecordHeaderError
	)
	switch e.Phase {
	case PhaseResolve:
		return "; check the name, or give an IP address"
	case PhaseConnect:
		if errors.Is(e.Err, syscall.ECONNREFUSED) {
			return "; nothing listens there: is the gateway running, and is this its TCP address?"
		}
		return "; check address, network and firewall"
	case PhaseTLS:
		switch {
		case errors.As(e.Err, &verify):
			return "" // it says so itself
		case errors.As(e.Err, &record):
			return "; what answers there does not speak TLS: is this the gateway's TCP address?"
		}
		return "; a gateway speaks TLS 1.3 with ALPN " + alpn + " there"
	case PhaseHello:
		if errors.Is(e.Err, transport.AuthFailed) {
			return "; check the token"
		}
	}
	return ""
}

func (e *DialError) Unwrap() error { return e.Err }

// secured is a connection to a verified server, before the first frame.
type secured struct {
	*tls.Conn
	raw         net.Conn
	transport   Transport
	remote      netip.AddrPort
	fingerprint string
	took        Opening
}

// finishWriting sends close_notify and FIN.
func (s *secured) finishWriting() {
	_ = s.CloseWrite()
	if half, ok := s.raw.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// dialer opens sessions; the same one for all of a client.
type dialer struct {
	options Options
	tls     *tls.Config
}

// secure connects to addr, "host:port", by the transport of the options and
// verifies the server.
func (d *dialer) secure(ctx context.Context, addr, host string) (*secured, error) {
	// Auto has one candidate so far.
	return d.dialTCP(ctx, addr, host)
}

func (d *dialer) dialTCP(ctx context.Context, addr, host string) (*secured, error) {
	s := &secured{transport: TCP}
	start := time.Now()
	dial := d.options.DialContext
	if dial == nil {
		var resolved sync.Once
		nd := net.Dialer{ControlContext: func(context.Context, string, string, syscall.RawConn) error {
			// The first socket is made when the name has been resolved.
			resolved.Do(func() { s.took.Resolve = time.Since(start) })
			return nil
		}}
		dial = nd.DialContext
	}
	raw, err := dial(ctx, "tcp", addr)
	if err != nil {
		phase := PhaseConnect
		var dns *net.DNSError
		if errors.As(err, &dns) {
			phase = PhaseResolve
		}
		return nil, &DialError{Phase: phase, Addr: addr, Err: cause(ctx, err)}
	}
	s.raw = raw
	s.took.Connect = time.Since(start) - s.took.Resolve
	if a, ok := raw.RemoteAddr().(*net.TCPAddr); ok {
		p := a.AddrPort()
		s.remote = netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}

	start = time.Now()
	config := d.tls.Clone()
	if config.ServerName = d.options.ServerName; config.ServerName == "" {
		config.ServerName = host
	}
	s.Conn = tls.Client(raw, config)
	if err := s.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, &DialError{Phase: PhaseTLS, Addr: addr, Err: cause(ctx, verification(err))}
	}
	state := s.ConnectionState()
	if state.NegotiatedProtocol != alpn {
		_ = s.Close()
		return nil, &DialError{Phase: PhaseTLS, Addr: addr, Err: errors.New("the server did not agree to ALPN " + alpn)}
	}
	s.fingerprint = Fingerprint(state.PeerCertificates[0])
	s.took.TLS = time.Since(start)
	return s, nil
}

// verification turns the refusal of a certificate into a *VerifyError.
func verification(err error) error {
	var c *tls.CertificateVerificationError
	if errors.As(err, &c) && len(c.UnverifiedCertificates) > 0 {
		return &VerifyError{Fingerprint: Fingerprint(c.UnverifiedCertificates[0]), Err: c.Err}
	}
	return err
}

// cause prefers why ctx ended over what a connection made of that.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// timeoutError is the end of Options.OpenTimeout.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string { return fmt.Sprintf("not done within %v", e.after) }
func (e *timeoutError) Unwrap() error { return context.DeadlineExceeded }
func (e *timeoutError) Timeout() bool { return true }

// hello returns the encoded CLIENT_HELLO.
func (d *dialer) hello(ctx context.Context) ([]byte, error) {
	m := &straitv1.ClientHello{Version: wire.Version, Client: d.options.Name, Route: d.options.Route}
	if d.options.Token != nil {
		token, err := d.options.Token(ctx)
		if err != nil {
			return nil, err
		}
		m.AuthToken = token
	}
	b, err := proto.Marshal(m)
	if err == nil && len(b) > wire.MaxHello {
		err = fmt.Errorf("the CLIENT_HELLO would have %d bytes; with token, route and name it has at most %d", len(b), wire.MaxHello)
	}
	return b, err
}

// dial opens a session at addr. No goroutine is left when it fails.
func (c *Client) dial(ctx context.Context, addr, host string) (*link, error) {
	timeout := c.dialer.options.OpenTimeout
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, &timeoutError{timeout})
	defer cancel()
	hello, err := c.dialer.hello(ctx)
	if err != nil {
		return nil, &DialError{Phase: PhaseToken, Addr: addr, Err: cause(ctx, err)}
	}
	conn, err := c.dialer.secure(ctx, addr, host)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	l := c.newLink(conn)
	stop := context.AfterFunc(ctx, l.cut)
	opened := l.open(hello)
	if !stop() || !opened {
		reason := l.finish()
		return nil, &DialError{Phase: PhaseHello, Addr: addr, Err: cause(ctx, reason)}
	}
	conn.took.Hello = time.Since(start)
	return l, nil
}
