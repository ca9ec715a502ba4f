package grid_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/compare/grid"
	"strait/compare/lab"
	"strait/compare/scenario"
)

// childMode makes the test binary one end of a run.
const childMode = "STRAIT_GRID_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childMode) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := grid.Child(ctx, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m,
		// kcp-go's schedulers, of the process.
		goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).sched"),
		goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).prepend"))
}

func program() *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childMode+"=1")
	return cmd
}

// loopback is a comparison that needs no rights and no quiet machine.
func loopback(t *testing.T, names ...string) grid.Config {
	t.Helper()
	return grid.Unjudged(grid.Config{
		Scenarios: []grid.Network{{Scenario: scenario.Scenario{Name: "loopback"}}}, Transports: transports(t, names...), Loopback: true,
		Repetitions: 1, Measured: time.Second, WarmUp: 300 * time.Millisecond, Settle: 100 * time.Millisecond,
		Program: program,
	})
}

// needsLab skips where no lab can be made or the machine is not there for it.
// brief is a run in a lab as short as loopback's.
func brief(t *testing.T, names ...string) grid.Config {
	t.Helper()
	c := loopback(t, names...)
	c.Scenarios, c.Loopback = []grid.Network{network(t, "lan")}, false
	return c
}

// mayMakeLabs skips where no lab can be made.
func mayMakeLabs(t *testing.T) {
	t.Helper()
	if os.Getenv("STRAIT_TEST_OUTSIDE") == "1" {
		require.NoError(t, lab.Check())
	}
	if err := lab.Check(); err != nil {
		t.Skip(err)
	}
}

func needsLab(t *testing.T) {
	t.Helper()
	if os.Getenv("STRAIT_TEST_OUTSIDE") != "1" {
		t.Skip("measures time on real network stacks: set STRAIT_TEST_OUTSIDE=1")
	}
	require.NoError(t, lab.Check())
}

// leftovers are what a comparison makes: children of this process, and the network
// namespaces and TUN devices that it holds. Nobody else does, so that they end with the
// children and with what is closed here.
type leftovers struct {
	children   []int
	namespaces []string
	devices    int
}

func look(t *testing.T) (l leftovers) {
	t.Helper()
	l.children = children(t, os.Getpid())
	for _, pattern := range []string{"/proc/self/task/*/ns/net", "/proc/self/fd/*"} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			target, err := os.Readlink(path)
			switch {
			case err != nil:
			case target == "/dev/net/tun":
				l.devices++
			case strings.HasPrefix(target, "net:["):
				l.namespaces = append(l.namespaces, target)
			}
		}
	}
	slices.Sort(l.namespaces)
	l.namespaces = slices.Compact(l.namespaces)
	return l
}

// children are the processes whose parent is pid, those that have ended apart.
func children(t *testing.T, pid int) (out []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// pid (name) state ppid: the name may hold anything.
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if parent, err := strconv.Atoi(fields[1]); err == nil && parent == pid && fields[0] != "Z" {
			one, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			require.NoError(t, err)
			out = append(out, one)
		}
	}
	return out
}

// leavesNothing compares what is there with what was; the kernel may take a moment.
func leavesNothing(t *testing.T, before leftovers) {
	t.Helper()
	require.Eventually(t, func() bool { return equal(before, look(t)) }, 5*time.Second, 20*time.Millisecond, "left behind: %+v, before: %+v", look(t), before)
}

func equal(a, b leftovers) bool {
	return slices.Equal(a.children, b.children) && slices.Equal(a.namespaces, b.namespaces) && a.devices == b.devices
}
