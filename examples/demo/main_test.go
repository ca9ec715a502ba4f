//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// asProgram makes the test binary one of the programs, which one its arguments say,
// and what goes wrong the variable's value. The real ones are run by make demo.
const asProgram = "DEMO_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if wrong := os.Getenv(asProgram); wrong != "" {
		os.Exit(program(os.Args[1:], wrong))
	}
	goleak.VerifyTestMain(m)
}

// program speaks as the real ones do, and plays nothing.
func program(args []string, wrong string) int {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	status := 0
	switch {
	case slices.Equal(args, []string{"-listen", "link://127.0.0.1:0"}):
		fmt.Println("2026/01/02 03:04:05 INFO arena: listening address=127.0.0.1:9")
		if wrong == "status" {
			status = 5
		}
	case slices.Equal(args, []string{"serve"}) && os.Getenv("STRAIT_UPSTREAM") == "link://127.0.0.1:9":
		admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if wrong == "unready" || r.URL.Path != "/readyz" {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}))
		defer admin.Close()
		fmt.Println("level=INFO msg=listening transport=tcp address=127.0.0.1:8")
		fmt.Println("level=INFO msg=listening admin=" + admin.URL + ` paths="/livez /readyz"`)
		fmt.Printf("level=INFO msg=certificate certificate=\"self-signed\" pin=%064x\n", 7)
		if wrong == "unready" {
			return 1
		}
	case args[0] == "-bot" && strings.HasSuffix(strings.Join(args, " "), fmt.Sprintf(" -addr 127.0.0.1:8 -pin %064x", 7)):
		fmt.Println("rtt 0.40 ms  30.0 snapshots/s  and so on")
		snapshots, chat := 30, 3
		switch {
		case wrong == "early":
			return 0
		case wrong == "blind" && args[2] == "bot-2":
			snapshots = 0
		case wrong == "deaf":
			chat = 0
		}
		defer fmt.Printf("total snapshots=%d chat=%d score=1\n", snapshots, chat)
	default:
		fmt.Fprintln(os.Stderr, "unexpected:", args, os.Getenv("STRAIT_UPSTREAM"))
		return 9
	}
	<-asked
	return status
}

// demo runs programs that do something wrong, or nothing.
func demo(t *testing.T, ctx context.Context, wrong string, args ...string) (status int, out string) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	t.Setenv(asProgram, wrong)
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	var b bytes.Buffer
	w := &shared{w: &b}
	status = run(ctx, append([]string{"-strait", exe, "-server", exe, "-player", exe}, args...), w, w)
	return status, b.String()
}

func TestADemoThatGoesWell(t *testing.T) {
	status, out := demo(t, t.Context(), "nothing", "-for", "50ms")
	assert.Zero(t, status, out)
	assert.Contains(t, out, fmt.Sprintf("go run ./examples/arena/player -addr 127.0.0.1:8 -pin %064x", 7))
	assert.Contains(t, out, "bot-2   | total")
	assert.Contains(t, out, "bot-1 received 30 snapshots and 3 lines of chat")
}

func TestCtrlCEndsItInOrder(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	exe, err := os.Executable()
	require.NoError(t, err)
	t.Setenv(asProgram, "nothing")
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	seen := &until{text: "To join", call: cancel}
	assert.Zero(t, run(ctx, []string{"-strait", exe, "-server", exe, "-player", exe}, seen, seen))
	cancel()
}

// until calls once when it has been written a text.
type until struct {
	text string
	call func()
}

func (u *until) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(u.text)) {
		u.call()
	}
	return len(b), nil
}

func TestWhatGoesWrongIsSaid(t *testing.T) {
	for wrong, says := range map[string]string{
		"deaf":    "bot-1 received 30 snapshots and 0 lines of chat; it should be",
		"blind":   "bot-2 received 0 snapshots and 3 lines of chat; it should be",
		"status":  "arena: exit status 5",
		"early":   "a process ended before it was asked to",
		"unready": "gateway was never ready",
	} {
		t.Run(wrong, func(t *testing.T) {
			duration := "50ms"
			if wrong == "early" {
				duration = "1m" // it does not take so long
			}
			status, out := demo(t, t.Context(), wrong, "-for", duration)
			assert.Equal(t, 1, status)
			assert.Contains(t, out, says)
		})
	}
}

func TestCommandLine(t *testing.T) {
	var out bytes.Buffer
	assert.Equal(t, 2, run(t.Context(), []string{"here"}, &out, &out))
	assert.Equal(t, 2, run(t.Context(), []string{"-for", "-1s"}, &out, &out))
	assert.Equal(t, 2, run(t.Context(), []string{"-fly"}, &out, &out))
	assert.Equal(t, 0, run(t.Context(), []string{"-h"}, &out, &out))
	out.Reset()
	assert.Equal(t, 1, run(t.Context(), []string{"-strait", "x", "-player", "x", "-server", "/nonexistent"}, &out, &out))
	assert.Contains(t, out.String(), "/nonexistent")
}
