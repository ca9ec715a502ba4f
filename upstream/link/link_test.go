package link_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/backend"
	"strait/proto/batch"
	"strait/upstream"
	"strait/upstream/endpoint"
	"strait/upstream/link"
	"strait/upstream/remote"
	"strait/upstream/upstreamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a stream of the carrier and the connection at its other end.
func pair(t *testing.T) (remote.Stream, net.Conn) {
	t.Helper()
	l := tcpListener(t)
	defer l.Close()
	c := link.Carrier{}
	e, err := endpoint.Parse("link://"+l.Addr().String(), endpoint.Link)
	require.NoError(t, err)
	s, err := c.Dial(t.Context(), e, l.Addr().String(), nil)
	require.NoError(t, err)
	other, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close(); _ = other.Close() })
	return s, other
}

// frame is a batch behind its length.
func frame(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

func TestBatchesOfAllSizes(t *testing.T) {
	s, other := pair(t)
	sizes := []int{0, 1, 64, 65532, 65536, 65537, 1 << 20, 3 << 20, batch.MaxBatch, 5}
	go func() {
		in := bufio.NewReader(other)
		for range sizes { // each comes back as it is
			var length [4]byte
			if _, err := io.ReadFull(in, length[:]); err != nil {
				return
			}
			b := make([]byte, binary.BigEndian.Uint32(length[:]))
			if _, err := io.ReadFull(in, b); err != nil {
				return
			}
			if _, err := other.Write(frame(b)); err != nil {
				return
			}
		}
	}()
	for i, size := range sizes {
		b := bytes.Repeat([]byte{byte(i + 1)}, remote.Headroom+size)
		require.NoError(t, s.Write(b))
		got, err := s.Read()
		require.NoError(t, err)
		require.True(t, bytes.Equal(b[remote.Headroom:], got), "size %d", size)
	}
	require.NoError(t, s.CloseWrite())
	_, err := other.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestStreamsThatEnd(t *testing.T) {
	for name, c := range map[string]struct {
		sent []byte
		want error
	}{
		"between batches":         {frame([]byte("x")), io.EOF},
		"in a length":             {append(frame([]byte("x")), 0, 0), io.ErrUnexpectedEOF},
		"after a length":          {append(frame([]byte("x")), 0, 0, 0, 9), io.ErrUnexpectedEOF},
		"in a batch":              {append(frame([]byte("x")), 0, 0, 0, 9, 1, 2), io.ErrUnexpectedEOF},
		"in a batch that is long": {append(frame([]byte("x")), 0, 0x3f, 0, 0, 1, 2), io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			s, other := pair(t)
			_, err := other.Write(c.sent)
			require.NoError(t, err)
			require.NoError(t, other.Close())
			b, err := s.Read()
			require.NoError(t, err)
			require.Equal(t, "x", string(b))
			_, err = s.Read()
			require.ErrorIs(t, err, c.want)
		})
	}
}

func TestLengthAboveTheLimit(t *testing.T) {
	s, other := pair(t)
	_, err := other.Write(binary.BigEndian.AppendUint32(nil, 5<<20))
	require.NoError(t, err)
	_, err = s.Read()
	var size *batch.SizeError
	require.ErrorAs(t, err, &size)
}

func TestCloseUnblocksBothEnds(t *testing.T) {
	s, _ := pair(t)
	done := make(chan error, 2)
	go func() {
		_, err := s.Read()
		done <- err
	}()
	go func() {
		b := make([]byte, remote.Headroom+1<<20)
		for {
			if err := s.Write(b); err != nil {
				done <- err
				return
			}
		}
	}()
	require.NoError(t, s.Close())
	for range 2 {
		select {
		case err := <-done:
			require.ErrorIs(t, err, net.ErrClosed)
		case <-time.After(upstreamtest.Patience):
			require.FailNow(t, "still blocked")
		}
	}
}

func TestBackendIsVerified(t *testing.T) {
	cert, roots := certificate(t, "game.example")
	l := tls.NewListener(tcpListener(t), &tls.Config{Certificates: []tls.Certificate{cert}})
	defer l.Close()
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*tls.Conn).Handshake() // the client says what is wrong
			_ = c.Close()
		}
	}()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	dial := func(host string, conf *tls.Config) error {
		c := link.Carrier{}
		e, err := endpoint.Parse("link+tls://"+net.JoinHostPort(host, port), endpoint.Link)
		require.NoError(t, err)
		s, err := c.Dial(t.Context(), e, l.Addr().String(), conf)
		if err == nil {
			_ = s.Close()
		}
		return err
	}
	require.NoError(t, dial("game.example", &tls.Config{RootCAs: roots}))
	require.NoError(t, dial("other.example", &tls.Config{RootCAs: roots, ServerName: "game.example"}))
	var unverified *tls.CertificateVerificationError
	require.ErrorAs(t, dial("other.example", &tls.Config{RootCAs: roots}), &unverified)
	require.ErrorAs(t, dial("game.example", nil), &unverified)
	require.NoError(t, l.Close())
	<-accepted
}

