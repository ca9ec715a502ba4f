package link

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"syscall"

	"strait/internal/direct"
	"strait/internal/frames"
	"strait/proto/batch"
	"strait/upstream/endpoint"
	"strait/upstream/remote"
)

// Carrier dials backends for package remote.
type Carrier struct{}

var _ remote.Carrier = Carrier{}

// Schemes implements [remote.Carrier].
func (Carrier) Schemes() endpoint.Schemes { return endpoint.Link }

// Dial implements [remote.Carrier].
func (Carrier) Dial(ctx context.Context, e endpoint.Endpoint, address string, conf *tls.Config) (remote.Stream, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, e.Network, address)
	if err != nil {
		return nil, err
	}
	if !e.Secure {
		return newStream(raw, raw), nil
	}
	if conf == nil {
		conf = &tls.Config{}
	} else {
		conf = conf.Clone()
	}
	if conf.ServerName == "" {
		conf.ServerName = e.Host
	}
	conf.DynamicRecordSizingDisabled = true
	secured := tls.Client(raw, conf)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("TLS with %s: %w", address, err)
	}
	return newStream(secured, raw), nil
}

// stream is one connection. conn is what batches go through, raw what it is on.
type stream struct {
	conn interface {
		net.Conn
		CloseWrite() error
	}
	raw net.Conn
	// socket is where batches can be written without waiting; nil over TLS.
	socket syscall.RawConn
	in     *frames.Reader // owned by the reader
}

func newStream(conn, raw net.Conn) *stream {
	s := &stream{raw: raw, socket: direct.Socket(conn), in: frames.NewReader(direct.Reader(conn))}
	s.conn = conn.(interface {
		net.Conn
		CloseWrite() error
	}) // *net.TCPConn, *net.UnixConn and *tls.Conn have it
	return s
}

// Write implements [remote.Stream].
func (s *stream) Write(b []byte) error {
	batch.PutLength(b, len(b)-remote.Headroom)
	_, err := s.conn.Write(b)
	return err
}

// TryWrite implements [remote.TryWriter]. TLS cannot write a part of a record, so
// over TLS nothing is sent.
func (s *stream) TryWrite(b []byte) (n int) {
	batch.PutLength(b, len(b)-remote.Headroom)
	return direct.TryWrite(s.socket, b)
}

// WriteRest implements [remote.TryWriter].
func (s *stream) WriteRest(b []byte) error {
	_, err := s.conn.Write(b)
	return err
}

// Read implements [remote.Stream].
func (s *stream) Read() ([]byte, error) { return s.in.Next() }

// CloseWrite implements [remote.Stream].
func (s *stream) CloseWrite() error { return s.conn.CloseWrite() }

// Close implements [remote.Stream]. It does not say good-bye over TLS, which could
// block: CloseWrite has, if the end was an orderly one.
func (s *stream) Close() error { return s.raw.Close() }
