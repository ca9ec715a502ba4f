package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"strait/compare/grid"
	"strait/compare/lab"
	"strait/compare/measure"
	"strait/compare/report"
)

// asStrait makes the test binary the command, withoutRights one that root has no rights
// in, and onFullDisk one that finds a folder on a full disk: "at first" or "later", and
// which.
const (
	asStrait      = "STRAIT_TEST_AS_STRAIT"
	withoutRights = "STRAIT_TEST_WITHOUT_RIGHTS"
	onFullDisk    = "STRAIT_TEST_ON_FULL_DISK"
)

func TestMain(m *testing.M) {
	if os.Getenv(withoutRights) != "" {
		runtime.LockOSThread()
		for c := uintptr(0); unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0) == nil; c++ {
		}
		env := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, withoutRights) })
		panic(syscall.Exec("/proc/self/exe", os.Args, env))
	}
	if when, dir, ok := strings.Cut(os.Getenv(onFullDisk), " in "); ok {
		code, err := runOnFullDisk(when, dir)
		if err != nil {
			fmt.Fprintln(os.Stderr, "test:", err)
			code = 3
		}
		os.Exit(code)
	}
	// Children of a comparison inherit the environment.
	if os.Getenv(asStrait) != "" || slices.Equal(os.Args[1:], []string{"compare", "--child"}) {
		os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// strait is the command in a process of its own.
func strait(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), asStrait+"=1")
	return cmd
}

// quick is a comparison that needs no rights.
func quick(more ...string) []string {
	return append([]string{"compare", "--no-impairment", "-t", "tcp,kcp", "-r", "1", "--seconds", "1", "--warm-up", "300ms", "--settle", "100ms"}, more...)
}

// compareHere runs the command in this process and returns its status.
func compareHere(args ...string) (code int, out, errOut string) {
	var o, e bytes.Buffer
	code = run(args, os.Environ(), &o, &e)
	return code, o.String(), e.String()
}

func TestCompareRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mine.txt")
	require.NoError(t, os.WriteFile(file, []byte("delay = 10ms\nloss = 120%\nname = mine\n"), 0o600))
	for want, args := range map[string][]string{
		`there is no scenario "4gg"; did you mean 4g?`:                                         {"-s", "4gg"},
		`there is no scenario "wifi"; did you mean wifi-`:                                      {"-s", "wifi"},
		`there is no transport "quick"; did you mean quic?`:                                    {"-t", "quick"},
		`--set:1: up.loss is 120%: a share of packets is from 0% to 100%`:                      {"--set", "loss=120%"},
		`--set:1: up.delay is -5ms: it is from 0s to 10s`:                                      {"--set", "up.delay=-5ms"},
		`--set:1: delay: "fast" is no time`:                                                    {"--set", "delay=fast"},
		`--set:1: dleay: there is no such setting; did you mean delay?`:                        {"--set", "dleay=1ms"},
		file + `:2: up.loss is 120%`:                                                           {"--file", file},
		`--file: open `:                                                                        {"--file", filepath.Join(dir, "no such file")},
		`there is no scenario "4f"; did you mean 4g?`:                                          {"--set", "base=4f"},
		`--upload: there is no scenario "fibre"; did you mean fiber?`:                          {"--upload", "fibre"},
		`scenario 4g is there twice`:                                                           {"-s", "4g,4g"},
		`--repetitions: it has to be at least 1`:                                               {"--repetitions=-1"},
		`--seconds: it has to be at least 1`:                                                   {"--seconds=-3"},
		`--players: it has to be at least 1`:                                                   {"--players", "0"},
		`players: 1000 is not from 1 to 200`:                                                   {"--players", "1000"},
		`--no-impairment: without an impaired link there are no scenarios`:                     {"--no-impairment", "-s", "4g"},
		`congestion control bbr: without impairment it is the machine's`:                       {"--no-impairment", "--congestion-control", "bbr"},
		`--html: ` + filepath.Join(dir, "no", "r.html") + ` cannot be written`:                 {"--html", filepath.Join(dir, "no", "r.html")},
		`--json: ` + dir + ` is no regular file`:                                               {"--json", dir},
		`--markdown: /dev/null is no regular file; give the name of one, or of one to be made`: {"--markdown", "/dev/null"},
	} {
		code, out, errOut := compareHere(append([]string{"compare"}, args...)...)
		assert.Equal(t, 1, code, args)
		assert.Empty(t, out)
		assert.Contains(t, errOut, want)
		for line := range strings.Lines(errOut) {
			assert.True(t, strings.HasPrefix(line, "strait: "), line)
		}
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing is left behind")
}