func TestDialEndsWithItsContext(t *testing.T) {
	l := tcpListener(t)
	defer l.Close()
	c := link.Carrier{}
	e, err := endpoint.Parse("link+tls://"+l.Addr().String(), endpoint.Link)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = c.Dial(ctx, e, l.Addr().String(), nil) // the handshake is never answered
	require.True(t, errors.Is(err, context.DeadlineExceeded), "%v", err)
}

// TestBackendThatBreaksOff plays a backend that misbehaves on its first connection
// and leaves the second one to a real one.
func TestBackendThatBreaksOff(t *testing.T) {
	kick := func(handle uint64) []byte { return batch.AppendCloseSession(nil, handle, 8, "not to be carried out") }
	for name, bad := range map[string]func(handle uint64) []byte{
		"dies in a batch": func(h uint64) []byte { b := frame(kick(h)); return b[:len(b)-3] },
		"dies between":    func(uint64) []byte { return nil },
		"5 MiB batch": func(h uint64) []byte {
			return append(binary.BigEndian.AppendUint32(nil, 5<<20), kick(h)...)
		},
		"garbage":          func(h uint64) []byte { return frame(append(kick(h), 0xff, 0xff)) },
		"no link at all":   func(uint64) []byte { return []byte("HTTP/1.1 400 Bad Request\r\n\r\n") },
		"another protocol": func(uint64) []byte { return []byte{0x16, 0x03, 0x01, 0x02, 0x00} },
	} {
		t.Run(name, func(t *testing.T) {
			g := upstreamtest.NewGateway(t, 0)
			l, url := unixListener(t)
			first := make(chan net.Conn)
			served := &handover{Listener: l, first: first}
			serve(t, served, backend.Funcs{OnMessage: func(s *backend.Session, m backend.Message) {
				_ = s.Send(m.Delivery, m.Channel, m.Payload)
			}}, backend.Config{Name: "good"})
			p, err := remote.New(remote.Config{Backends: []string{url}, Streams: 1, Logger: quiet()}, link.Carrier{})
			require.NoError(t, err)
			g.Attach(p)
			conn := <-first
			s := g.Open(upstream.Announcement{})
			s.SayReliable("lost or not")
			// Until the session was announced on this connection.
			var r batch.GatewayReader
			in := bufio.NewReader(conn)
			for announced := false; !announced; {
				var length [4]byte
				_, err := io.ReadFull(in, length[:])
				require.NoError(t, err)
				b := make([]byte, binary.BigEndian.Uint32(length[:]))
				_, err = io.ReadFull(in, b)
				require.NoError(t, err)
				r.Reset(b)
				ev, ok, err := r.Next()
				require.NoError(t, err)
				announced = ok && ev.Kind == batch.EventOpened
			}
			_, err = conn.Write(bad(s.Handle()))
			require.NoError(t, err)
			if name[:4] == "dies" {
				require.NoError(t, conn.Close())
			} else {
				defer conn.Close()
			}
			require.Eventually(t, func() bool { return p.Status().Streams[0].Name == "good" }, upstreamtest.Patience, time.Millisecond)
			s.SayReliable("again")
			for s.Next().Payload != "again" {
			}
			require.True(t, s.IsOpen(), "a command of a batch that cannot be used was carried out")
			require.EqualValues(t, 1, p.Status().Streams[0].Lost)
			require.NotEmpty(t, p.Status().Streams[0].Error)
		})
	}
}

// handover gives the first connection of a listener away.
type handover struct {
	net.Listener
	first chan<- net.Conn
}

func (h *handover) Accept() (net.Conn, error) {
	c, err := h.Listener.Accept()
	if err == nil && h.first != nil {
		h.first <- c
		h.first = nil
		return h.Listener.Accept()
	}
	return c, err
}

func FuzzRead(f *testing.F) {
	f.Add(frame([]byte("abc")))
	f.Add(append(frame(nil), frame([]byte("x"))...))
	f.Add([]byte{0, 0x40, 0, 1, 9})
	f.Add([]byte{0, 0x3f, 0xff, 0xff, 9})
	f.Fuzz(func(t *testing.T, in []byte) {
		s := link.NewStream(in)
		var out []byte
		for {
			b, err := s.Read()
			if err != nil {
				break
			}
			out = append(out, frame(b)...)
		}
		if !bytes.HasPrefix(in, out) {
			t.Fatalf("read %x from %x", out, in)
		}
	})
}
