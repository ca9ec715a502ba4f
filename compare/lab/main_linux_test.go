package lab_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/compare/lab"
	"strait/compare/link"
)

// childMode makes the test binary one of the programs below.
const childMode = "STRAIT_LAB_TEST_CHILD"

var children = map[string]func() error{
	// echo answers UDP on its first address.
	"echo": func() error {
		conn, err := net.ListenPacket("udp", os.Getenv("STRAIT_LAB_TEST_ADDR"))
		if err != nil {
			return err
		}
		fmt.Println("ready")
		b := make([]byte, 2000)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return err
			}
			if _, err := conn.WriteTo(b[:n], from); err != nil {
				return err
			}
		}
	},
	// stubborn does not end when asked, and has a child that has left its group.
	"stubborn": func() error {
		signal.Ignore(syscall.SIGTERM)
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), childMode+"=wait")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			return err
		}
		fmt.Println("ready", cmd.Process.Pid)
		select {}
	},
	"wait": func() error {
		fmt.Println("ready")
		time.Sleep(time.Hour)
		return nil
	},
	// lab makes a lab with a program in it and never closes it.
	"lab": func() error {
		l, err := lab.New(context.Background(), lab.Config{})
		if err != nil {
			return err
		}
		ids, err := idents(l)
		if err != nil {
			return err
		}
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), childMode+"=wait")
		p, err := l.Start(lab.Client, cmd)
		if err != nil {
			return err
		}
		fmt.Println("ready", p.PID(), ids[0], ids[1])
		select {}
	},
	// unprivileged makes a lab in a user namespace.
	"unprivileged": func() error {
		err := lab.Check()
		var access *lab.AccessError
		if errors.As(err, &access) && access.UserNamespace {
			code, err := lab.Reexec(context.Background())
			if err == nil && code != 0 {
				err = fmt.Errorf("exit code %d", code)
			}
			return err
		}
		if err != nil {
			return err
		}
		l, err := lab.New(context.Background(), lab.Config{Link: link.Config{Up: link.Settings{Delay: 10 * time.Millisecond}}})
		if err != nil {
			return err
		}
		defer l.Close()
		fmt.Println("ready", os.Geteuid())
		return nil
	},
}

func TestMain(m *testing.M) {
	if run := children[os.Getenv(childMode)]; run != nil {
		if err := run(); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// outside tells that what a test needs must be there: root, and a machine that is
// quiet enough to measure on.
var outside = os.Getenv("STRAIT_TEST_OUTSIDE") == "1"

// needsLab skips where no lab can be made.
func needsLab(t *testing.T) {
	t.Helper()
	if err := lab.Check(); err != nil {
		if outside {
			require.NoError(t, err)
		}
		t.Skip(err)
	}
}

// needsQuiet skips what measures time.
func needsQuiet(t *testing.T) {
	t.Helper()
	if !outside {
		t.Skip("measures time on real network stacks: set STRAIT_TEST_OUTSIDE=1")
	}
	needsLab(t)
}

func newLab(t testing.TB, c lab.Config) *lab.Lab {
	t.Helper()
	l, err := lab.New(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// child returns one of the programs above.
func child(mode string, env ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(append(os.Environ(), childMode+"="+mode), env...)
	return cmd
}

// startChild starts one on a side and returns the words behind its ready.
func startChild(t testing.TB, l *lab.Lab, side lab.Side, cmd *exec.Cmd) (*lab.Process, []string) {
	t.Helper()
	out, in, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdout = in
	p, err := l.Start(side, cmd)
	require.NoError(t, in.Close())
	require.NoError(t, err)
	words := awaitReady(t, out)
	require.NoError(t, out.Close())
	return p, words
}

func awaitReady(t testing.TB, out *os.File) []string {
	t.Helper()
	require.NoError(t, out.SetReadDeadline(time.Now().Add(patience)))
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	words := strings.Fields(line)
	require.Equal(t, "ready", words[0], line)
	return words[1:]
}

// idents returns the two namespaces as /proc names them.
func idents(l *lab.Lab) (ids [2]string, err error) {
	for _, side := range []lab.Side{lab.Client, lab.Gateway} {
		err = errors.Join(err, l.Do(side, func() (err error) {
			ids[side], err = os.Readlink("/proc/thread-self/ns/net")
			return err
		}))
	}
	return ids, err
}

// holders returns who on this machine holds a namespace: threads that are in it and
// descriptors that are open to it.
func holders(ids [2]string) (out []string) {
	for _, pattern := range []string{"/proc/[0-9]*/task/*/ns/net", "/proc/[0-9]*/fd/*"} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			if target, err := os.Readlink(path); err == nil && (target == ids[0] || target == ids[1]) {
				out = append(out, path)
			}
		}
	}
	return out
}

// tuns returns how many TUN devices processes hold; none is persistent, so that there
// are no others. pids are those to look at, by their folder in /proc.
func tuns(pids ...string) (n int) {
	for _, pid := range pids {
		paths, _ := filepath.Glob("/proc/" + pid + "/fd/*")
		for _, path := range paths {
			if target, err := os.Readlink(path); err == nil && target == "/dev/net/tun" {
				n++
			}
		}
	}
	return n
}

func alive(pid string) bool {
	// What has ended and is not reaped has no memory and no folder of descriptors.
	_, err := os.Readlink("/proc/" + pid + "/exe")
	return err == nil
}

// patience is how long what must happen may take.
const patience = 20 * time.Second

// eventually is for what the kernel does on its own account after a process's end.
func eventually(t testing.TB, f func() bool, what string) {
	t.Helper()
	require.Eventually(t, f, patience, 10*time.Millisecond, what)
}
