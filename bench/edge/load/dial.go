//go:build linux

package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
	"strait/proto/wire"
)

// opening bounds how long one session may take to open.
const opening = 20 * time.Second

var errOpening = fmt.Errorf("it took longer than %v", opening)

// Server is what the clients connect to.
type Server struct {
	Addr string // host:port
	// Hello makes clients open a session of WIRE.md section 3. Without it the
	// frames are opaque to the server.
	Hello bool
	// Datagrams makes messages go as datagrams: by a sealed lane of the session with
	// Hello (WIRE.md section 6), else as they are, without TLS.
	Datagrams bool
	// QUIC is how messages go over QUIC; none: not over QUIC.
	QUIC QUICMode
}

// QUICMode is how messages go over QUIC.
type QUICMode uint8

// The modes.
const (
	NoQUIC QUICMode = iota
	QUICDatagrams
	QUICStreams // on the control stream
)

// Negotiated is what a handshake came to; it is to be the same for all servers.
type Negotiated struct {
	Version string
	Cipher  string
	Curve   string
}

// String is for people.
func (n Negotiated) String() string { return n.Version + " " + n.Cipher + " " + n.Curve }

// conf offers one group, which all servers have, so that none does more than the
// others; without a session cache there is no resumption. The certificate's chain
// is not verified, because the harness made it; its signature always is.
func conf() *tls.Config {
	return &tls.Config{
		InsecureSkipVerify:          true,
		NextProtos:                  []string{"strait/1"},
		MinVersion:                  tls.VersionTLS13,
		CurvePreferences:            []tls.CurveID{tls.X25519},
		DynamicRecordSizingDisabled: true,
	}
}

// hello is the CLIENT_HELLO that every client sends.
func hello(lane bool) ([]byte, error) {
	b, err := proto.Marshal(&straitv1.ClientHello{Version: wire.Version, Client: "bench-edge", WantUdp: lane, UdpAeads: []uint32{1}})
	if err != nil {
		return nil, err
	}
	return wire.AppendFrame(nil, wire.ClientHello, 0, b), nil
}

// dialer opens sessions one by one. Safe for concurrent use.
type dialer struct {
	server Server
	tls    *tls.Config
	hello  []byte
}

func newDialer(s Server) (*dialer, error) {
	h, err := hello(s.Datagrams)
	if err != nil {
		return nil, err
	}
	return &dialer{server: s, tls: conf(), hello: h}, nil
}

// dial opens one session and, with size > 0, sends a message right behind and
// waits for its echo. A session that fails leaves nothing open.
func (d *dialer) dial(ctx context.Context, size int) (*client, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, opening, errOpening)
	defer cancel()
	if d.server.Datagrams && !d.server.Hello {
		return d.plain(ctx)
	}
	var nd net.Dialer
	conn, err := nd.DialContext(ctx, "tcp", d.server.Addr)
	if err != nil {
		return nil, err
	}
	c := &client{link: &link{dialled: conn, fd: -1}}
	c.tls = tls.Client(c.link, d.tls)
	if err := d.open(ctx, c, size); err != nil {
		return nil, errors.Join(fmt.Errorf("opening a session: %w", err), context.Cause(ctx), c.close())
	}
	return c, nil
}

func (d *dialer) open(ctx context.Context, c *client, size int) error {
	deadline, _ := ctx.Deadline()
	if err := c.link.SetDeadline(deadline); err != nil {
		return err
	}
	if err := c.tls.HandshakeContext(ctx); err != nil {
		return err
	}
	var out []byte
	if d.server.Hello {
		out = append(out, d.hello...)
	} else {
		c.opened = true
	}
	if size > 0 {
		out = c.message(out, size, 0)
	}
	if len(out) > 0 {
		if _, err := c.tls.Write(out); err != nil {
			return err
		}
	}
	var buf []byte
	for !c.opened || c.waiting.len() > 0 {
		if buf == nil {
			buf = make([]byte, 1024)
		}
		n, err := c.tls.Read(buf)
		if n > 0 {
			err = c.feed(buf[:n], size, func(int64) {}, func(p []byte) error { return c.pong(p) })
		}
		if err != nil {
			return err
		}
	}
	if d.server.Datagrams {
		if err := c.bind(ctx, c.hello, d.server.Addr); err != nil {
			return err
		}
	}
	return c.link.SetDeadline(time.Time{})
}

// pong answers a PING, whose payload is borrowed until return.
func (c *client) pong(payload []byte) error {
	if len(payload) != 8 {
		return fmt.Errorf("a PING of %d bytes", len(payload))
	}
	_, err := c.tls.Write(wire.AppendPong(nil, [8]byte(payload), 0))
	return err
}

func (c *client) negotiated() Negotiated {
	if c.tls == nil {
		return Negotiated{}
	}
	s := c.tls.ConnectionState()
	return Negotiated{Version: tls.VersionName(s.Version), Cipher: tls.CipherSuiteName(s.CipherSuite), Curve: s.CurveID.String()}
}

// openAll opens n sessions, at most parallel at a time. On an error it closes all.
func openAll[C any](ctx context.Context, n, parallel int, open func(context.Context) (C, error), shut func(C) error) ([]C, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	clients, opened := make([]C, n), make([]bool, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(parallel, n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				c, err := open(ctx)
				if err != nil {
					cancel(err)
					return
				}
				clients[i], opened[i] = c, true
			}
		})
	}
	wg.Wait()
	if ctx.Err() == nil {
		return clients, nil
	}
	err := context.Cause(ctx)
	for i, c := range clients {
		if opened[i] {
			err = errors.Join(err, shut(c))
		}
	}
	return nil, err
}
