package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
	"strait/proto/wire"
	"strait/transport"
)

// helloPatience is how long an attempt that could say hello leaves that to one
// that has said it before: a gateway that lets a player have one session would
// throw the first out for the second.
const helloPatience = 2 * time.Second

// errBeaten ends the attempts that came too late.
var errBeaten = errors.New("another transport was quicker")

// dialer opens sessions; the same one for all of a client.
type dialer struct {
	options Options
	tls     *tls.Config
	addr    string // host:port that the application knows
}

// way is how one attempt reaches the gateway.
type way struct {
	transport Transport
	addr      string // host:port
	host      string // what the certificate is to be good for, without Options.ServerName
}

func (w way) failed(p Phase, err error) *DialError {
	return &DialError{Transport: w.transport, Phase: p, Addr: w.addr, Err: err}
}

// config is the TLS configuration for w.
func (d *dialer) config(w way) *tls.Config {
	c := d.tls.Clone()
	if c.ServerName = d.options.ServerName; c.ServerName == "" {
		c.ServerName = w.host
	}
	return c
}

// ways are the attempts for an address, in order.
func (d *dialer) ways(addr, host string) []way {
	stream := way{TCPUDP, addr, host}
	switch d.options.Transport {
	case QUIC:
		return []way{d.overQUIC(addr, host)}
	case TCPUDP:
		return []way{stream}
	case TCP:
		return []way{{TCP, addr, host}}
	}
	if d.options.DialContext != nil && d.options.ListenPacket == nil {
		// Who takes TCP through a proxy does not want UDP to go around it.
		return []way{{TCP, addr, host}}
	}
	if worked.best(d.place(addr, host), time.Now()) == stream.transport {
		return []way{stream, d.overQUIC(addr, host)}
	}
	return []way{d.overQUIC(addr, host), stream}
}

// overQUIC is the way by QUIC, to the port number of addr unless Options.QUICAddr
// says otherwise.
func (d *dialer) overQUIC(addr, host string) way {
	w := way{QUIC, addr, host}
	switch h, port, err := net.SplitHostPort(d.options.QUICAddr); {
	case err != nil: // none is given
	case h == "":
		w.addr = net.JoinHostPort(host, port)
	case addr == d.addr:
		w.addr, w.host = d.options.QUICAddr, h
	}
	return w
}

// place is what worked remembers an address by.
func (d *dialer) place(addr, host string) string { return addr + " " + d.overQUIC(addr, host).addr }

// hello returns the encoded CLIENT_HELLO for w.
func (d *dialer) hello(w way, token []byte) ([]byte, error) {
	m := &straitv1.ClientHello{Version: wire.Version, Client: d.options.Name, Route: d.options.Route, AuthToken: token}
	if w.transport == TCPUDP {
		m.WantUdp, m.UdpAeads = true, aeads
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
	ways := c.dialer.ways(addr, host)
	var token []byte
	if c.dialer.options.Token != nil {
		var err error
		if token, err = c.dialer.options.Token(ctx); err != nil {
			return nil, &DialError{Transport: c.dialer.options.Transport, Phase: PhaseToken, Addr: addr, Err: cause(ctx, err)}
		}
	}
	turn := make(chan struct{}, 1)
	attempts := make([]func(context.Context) (*link, error), len(ways))
	for i, w := range ways {
		attempts[i] = func(ctx context.Context) (*link, error) { return c.attempt(ctx, w, token, turn) }
	}
	l, won, errs := staggered(ctx, &c.late, c.dialer.options.FallbackDelay, attempts, decisive, errBeaten, (*link).discard)
	switch {
	case won >= 0:
		if len(ways) > 1 {
			worked.note(c.dialer.place(addr, host), ways[won].transport, QUIC, time.Now())
		}
		return l, nil
	case len(errs) == 1:
		return nil, errs[0]
	}
	return nil, joined(addr, errs)
}

// decisive reports whether an attempt has failed for a reason that no other
// transport should be tried for. The gateway has answered; or somebody answers who
// could not be verified, which falling back would only hide.
func decisive(err error) bool {
	var v *VerifyError
	var c *ClientCertificateError
	if errors.As(err, &v) || errors.As(err, &c) {
		return true
	}
	var r transport.Reason
	return errors.As(err, &r) && !r.Lost && r.Code != transport.Timeout
}

// attempt opens a session by one way. turn holds a token while one of several
// attempts waits for the answer to its hello.
func (c *Client) attempt(ctx context.Context, w way, token []byte, turn chan struct{}) (l *link, err error) {
	hello, err := c.dialer.hello(w, token)
	if err != nil {
		return nil, w.failed(PhaseToken, err)
	}
	secure := c.dialer.dialTCP
	if w.transport == QUIC {
		secure = c.dialer.dialQUIC
	}
	conn, err := secure(ctx, w)
	if err != nil {
		return nil, err
	}
	patience := time.NewTimer(helloPatience)
	defer patience.Stop()
	select {
	case turn <- struct{}{}:
		defer func() {
			if err != nil {
				<-turn
			}
		}()
	case <-patience.C:
	case <-ctx.Done():
	}
	start := time.Now()
	l = c.newLink(conn)
	if ctx.Err() != nil { // the gateway knows of no session yet
		l.carrier.cut()
		l.run()
		return nil, w.failed(PhaseHello, context.Cause(ctx))
	}
	stop := context.AfterFunc(ctx, func() {
		if context.Cause(ctx) == errBeaten {
			l.session.unwanted.Store(true)
			l.carrier.close(transport.Reason{Code: transport.Normal})
			return
		}
		l.carrier.cut()
	})
	opened := l.open(hello)
	if !stop() || !opened {
		why := l.run()
		var refused *ClientCertificateError
		if errors.As(c.dialer.refusedCertificate(l.carrier.broke()), &refused) {
			return nil, w.failed(PhaseTLS, cause(ctx, refused))
		}
		return nil, w.failed(PhaseHello, cause(ctx, why))
	}
	conn.took.Hello = time.Since(start)
	return l, nil
}
