//go:build linux

package stack

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProcessThatEndsByItselfShowsItsLog(t *testing.T) {
	p, err := start("proxy", exec.Command("sh", "-c", "echo bad luck >&2; exit 3"), filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	<-p.ended
	err = p.died()
	require.ErrorContains(t, err, "proxy: ended by itself")
	require.ErrorContains(t, err, "bad luck")
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 3, exit.ExitCode())
	require.NoError(t, p.stop())
	require.NoError(t, p.stop(), "idempotent")
}

// A worker that outlives the process that started it is ended with it.
func TestStopEndsTheWholeGroup(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := start("proxy", exec.Command("sh", "-c", "sleep 1000 & echo $!"), log)
	require.NoError(t, err)
	<-p.ended
	text, err := os.ReadFile(log)
	require.NoError(t, err)
	worker, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	alive := func() bool {
		// A zombie that nobody has waited for yet has no command line.
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(worker), "cmdline"))
		return err == nil && len(b) > 0
	}
	// Between fork and exec it has no command line for a moment.
	require.Eventually(t, alive, 10*time.Second, time.Millisecond)
	require.NoError(t, p.stop())
	require.Eventually(t, func() bool { return !alive() }, 10*time.Second, time.Millisecond)
}

func TestStopAsksFirst(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := start("proxy", exec.Command("sh", "-c", "trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.01; done"), log)
	require.NoError(t, err)
	read := func() string {
		b, err := os.ReadFile(log)
		require.NoError(t, err)
		return string(b)
	}
	require.Eventually(t, func() bool { return read() == "up\n" }, 10*time.Second, time.Millisecond)
	require.NoError(t, p.died())
	require.NoError(t, p.stop())
	assert.Equal(t, "up\nasked\n", read())
}

func TestStartSaysWhyThereIsNoEcho(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	_, err := Start(t.Context(), Target{Name: "x", Kind: Nginx}, Config{Echo: []string{"sh", "-c", "echo no room >&2; exit 1"}})
	require.ErrorContains(t, err, "no room")
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	require.NoError(t, err)
	assert.Empty(t, left)
}
