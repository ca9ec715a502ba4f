//go:build linux

package echo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
)

// socketBuffer is what the echo asks of its socket, so that a burst of all clients
// finds room.
const socketBuffer = 4 << 20

// serveDatagrams sends back what comes to a UDP address, "host:port": the least
// that a Go program can do with a datagram, one read and one write each.
func serveDatagrams(ctx context.Context, addr string, out io.Writer) error {
	at, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return err
	}
	conn, err := net.ListenUDP("udp", at)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := errors.Join(conn.SetReadBuffer(socketBuffer), conn.SetWriteBuffer(socketBuffer)); err != nil {
		return errors.Join(err, conn.Close())
	}
	if _, err := fmt.Fprintln(out, Ready); err != nil {
		return errors.Join(err, conn.Close())
	}
	buf := make([]byte, 64<<10)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return errors.Join(err, conn.Close())
		}
		// A client that is gone is no loss.
		_, _ = conn.WriteToUDPAddrPort(buf[:n], from)
	}
}