// The help tells the values that stand elsewhere.
func TestCompareHelp(t *testing.T) {
	_, help, _ := compareHere("compare", "--help")
	flat := strings.Join(strings.Fields(help), " ")
	for _, want := range []string{
		"Repetitions of each (5; 10 with --full)", "Seconds of each run that count (6; 20 with --full)", "Runs side by side (4 for each processor)", "on both sides (cubic)",
		"satellite-geo", "quic-one-stream",
	} {
		assert.Contains(t, flat, want)
	}
	assert.Equal(t, 5, grid.DefaultRepetitions)
	assert.Equal(t, 6*time.Second, grid.DefaultMeasured)
	assert.Equal(t, 4, grid.DefaultParallel)
	assert.Equal(t, "cubic", grid.DefaultCongestionControl)
	assert.NotContains(t, help, "--child")
}

// What is compared without flags takes about five minutes, with --full all there is.
func TestCompareSets(t *testing.T) {
	config, err := (&compareCmd{Players: 1, Uploads: []string{"cable-bufferbloat"}}).config()
	require.NoError(t, err)
	require.NoError(t, config.Validate())
	config.Parallel = 8 // that of two cores
	assert.InDelta(t, 5, config.Lasts().Minutes(), 1)
	for _, n := range config.Scenarios {
		assert.Equal(t, n.Name == "cable-bufferbloat", n.Upload, n.Name)
	}
	config, err = (&compareCmd{Players: 1, Full: true}).config()
	require.NoError(t, err)
	require.NoError(t, config.Validate())
	assert.Len(t, config.Scenarios, 13)
	assert.Len(t, config.Transports, 8)
	assert.Equal(t, 10, config.Repetitions)
	config, err = (&compareCmd{Players: 1, Full: true, Scenarios: []string{"4g"}, Repetitions: 1, Set: []string{"base=3g", "name=mine", "loss=2%"}}).config()
	require.NoError(t, err)
	assert.Equal(t, "mine", config.Scenarios[1].Name)
	assert.Equal(t, 0.02, config.Scenarios[1].Link.Up.Loss)
	assert.Equal(t, 1, config.Repetitions)
	config, err = (&compareCmd{Players: 1, Set: []string{"delay=10ms"}}).config()
	require.NoError(t, err)
	require.Len(t, config.Scenarios, 1)
	assert.Equal(t, "own", config.Scenarios[0].Name)
}

func TestCompareOnLoopback(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	code, out, errOut := compareHere(quick("--json", file("r.json"), "--html", file("r.html"), "--markdown", file("r.md"))...)
	if code == 1 {
		skipIfBusy(t, errOut)
	}
	require.Zero(t, code, errOut)
	assert.Contains(t, out, "Recommendation")
	assert.Contains(t, out, "kcp")
	assert.Regexp(t, `(?m)^scenarios: 1, transports: 2, about \ds$`, errOut)
	assert.Regexp(t, `(?m)^2 of \d  loopback, (tcp|kcp), repetition 1.*  \ds left$`, errOut)
	f, err := os.Open(file("r.json"))
	require.NoError(t, err)
	defer f.Close()
	r, err := report.Parse(f)
	require.NoError(t, err)
	assert.Len(t, r.Runs, 2)
	assert.Equal(t, "strait", r.Environment.Programs[0].Name)
	html, err := os.ReadFile(file("r.html"))
	require.NoError(t, err)
	assert.Contains(t, string(html), "</html>")
	for _, name := range []string{"r.md", "r/heat.svg"} {
		assert.FileExists(t, file(name))
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 4)
}

