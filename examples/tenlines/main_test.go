package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/examples/internal/edge"
)

// asMain makes the test binary the program.
const asMain = "TENLINES_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestTenLinesEchoBehindAGateway(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	// The path of a Unix socket is short, and a test's own directory may not be.
	dir, err := os.MkdirTemp("", "tenlines")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	listen := "link+unix://" + filepath.Join(dir, "socket")

	ctx, cancel := context.WithTimeout(t.Context(), 2*edge.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), asMain+"=1", "LISTEN="+listen)
	log, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(log)
	require.True(t, lines.Scan(), "the program ended before it listened")
	t.Log(lines.Text())

	c := edge.Start(t, listen).Dial(t)
	for i := range 100 {
		require.NoError(t, c.Send(ctx, client.Reliable, 7, fmt.Append(nil, i)))
	}
	for i := range 100 {
		m, err := c.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, client.Reliable, m.Delivery)
		require.Equal(t, uint8(7), m.Channel)
		require.Equal(t, fmt.Sprint(i), string(m.Payload))
	}
	require.NoError(t, c.Send(ctx, client.Unreliable, 8, []byte("quick")))
	m, err := c.Receive(ctx)
	require.NoError(t, err)
	require.Equal(t, client.Unreliable, m.Delivery)
	require.Equal(t, "quick", string(m.Payload))
}
