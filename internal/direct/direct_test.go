package direct_test

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/internal/direct"
)

// pair returns the two ends of a Unix socket.
func pair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	defer l.Close()
	a, err = net.Dial("unix", l.Addr().String())
	require.NoError(t, err)
	b, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestReader(t *testing.T) {
	a, b := pair(t)
	r := direct.Reader(b)
	n, err := r.Read(nil)
	require.NoError(t, err)
	require.Zero(t, n)

	go func() { _, _ = a.Write([]byte("hello")) }()
	got := make([]byte, 3)
	_, err = io.ReadFull(r, got)
	require.NoError(t, err)
	require.Equal(t, "hel", string(got))

	require.NoError(t, b.SetReadDeadline(time.Now().Add(-time.Second)))
	_, err = r.Read(got)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "deadlines hold")
	require.NoError(t, b.SetReadDeadline(time.Time{}))
	n, err = r.Read(got)
	require.NoError(t, err)
	require.Equal(t, "lo", string(got[:n]))

	require.NoError(t, a.Close())
	_, err = r.Read(got)
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, b.Close())
	_, err = r.Read(got)
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestCloseEndsARead(t *testing.T) {
	_, b := pair(t)
	got := make(chan error, 1)
	go func() {
		_, err := direct.Reader(b).Read(make([]byte, 1))
		got <- err
	}()
	require.NoError(t, b.Close())
	require.ErrorIs(t, <-got, net.ErrClosed)
}

func TestTryWrite(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the ordinary way is package net's")
	}
	a, b := pair(t)
	s := direct.Socket(a)
	require.NotNil(t, s)
	require.Equal(t, 5, direct.TryWrite(s, []byte("hello")))
	big := make([]byte, 64<<20)
	n := direct.TryWrite(s, big)
	require.Less(t, n, len(big), "it does not wait for a reader")
	got, err := io.ReadAll(io.LimitReader(b, int64(5+n)))
	require.NoError(t, err)
	require.Len(t, got, 5+n)
	require.NoError(t, a.Close())
	require.Zero(t, direct.TryWrite(s, []byte("x")))
	require.Zero(t, direct.TryWrite(nil, []byte("x")))
}

func TestOnlySockets(t *testing.T) {
	a, _ := net.Pipe()
	require.Nil(t, direct.Socket(a))
	require.Equal(t, a, direct.Reader(a))
	secured := tls.Client(a, &tls.Config{ServerName: "x"})
	require.Nil(t, direct.Socket(secured), "its bytes are not the socket's")
}
