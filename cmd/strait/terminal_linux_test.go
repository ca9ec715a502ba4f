package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"strait/client/clienttest"
)

// terminal is one with nobody before it, and what was written to it.
type terminal struct {
	tty    *os.File
	master *os.File
	wrote  bytes.Buffer
	read   sync.WaitGroup
}

func newTerminal(t *testing.T, columns uint16) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = master.Close() })
	fd := int(master.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: columns}))
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tty.Close() })
	v := &terminal{tty: tty, master: master}
	// Reading fails when nobody has the other end open any more.
	v.read.Go(func() { _, _ = v.wrote.ReadFrom(master) })
	return v
}

// text is all that was written, once whoever had it is done.
func (v *terminal) text() string {
	_ = v.tty.Close()
	v.read.Wait()
	return v.wrote.String()
}

// redrawn is what moves a terminal's cursor back to the line that is written anew.
const redrawn = "\x1b["

// lines is how many lines of text stay: the cursor goes back over the others.
func lines(t *testing.T, text string) int {
	t.Helper()
	n := strings.Count(text, "\n")
	for _, up := range regexp.MustCompile(`\x1b\[(\d+)A`).FindAllStringSubmatch(text, -1) {
		back, err := strconv.Atoi(up[1])
		require.NoError(t, err)
		n -= back
	}
	return n
}

// lastMatch is what of text a pattern matches last.
func lastMatch(t *testing.T, text, pattern string) string {
	t.Helper()
	all := regexp.MustCompile(pattern).FindAllString(text, -1)
	require.NotEmpty(t, all, "%s in:\n%s", pattern, text)
	return all[len(all)-1]
}

// On a terminal the figures of a load are drawn anew in their place while it runs, and no
// line is added for each second; in a pipe it is a line a second, without a control
// character.
func TestSwarmOnATerminalAndInAPipe(t *testing.T) {
	g := pingGateway(t, clienttest.Config{})
	args := []string{"swarm", g.Addr(), "--pin", g.Pin(), "-c", "3", "-d", "2500ms", "--ramp", "5ms", "--input-rate", "20", "--chat-rate", "5", "--transport", "tcp"}

	v := newTerminal(t, 120)
	var out bytes.Buffer
	require.Zero(t, run(args, os.Environ(), &out, v.tty))
	text := v.text()
	assert.Contains(t, text, redrawn)
	assert.Equal(t, "3 of 3 clients", lastMatch(t, text, `\d+ of 3 clients`))
	figures := regexp.MustCompile(`loading .*3 live  up (\d+)/s  back (\d+)/s  inputs p50 [\d.]+ p99 [\d.]+ ms`).FindAllString(text, -1)
	require.GreaterOrEqual(t, len(figures), 2, "live figures, drawn anew:\n%q", text)
	assert.Equal(t, 2, lines(t, text), "two bars, drawn in their place: %q", text)
	assert.NotContains(t, out.String(), redrawn, "the table is elsewhere")
	assert.Contains(t, out.String(), "inputs")

	v = newTerminal(t, 0)
	require.Zero(t, run(args, os.Environ(), &out, v.tty))
	text = v.text()
	assert.Regexp(t, `(?m)^ +1s of 2\.5s  3 live`, text, "no bar fits in no columns")
	assert.NotContains(t, text, redrawn)

	out.Reset()
	var pipe bytes.Buffer
	require.Zero(t, run(args, os.Environ(), &out, &pipe))
	assert.NotContains(t, pipe.String(), "\x1b")
	assert.NotContains(t, pipe.String(), "\r")
	assert.Regexp(t, `(?m)^ +1s of 2\.5s  3 live  up \d+/s  back \d+/s  inputs p50 `, pipe.String())
	assert.Regexp(t, `(?m)^ +2s of 2\.5s  3 live`, pipe.String())
}

// A comparison draws how many runs are done and which are under way; in a pipe each that
// ends is a line.
func TestCompareOnATerminalAndInAPipe(t *testing.T) {
	html := filepath.Join(t.TempDir(), "report.html")
	v := newTerminal(t, 120)
	var out bytes.Buffer
	code := run(quick("--html", html), os.Environ(), &out, v.tty)
	text := v.text()
	// A busy machine spoils runs: then they are repeated, and the status is 1.
	assert.LessOrEqual(t, code, 1, text)
	assert.Contains(t, text, redrawn)
	assert.Contains(t, text, "scenarios: 1, transports: 2, about ")
	assert.Contains(t, text, "0 of 2 runs")
	assert.Regexp(t, `\ds left  loopback, (tcp|kcp), repetition 1( and 1 more)?`, text)
	last := lastMatch(t, text, `\d+ of \d+ runs`)
	var done, total int
	_, err := fmt.Sscanf(last, "%d of %d runs", &done, &total)
	require.NoError(t, err)
	assert.Equal(t, total, done, "what was drawn last")
	assert.GreaterOrEqual(t, done, 2)
	shown, _, _ := strings.Cut(text, "strait: ") // how it ended
	assert.Equal(t, 2+strings.Count(shown, "does not count"), lines(t, shown), "one bar, drawn in its place, below what is to be known: %q", text)

	// The same by a user whose output goes to a file.
	file, err := os.Create(filepath.Join(t.TempDir(), "errors"))
	require.NoError(t, err)
	defer file.Close()
	cmd := strait(quick()...)
	cmd.Stderr = file
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil {
		require.ErrorAs(t, err, &exit)
	}
	b, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	assert.NotContains(t, string(b), "\x1b")
	assert.Regexp(t, `(?m)^1 of \d+  loopback, (tcp|kcp), repetition 1.*  \d+s left$`, string(b))
	assert.Regexp(t, `(?m)^2 of \d+  loopback, (tcp|kcp), repetition 1.*  \d+s left$`, string(b))
}
