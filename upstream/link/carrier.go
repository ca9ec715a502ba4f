package link

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"strait/internal/direct"
	"strait/proto/batch"
	"strait/upstream/remote"
)

// Carrier dials backends for package remote.
type Carrier struct{}

var _ remote.Carrier = Carrier{}

// Schemes implements [remote.Carrier].
func (Carrier) Schemes() []string { return Schemes() }

// Parse implements [remote.Carrier].
func (Carrier) Parse(url string) (remote.Endpoint, error) { return schemes.Parse(url) }

// Dial implements [remote.Carrier].
func (Carrier) Dial(ctx context.Context, e remote.Endpoint, address string, conf *tls.Config) (remote.Stream, error) {
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

// readBuffer is how much one system call reads at most, and the longest batch that
// is not copied.
const readBuffer = 64 << 10

// stream is one connection. conn is what batches go through, raw what it is on.
type stream struct {
	conn interface {
		net.Conn
		CloseWrite() error
	}
	raw net.Conn
	// socket is where batches can be written without waiting; nil over TLS.
	socket syscall.RawConn

	// Owned by the reader.
	in   *bufio.Reader
	lent int          // bytes at the front of in that the last batch takes
	long bytes.Buffer // a batch that in has no room for
}

func newStream(conn, raw net.Conn) *stream {
	s := &stream{raw: raw, socket: direct.Socket(conn), in: bufio.NewReaderSize(direct.Reader(conn), readBuffer)}
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

// Read implements [remote.Stream]. What it allocates grows with what has arrived,
// not with what a length promises.
func (s *stream) Read() ([]byte, error) {
	_, _ = s.in.Discard(s.lent) // it was all there
	s.lent = 0
	head, err := s.in.Peek(batch.LengthLen)
	if err != nil {
		if len(head) > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	length, err := batch.ParseLength([batch.LengthLen]byte(head))
	if err != nil {
		return nil, err
	}
	_, _ = s.in.Discard(batch.LengthLen)
	n := int(length)
	if n <= s.in.Size() {
		b, err := s.in.Peek(n)
		if err != nil {
			return nil, cut(err)
		}
		s.lent = n
		return b, nil
	}
	s.long.Reset()
	if _, err := io.CopyN(&s.long, s.in, int64(n)); err != nil {
		return nil, cut(err)
	}
	b := s.long.Bytes()
	if s.long.Cap() > keepLong {
		s.long = bytes.Buffer{}
	}
	return b, nil
}

// keepLong is up to what size the buffer for long batches is kept.
const keepLong = 1 << 20

// cut is the error for a batch that ended early.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// CloseWrite implements [remote.Stream].
func (s *stream) CloseWrite() error { return s.conn.CloseWrite() }

// Close implements [remote.Stream]. It does not say good-bye over TLS, which could
// block: CloseWrite has, if the end was an orderly one.
func (s *stream) Close() error { return s.raw.Close() }
