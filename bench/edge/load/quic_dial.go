//go:build linux

package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"strait/quic/session"
)

// perSocket is how many connections share a UDP socket: few enough for its receive buffer
// to hold what a server sends them at a time.
const perSocket = 256

// quicDialer opens sessions. Safe for concurrent use.
type quicDialer struct {
	transports []*quicgo.Transport // each with a UDP socket
	next       atomic.Int64        // the session's number
	at         *net.UDPAddr
	tls        *tls.Config
	hello      []byte // CLIENT_HELLO; nil: the server knows none
}

// newQUICDialer has sockets for as many sessions at a time.
func newQUICDialer(s Server, sessions int) (*quicDialer, error) {
	at, err := udpAddr(s.Addr)
	if err != nil {
		return nil, err
	}
	d := &quicDialer{at: at, tls: conf()}
	if s.Hello {
		if d.hello, err = hello(false); err != nil {
			return nil, err
		}
	}
	for range (sessions + perSocket - 1) / perSocket {
		conn, err := net.ListenUDP("udp4", nil)
		if err != nil {
			return nil, errors.Join(err, d.close())
		}
		d.transports = append(d.transports, &quicgo.Transport{Conn: conn})
	}
	return d, nil
}

func (d *quicDialer) close() (err error) {
	for _, t := range d.transports {
		err = errors.Join(err, t.Close(), t.Conn.Close())
	}
	return err
}

// quicConf is the gateway's own settings. Without a TokenStore a server that asks for
// Retry asks each time.
func quicConf() *quicgo.Config {
	c := session.QUICConfig()
	c.MaxIdleTimeout, c.KeepAlivePeriod = time.Minute, 10*time.Second
	// quic-go as a server has few Retries waiting at a time and drops first packets
	// beyond: those clients ask again, later each time.
	c.HandshakeIdleTimeout = opening
	return c
}

// dial opens one session by a full handshake and, with echo, sends a message of
// MinSize on its control stream and waits for it. A session that fails leaves nothing
// open.
func (d *quicDialer) dial(ctx context.Context, echo bool) (*quicClient, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, opening, errOpening)
	defer cancel()
	transport := d.transports[int(d.next.Add(1))%len(d.transports)]
	conn, err := transport.Dial(ctx, d.at, d.tls, quicConf())
	if err != nil {
		return nil, fmt.Errorf("opening a session: %w", errors.Join(err, context.Cause(ctx)))
	}
	c := &quicClient{conn: conn}
	// Whatever waits below ends with the connection.
	stop := context.AfterFunc(ctx, func() { _ = conn.CloseWithError(0, "") })
	err = d.open(ctx, c, echo)
	if !stop() || err != nil {
		_ = conn.CloseWithError(0, "") // it fails only if it has ended
		return nil, fmt.Errorf("opening a session: %w", errors.Join(err, context.Cause(ctx)))
	}
	return c, nil
}

func (d *quicDialer) open(ctx context.Context, c *quicClient, echo bool) (err error) {
	if c.stream, err = c.conn.OpenStreamSync(ctx); err != nil {
		return err
	}
	c.out = append(c.out, d.hello...)
	// A stream exists for the server with its first byte.
	if echo || d.hello == nil {
		c.out = c.client.message(c.out, MinSize, 0)
	}
	buf := make([]byte, 1024)
	for {
		if len(c.out) > 0 {
			if _, err := c.stream.Write(c.out); err != nil {
				return err
			}
			c.out = c.out[:0]
		}
		if (c.client.opened || d.hello == nil) && c.client.waiting.len() == 0 {
			return nil
		}
		n, err := c.stream.Read(buf)
		if n > 0 {
			err = c.client.feed(buf[:n], MinSize, func(int64) {}, c.pong)
		}
		if err != nil {
			return err
		}
	}
}
