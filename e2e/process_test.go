package e2e

import (
	"bufio"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// process is one run of the gateway's binary.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	stderr journal[string] // lines
	stdout strings.Builder // to be read after exited
	exited chan struct{}

	// known of a process that serves
	addr  string // where players connect
	admin string // "http://host:port"
	pin   []byte // SHA-256 of the certificate, as logged
	ended bool   // the test itself awaited its end
}

var (
	listening      = regexp.MustCompile(`msg=listening transport=tcp address=(\S+)`)
	listeningAdmin = regexp.MustCompile(`msg=listening admin=(http://\S+)`)
	pinned         = regexp.MustCompile(`msg=certificate .*pin=([0-9a-f]{64})`)
	// dying is what a Go process writes that must never be seen.
	dying = regexp.MustCompile(`DATA RACE|^panic:|^fatal error:|^unexpected fault|goroutine \d+ \[running\]`)
)

// environment is what a child gets: nothing of this process's but what running
// needs, then the test's own settings, of which the last one counts.
func environment(env []string) []string {
	base := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"),
		"STRAIT_TCP_ADDR=127.0.0.1:0", "STRAIT_ADMIN_ADDR=127.0.0.1:0",
		"STRAIT_UDP_ADDR=off", "STRAIT_QUIC_ADDR=off",
		"STRAIT_MAX_SESSIONS=4000", "STRAIT_DRAIN_TIMEOUT=100ms",
	}
	return append(base, env...)
}

// launch starts "strait args..."; its end is awaited by the test.
func launch(t testing.TB, args []string, env ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(underTest, args...), exited: make(chan struct{})}
	p.cmd.Env = environment(env)
	p.cmd.Stdout = &p.stdout
	pipe, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go p.collect(pipe)
	t.Cleanup(p.cleanup)
	return p
}

func (p *process) collect(pipe io.Reader) {
	lines := bufio.NewScanner(pipe)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.stderr.add(lines.Text())
	}
	_ = p.cmd.Wait() // how it ended is in ProcessState
	close(p.exited)
}

// serve starts a gateway and returns when it listens.
func serve(t testing.TB, env ...string) *process {
	t.Helper()
	p := launch(t, []string{"serve"}, onePort(t, env)...)
	p.addr = p.capture("the log line of the players' address", listening)
	p.admin = p.capture("the log line of the admin address", listeningAdmin)
	var err error
	p.pin, err = hex.DecodeString(p.capture("the log line of the certificate", pinned))
	require.NoError(t, err)
	return p
}

// onBothPaths runs f with the setting for event loops, where the system has them,
// and with the one for the portable path; in short mode only with the default.
func onBothPaths(t *testing.T, f func(t *testing.T, path string)) {
	t.Parallel()
	t.Run("loop", func(t *testing.T) {
		t.Parallel()
		f(t, "STRAIT_TCP_LOOP=on")
	})
	if testing.Short() {
		return
	}
	t.Run("portable", func(t *testing.T) {
		t.Parallel()
		f(t, "STRAIT_TCP_LOOP=off")
	})
}

// capture awaits a line of the log and returns its first group.
func (p *process) capture(what string, re *regexp.Regexp) string {
	p.t.Helper()
	return re.FindStringSubmatch(p.logged(what, re.MatchString))[1]
}

// logged awaits a line of the log, or fails with the log once the process ended.
func (p *process) logged(what string, match func(string) bool) string {
	p.t.Helper()
	return p.stderr.await(p.t, what, match)
}

// signal sends sig to the process.
func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(sig))
}

// wait returns the exit status of a process that is about to end.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		require.FailNow(p.t, "the process does not end")
	}
	p.ended = true
	return p.cmd.ProcessState.ExitCode()
}

// log is everything written to standard error so far.
func (p *process) log() string { return strings.Join(p.stderr.all(), "\n") }

// cleanup ends a process that still runs, and judges what it wrote.
func (p *process) cleanup() {
	if !p.ended {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.exited:
			assert.Equal(p.t, 0, p.cmd.ProcessState.ExitCode(), "exit status after SIGTERM")
		case <-time.After(patience):
			assert.Fail(p.t, "SIGTERM did not end the gateway")
			_ = p.cmd.Process.Signal(syscall.SIGQUIT)
			<-p.exited
		}
	}
	for _, line := range p.stderr.all() {
		if dying.MatchString(line) {
			assert.Fail(p.t, "the gateway reports a race or a crash: "+line)
			break
		}
	}
	if p.t.Failed() {
		p.t.Logf("log of the gateway:\n%s", tail(p.log(), 20000))
	}
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}
