//go:build linux

package echo_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/bench/edge/echo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs Main until the test ends, which it does by its input's end, and
// returns its socket.
func serve(t *testing.T, kind echo.Kind) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	in, hold := io.Pipe()
	say, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := echo.Main(kind, path, in, out, io.Discard)
		_ = out.CloseWithError(err)
		done <- err
	}()
	t.Cleanup(func() {
		require.NoError(t, hold.Close())
		require.NoError(t, <-done)
	})
	line := bufio.NewScanner(say)
	require.True(t, line.Scan(), line.Err())
	require.Equal(t, echo.Ready, line.Text())
	return path
}

func TestStreamEchoes(t *testing.T) {
	path := serve(t, echo.Stream)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			conn, err := net.Dial("unix", path)
			if !assert.NoError(t, err) {
				return
			}
			// More than a socket's buffers hold, and not read before it is written: the
			// echo has to keep some of it.
			sent := bytes.Repeat([]byte{byte(i), 1, 2}, 1<<18)
			var writing sync.WaitGroup
			writing.Go(func() {
				_, err := conn.Write(sent)
				assert.NoError(t, err)
			})
			got := make([]byte, len(sent))
			_, err = io.ReadFull(conn, got)
			assert.NoError(t, err)
			writing.Wait()
			assert.Equal(t, sent, got)
			assert.NoError(t, conn.Close())
		})
	}
	wg.Wait()
}

func TestStreamOutlivesItsConnections(t *testing.T) {
	path := serve(t, echo.Stream)
	for range 3 {
		conn, err := net.Dial("unix", path)
		require.NoError(t, err)
		_, err = conn.Write([]byte("x"))
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	conn, err := net.Dial("unix", path)
	require.NoError(t, err)
	_, err = conn.Write([]byte("y"))
	require.NoError(t, err)
	got := make([]byte, 1)
	_, err = io.ReadFull(conn, got)
	require.NoError(t, err)
	assert.Equal(t, "y", string(got))
	require.NoError(t, conn.Close())
}

func TestLinkListens(t *testing.T) {
	conn, err := net.Dial("unix", serve(t, echo.Link))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

func TestMainRefuses(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "taken"), nil, 0o600))
	empty := func() io.Reader { return bytes.NewReader(nil) }
	for _, kind := range []echo.Kind{echo.Stream, echo.Link} {
		require.Error(t, echo.Main(kind, filepath.Join(dir, "taken"), empty(), io.Discard, io.Discard))
		require.Error(t, echo.Main(kind, filepath.Join(dir, "none", "s"), empty(), io.Discard, io.Discard))
	}
	require.ErrorContains(t, echo.Main("bell", filepath.Join(dir, "s"), empty(), io.Discard, io.Discard), `"bell"`)
}