// runOnFullDisk is the command in a mount namespace where dir is a small disk, which is
// full at first, or as soon as the run has begun. It prints what is left in dir.
func runOnFullDisk(when, dir string) (code int, err error) {
	runtime.LockOSThread() // which the child is forked from
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return 0, err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return 0, err
	}
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
		return 0, err
	}
	fill := func() error {
		err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 2<<20), 0o600)
		if !errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("the disk is not full: %v", err)
		}
		return nil
	}
	if when == "at first" {
		err = fill()
	}
	cmd := strait(os.Args[1:]...)
	cmd.Env = slices.DeleteFunc(cmd.Env, func(s string) bool { return strings.HasPrefix(s, onFullDisk) })
	cmd.Stdout = os.Stdout
	said, pipeErr := cmd.StderrPipe()
	if err = errors.Join(err, pipeErr, cmd.Start()); err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(said); lines.Scan(); {
		fmt.Fprintln(os.Stderr, lines.Text())
		if when == "later" && strings.HasPrefix(lines.Text(), "scenarios: ") {
			err = errors.Join(err, fill())
		}
	}
	_ = cmd.Wait()
	entries, readErr := os.ReadDir(dir)
	for _, e := range entries {
		fmt.Println("left:", e.Name())
	}
	return cmd.ProcessState.ExitCode(), errors.Join(err, readErr)
}

// A disk that is full is told before the run, one that fills up meanwhile behind the
// figures, which are not lost. Neither keeps half a report.
func TestCompareOnADiskWithoutRoom(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may mount a disk")
	}
	for when, want := range map[string]string{
		"at first": "strait: --json: %s cannot be written: ",
		"later":    "strait: report %s was not written: ",
	} {
		t.Run(when, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "r.json")
			cmd := strait(quick("--json", file, "--html", filepath.Join(dir, "r.html"))...)
			cmd.Env = append(cmd.Env, onFullDisk+"="+when+" in "+dir)
			var out, errOut bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errOut
			require.Error(t, cmd.Run())
			skipIfBusy(t, errOut.String())
			assert.Equal(t, 1, cmd.ProcessState.ExitCode(), errOut.String())
			assert.Contains(t, errOut.String(), fmt.Sprintf(want, file))
			assert.Contains(t, errOut.String(), "no space left on device")
			assert.Equal(t, when == "later", strings.Contains(out.String(), "Recommendation"), "the figures")
			assert.Equal(t, 1, strings.Count(out.String(), "left: "))
			assert.Contains(t, out.String(), "left: filler\n")
		})
	}
}

// skipIfBusy ends a test on loopback where no run counted because of what else runs on
// the machine.
func skipIfBusy(t *testing.T, errOut string) {
	t.Helper()
	busy := strings.Contains(errOut, "saturated") || strings.Contains(errOut, "behind their own schedule")
	if busy && os.Getenv("STRAIT_TEST_OUTSIDE") != "1" {
		t.Skip("this machine is too busy for any run to count")
	}
}

// A report that finds no room is told before the run, and leaves nothing.
func TestCompareOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	// The limit on the size of files stands in for the disk.
	cmd := exec.Command("sh", "-c", `ulimit -f 20; exec "$@"`, "sh", "/proc/"+pid()+"/exe")
	cmd.Args = append(cmd.Args, quick("--html", filepath.Join(dir, "r.html"))...)
	cmd.Env = append(os.Environ(), asStrait+"=1")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, 1, cmd.ProcessState.ExitCode())
	assert.Contains(t, string(out), "strait: --html: "+dir+"/r.html cannot be written: ")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func pid() string {
	link, err := os.Readlink("/proc/self")
	if err != nil {
		return "self"
	}
	return link
}

// Without rights the error says what would help.
func TestCompareWithoutRights(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("root has rights to give up")
	}
	cmd := strait("compare")
	cmd.Env = append(cmd.Env, withoutRights+"=1")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, 1, cmd.ProcessState.ExitCode())
	assert.Regexp(t, `^strait: making .*: operation not permitted; .*; or compare without impaired links: --no-impairment\n$`, string(out))
}

// busy starts a long comparison and returns when its children run.
func busy(t *testing.T, args ...string) (cmd *exec.Cmd, out, errOut *bytes.Buffer) {
	t.Helper()
	cmd, out, errOut = strait(args...), new(bytes.Buffer), new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, errOut
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { return len(ends(cmd.Process.Pid)) >= 2 }, 20*time.Second, 10*time.Millisecond)
	return cmd, out, errOut
}

