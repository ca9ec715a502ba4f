//go:build linux

package echo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"strait/quic/session"
	"strait/transport/tlsconfig"
)

// serveQUIC sends back what comes on streams and in datagrams of QUIC connections at
// a UDP address: the least that a program on quic-go can do with them, with the
// gateway's settings. With retry each client without a token has to prove its address.
func serveQUIC(ctx context.Context, addr string, retry bool, out io.Writer) error {
	certs, err := tlsconfig.New(tlsconfig.Config{})
	if err != nil {
		return err
	}
	defer certs.Close()
	at, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return err
	}
	conn, err := net.ListenUDP("udp", at)
	if err != nil {
		return err
	}
	defer conn.Close()
	transport := &quicgo.Transport{Conn: conn, ConnectionIDLength: 8, VerifySourceAddress: func(net.Addr) bool { return retry }}
	defer transport.Close()
	conf := session.QUICConfig()
	conf.MaxIdleTimeout = time.Minute
	l, err := transport.Listen(certs.Server(session.ALPN), conf)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	if _, err := fmt.Fprintln(out, Ready); err != nil {
		return err
	}
	var clients sync.WaitGroup
	defer clients.Wait()
	for {
		c, err := l.Accept(ctx)
		if errors.Is(err, quicgo.ErrServerClosed) || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		clients.Go(func() { echoStreams(ctx, c) })
		clients.Go(func() { echoFrames(ctx, c) })
	}
}

// echoStreams serves c's streams, one after the other: clients have one.
func echoStreams(ctx context.Context, c *quicgo.Conn) {
	defer c.CloseWithError(0, "")
	buf := make([]byte, 4<<10)
	for {
		s, err := c.AcceptStream(ctx)
		if err != nil {
			return
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{s}, struct{ io.Reader }{s}, buf); err != nil {
			return
		}
	}
}

func echoFrames(ctx context.Context, c *quicgo.Conn) {
	for {
		b, err := c.ReceiveDatagram(ctx)
		if err != nil || c.SendDatagram(b) != nil {
			return
		}
	}
}
