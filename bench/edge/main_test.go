//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/bench/edge/echo"
	"strait/bench/edge/proc"
	"strait/bench/edge/report"
	"strait/bench/edge/stack"
)

// TestMain is the echo process, too: the harness starts its own program as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == echoCommand {
		if err := echo.Main(echo.Kind(os.Args[2]), os.Args[3], os.Stdin, os.Stdout, os.Stderr); err != nil {
			panic(err)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// short is a comparison of a second or so for each target.
var short = []string{
	"-seconds", "0.3", "-warmup", "0.1", "-reps", "1", "-clients", "8", "-rate", "400", "-many", "16",
	"-idle", "40", "-settle", "20ms", "-max-message", "20000", "-handshakes", "0.2",
}

// compareTo runs a comparison and checks that nothing is left of it.
func compareTo(t *testing.T, args ...string) *result {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	var out, progress bytes.Buffer
	require.NoError(t, run(t.Context(), append(append([]string{"-json"}, short...), args...), &out, &progress), progress.String())
	children, err := proc.Children(os.Getpid())
	require.NoError(t, err)
	assert.Empty(t, children, "processes")
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	require.NoError(t, err)
	assert.Empty(t, left, "files")
	var r result
	require.NoError(t, json.Unmarshal(out.Bytes(), &r))
	require.Len(t, r.Tables, 5)
	// CPU time and memory come in steps that so little work may not reach.
	positive := map[string]bool{perSecond: true, newSessions: true, p50: true, p99: true}
	for _, table := range r.Tables {
		for _, m := range table.Metrics {
			for _, target := range table.Targets {
				assert.False(t, positive[m.Name] && !(table.Value(target, m.Name).Median > 0), "%s: %s of %s", table.Title, m.Name, target)
			}
		}
	}
	return &r
}

func TestTwoGatewaysSideBySide(t *testing.T) {
	r := compareTo(t, "-targets", "strait", "-strait-env", "STRAIT_SHARDS=1 GOMAXPROCS=1")
	for _, table := range r.Tables {
		assert.Equal(t, []string{"strait", "strait STRAIT_SHARDS=1 GOMAXPROCS=1"}, table.Targets)
		assert.Equal(t, "strait", table.Reference)
		assert.Len(t, table.Rows, 2)
	}
	assert.Equal(t, "TLS 1.3 TLS_AES_128_GCM_SHA256 X25519", r.Facts.TLS)
	assert.Len(t, r.Facts.Programs, 2)

	for _, f := range []format{asText, asMarkdown} {
		var b bytes.Buffer
		require.NoError(t, r.print(&b, f))
		for _, table := range r.Tables {
			assert.Contains(t, b.String(), table.Title)
		}
		assert.Contains(t, b.String(), "the ratio to strait")
	}
}

func TestRefusedEnvironmentShowsTheGatewaysLog(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	err := run(t.Context(), append([]string{"-targets", "strait", "-strait-env", "STRAIT_SHARDS=-1"}, short...), io.Discard, io.Discard)
	require.ErrorContains(t, err, "ended by itself")
	require.ErrorContains(t, err, "STRAIT_SHARDS")
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestInterruptedComparisonLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	progress := &waiter{text: []byte("Saturated"), then: func() { time.AfterFunc(300*time.Millisecond, func() { cancel(enough) }) }}
	err := run(ctx, []string{"-targets", "strait", "-seconds", "600"}, io.Discard, progress)
	require.ErrorIs(t, err, enough)
	children, err := proc.Children(os.Getpid())
	require.NoError(t, err)
	assert.Empty(t, children)
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// waiter calls then once when some text was written to it.
type waiter struct {
	text []byte
	then func()
}

func (w *waiter) Write(b []byte) (int, error) {
	if w.then != nil && bytes.Contains(b, w.text) {
		w.then()
		w.then = nil
	}
	return len(b), nil
}

func TestOptions(t *testing.T) {
	o, err := parseOptions(nil, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, []stack.Kind{stack.Nginx, stack.Strait, stack.HAProxy}, o.targets)
	assert.Equal(t, 5*time.Second, o.measure)

	for says, args := range map[string][]string{
		`"apache" does not exist`: {"-targets", "nginx,apache"},
		"nginx is listed twice":   {"-targets", "nginx,nginx"},
		"-size: 7":                {"-size", "7"},
		"-clients: 0":             {"-clients", "0"},
		"-window: 0":              {"-window", "0"},
		"-reps: 0":                {"-reps", "0"},
		"-idle: 32":               {"-idle", "32"},
		"-many needs a -rate":     {"-many", "5", "-rate", "0"},
		"it must be NAME=value":   {"-strait-env", "STRAIT_SHARDS"},
		"exclude each other":      {"-json", "-markdown"},
		`"more" is not a flag`:    {"more"},
		"need strait among":       {"-targets", "nginx", "-strait", "x"},
		"not defined":             {"-nothing"},
		"-seconds":                {"-seconds", "0"},
		"-max-message":            {"-max-message", "1"},
	} {
		_, err := parseOptions(args, io.Discard)
		var usage *usageError
		require.ErrorAs(t, err, &usage, says)
		assert.ErrorContains(t, err, says)
	}
	var help bytes.Buffer
	_, err = parseOptions([]string{"-help"}, &help)
	require.ErrorIs(t, err, flag.ErrHelp)
	assert.Contains(t, help.String(), "-strait-env")
}

func TestTargetsRotate(t *testing.T) {
	targets := []stack.Target{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	order := func(rep int) (out string) {
		for _, x := range rotated(targets, rep) {
			out += x.Name
		}
		return out
	}
	assert.Equal(t, []string{"abc", "bca", "cab", "abc"}, []string{order(0), order(1), order(2), order(3)})
	assert.Equal(t, "a", targets[0].Name, "borrowed")
}

func TestGrowthIsWithinARepetition(t *testing.T) {
	row := func(target string, rep int, v float64) report.Row {
		return report.Row{Target: target, Repetition: rep, Values: map[string]float64{cpu: v}}
	}
	few := &report.Table{Rows: []report.Row{row("a", 0, 10), row("b", 0, 20), row("a", 1, 40)}}
	many := &report.Table{Rows: []report.Row{row("a", 1, 60), row("b", 0, 21), row("a", 0, 12), row("c", 0, 1)}}
	grow(many, few)
	assert.InDelta(t, 1.5, many.Rows[0].Values[growth], 1e-9)
	assert.InDelta(t, 1.05, many.Rows[1].Values[growth], 1e-9)
	assert.InDelta(t, 1.2, many.Rows[2].Values[growth], 1e-9)
	assert.NotContains(t, many.Rows[3].Values, growth)
}

func TestNoiseIsTheWorstRun(t *testing.T) {
	row := func(v float64) report.Row { return report.Row{Values: map[string]float64{others: v}} }
	assert.InDelta(t, 0.7, noise([]*report.Table{{Rows: []report.Row{row(0.1), row(0.7)}}, {Rows: []report.Row{row(0.3), {}}}}), 1e-9)
	assert.Zero(t, noise(nil))
}

func TestProcessor(t *testing.T) {
	assert.Equal(t, "AMD EPYC", processor([]byte("vendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\nmodel name\t: other\n")))
	assert.Equal(t, "unknown", processor([]byte("CPU implementer\t: 0x41\n")))
}
