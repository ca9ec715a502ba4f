//go:build linux

package echo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"

	"strait/backend"
)

// Kind is what speaks on the socket.
type Kind string

// The kinds.
const (
	Link   Kind = "link"
	Stream Kind = "stream"
	// Datagram listens at a UDP address instead of a socket's path.
	Datagram Kind = "datagram"
	// QUIC likewise.
	QUIC Kind = "quic"
	// QUICRetry is QUIC that makes each client prove its address with a Retry.
	QUICRetry Kind = "quic-retry"
)

// Ready is the line that says that the socket is there.
const Ready = "ready"

// Main serves kind on the Unix socket at path until in ends. It writes Ready to
// out, and to log what went wrong with a gateway.
func Main(kind Kind, path string, in io.Reader, out, log io.Writer) error {
	ctx, cancel := context.WithCancel(context.Background())
	// A read of standard input cannot be cut short: the goroutine ends with in, or
	// with the process where Main returned because of an error.
	go func() {
		_, _ = io.Copy(io.Discard, in) // however it ends, it is the end
		cancel()
	}()
	switch kind {
	case Link:
		return serveLink(ctx, path, out, log)
	case Datagram:
		return serveDatagrams(ctx, path, out)
	case QUIC, QUICRetry:
		return serveQUIC(ctx, path, kind == QUICRetry, out)
	case Stream:
		s, err := listenStream(path)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, Ready); err != nil {
			return errors.Join(err, s.close())
		}
		return s.serve(ctx)
	}
	return fmt.Errorf("an echo of kind %q does not exist; there are %s, %s, %s, %s and %s", kind, Link, Stream, Datagram, QUIC, QUICRetry)
}

func serveLink(ctx context.Context, path string, out, log io.Writer) error {
	srv, err := backend.New(backend.Funcs{
		OnMessage: func(s *backend.Session, m backend.Message) {
			// It fails for sessions that are gone, whose echo nobody misses.
			_ = s.Send(m.Delivery, m.Channel, m.Payload)
		},
	}, backend.Config{
		Name: "bench-edge", BufferBytes: 64 << 20,
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, Ready); err != nil {
		return errors.Join(err, l.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, backend.ErrServerClosed) {
		return errors.Join(err, srv.Close())
	}
	return srv.Close()
}
