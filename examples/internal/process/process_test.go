//go:build unix

package process_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/examples/internal/process"
)

// asChild makes the test binary a program of this test; its value says which.
const asChild = "PROCESS_TEST_CHILD"

const patience = 20 * time.Second

func TestMain(m *testing.M) {
	switch os.Getenv(asChild) {
	case "":
		goleak.VerifyTestMain(m)
	case "polite":
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		fmt.Println("address=127.0.0.1:1")
		<-c
		fmt.Fprintln(os.Stderr, "total=7")
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("address=127.0.0.1:1")
		select {}
	case "broken":
		fmt.Println("no such luck")
		os.Exit(3)
	}
}

var (
	address = regexp.MustCompile(`address=(\S+)`)
	total   = regexp.MustCompile(`total=(\d+)`)
)

func start(t *testing.T, which string, out *bytes.Buffer) (*process.Process, context.Context) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	s := process.Spec{Name: which, Path: exe, Env: []string{asChild + "=" + which, "GORACE=atexit_sleep_ms=0"}, Keep: []*regexp.Regexp{address, total}}
	if out != nil {
		s.Out = out
	}
	p, err := process.Start(s)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return p, ctx
}

func TestAProcessIsReadAndStopped(t *testing.T) {
	var out bytes.Buffer
	p, ctx := start(t, "polite", &out)
	match, err := p.Await(ctx, address)
	require.NoError(t, err)
	assert.Equal(t, "127.0.0.1:1", match[1])
	assert.Nil(t, p.Last(total))
	require.NoError(t, p.Stop(ctx))
	require.NoError(t, p.Stop(ctx))
	assert.Equal(t, "7", p.Last(total)[1], "what it printed last is known when it has ended")
	assert.Equal(t, "polite  | address=127.0.0.1:1\npolite  | total=7\n", out.String())
}

func TestAProcessThatDoesNotStopIsKilled(t *testing.T) {
	p, ctx := start(t, "stubborn", nil)
	_, err := p.Await(ctx, address)
	require.NoError(t, err)
	soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	var exit *exec.ExitError
	require.ErrorAs(t, p.Stop(soon), &exit)
	assert.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal())
}

func TestAProcessThatEndsEarlyIsNotWaitedFor(t *testing.T) {
	p, ctx := start(t, "broken", nil)
	_, err := p.Await(ctx, address)
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 3, exit.ExitCode())
	require.ErrorAs(t, p.AwaitReady(ctx, "http://127.0.0.1:1/readyz"), &exit)
}

func TestAProgramThatIsNotThere(t *testing.T) {
	_, err := process.Start(process.Spec{Name: "nobody", Path: "/nonexistent/program"})
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = process.StartGateway(t.Context(), "/nonexistent/program", "link://127.0.0.1:1", nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestReadyIsAskedUntilItIs(t *testing.T) {
	var asked atomic.Int32
	soon, enough := context.WithCancel(t.Context())
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch asked.Add(1) {
		case 3:
			return // it is ready, once
		case 6:
			enough()
		}
		http.Error(w, "no backend yet", http.StatusServiceUnavailable)
	}))
	defer admin.Close()
	p, ctx := start(t, "polite", nil)
	_, err := p.Await(ctx, address) // it listens for signals now
	require.NoError(t, err)
	require.NoError(t, p.AwaitReady(ctx, admin.URL))
	assert.EqualValues(t, 3, asked.Load())
	require.ErrorContains(t, p.AwaitReady(soon, admin.URL), "no backend yet")
	require.NoError(t, p.Stop(ctx))
}