// ends are the processes that are one end of a run of the comparison; 0 is any.
func ends(parent int) (out []string) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range lines {
		b, err := os.ReadFile(name)
		if err != nil || !bytes.HasSuffix(b, []byte("\x00compare\x00--child\x00")) {
			continue
		}
		if parent != 0 {
			status, err := os.ReadFile(filepath.Join(filepath.Dir(name), "status"))
			if err != nil || !regexp.MustCompile(`(?m)^PPid:\s+`+itoa(parent)+`$`).Match(status) {
				continue
			}
		}
		out = append(out, filepath.Dir(name))
	}
	return out
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// namespaces are the network namespaces that processes are in, by their folders in
// /proc, but for this one's.
func namespaces(t *testing.T, of []string) (out []string) {
	t.Helper()
	mine, err := os.Readlink("/proc/self/ns/net")
	require.NoError(t, err)
	for _, p := range of {
		if ident, err := os.Readlink(filepath.Join(p, "ns/net")); err == nil && ident != mine {
			out = append(out, ident)
		}
	}
	return out
}

// held reports whether a process is in one of the namespaces, or has it open. A TUN
// device ends with its namespace.
func held(idents []string) bool {
	for _, pattern := range []string{"/proc/[0-9]*/task/*/ns/net", "/proc/[0-9]*/fd/*"} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			if target, err := os.Readlink(path); err == nil && slices.Contains(idents, target) {
				return true
			}
		}
	}
	return false
}

// Ctrl-C, and even SIGKILL, leave nothing behind: no children, namespaces or devices,
// and no files.
func TestCompareInterrupted(t *testing.T) {
	args := []string{"compare", "--no-impairment", "-t", "tcp,kcp", "--seconds", "30"}
	inLabs := os.Getenv("STRAIT_TEST_OUTSIDE") == "1"
	if inLabs {
		require.NoError(t, lab.Check())
		args = []string{"compare", "-s", "lan,4g", "-t", "tcp,kcp", "--seconds", "30"}
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			signal.Reset(sig)
			dir := t.TempDir()
			cmd, out, errOut := busy(t, append(args, "--html", filepath.Join(dir, "r.html"), "--json", filepath.Join(dir, "r.json"))...)
			mine := ends(cmd.Process.Pid)
			idents := namespaces(t, mine)
			assert.Equal(t, inLabs, len(idents) > 0)
			require.NoError(t, cmd.Process.Signal(sig))
			var exit *exec.ExitError
			require.True(t, errors.As(cmd.Wait(), &exit))
			if sig != syscall.SIGKILL {
				assert.Equal(t, 1, exit.ExitCode())
				assert.Contains(t, errOut.String(), "strait: interrupted before a run counted\n")
			}
			assert.Empty(t, out.String())
			require.Eventually(t, func() bool {
				return !slices.ContainsFunc(ends(0), func(p string) bool { return slices.Contains(mine, p) }) && !held(idents)
			}, 5*time.Second, 20*time.Millisecond)
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			assert.Empty(t, entries)
		})
	}
}

// A small comparison from end to end. What it leaves behind package grid's tests count.
func TestCompareInLabs(t *testing.T) {
	if os.Getenv("STRAIT_TEST_OUTSIDE") != "1" {
		t.Skip("measures time on real network stacks: set STRAIT_TEST_OUTSIDE=1")
	}
	require.NoError(t, lab.Check())
	dir := t.TempDir()
	cmd := strait("compare", "-s", "4g,wifi-bad", "-t", "tcp,quic,websocket", "-r", "1", "--seconds", "3", "-p", "2",
		"--json", filepath.Join(dir, "r.json"), "--html", filepath.Join(dir, "r.html"))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	f, err := os.Open(filepath.Join(dir, "r.json"))
	require.NoError(t, err)
	defer f.Close()
	r, err := report.Parse(f)
	require.NoError(t, err)
	require.Len(t, r.Runs, 6)
	require.Len(t, r.Cells, 6)
	for _, c := range r.Cells {
		assert.True(t, c.Works(), "%s in %s", c.Transport, c.Scenario)
		assert.Positive(t, c.Estimates[measure.WireRatio].Mean)
	}
	assert.FileExists(t, filepath.Join(dir, "r.html"))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 2)
}
