//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	dir, err := os.MkdirTemp("", "edge-test-")
	if err != nil {
		panic(err)
	}
	// Once for all tests; one of them builds it by the program itself.
	gateway = filepath.Join(dir, "strait")
	if out, err := exec.Command("go", "build", "-o", gateway, "strait/cmd/strait").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the gateway: %v\n%s", err, out)
		_ = os.RemoveAll(dir)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(dir); err != nil {
			panic(err)
		}
		os.Exit(code)
	}))
}

// gateway is the path of its binary.
var gateway string

// short is a comparison of a second or so for each target. Whatever the machine's speed
// a measured time goes on until it has a figure.
var short = []string{
	"-seconds", "0.1", "-warmup", "0.02", "-reps", "1", "-clients", "4", "-rate", "200",
	"-idle", "34", "-settle", "5ms", "-max-message", "20000", "-handshakes", "0.1",
}

// temporary is a folder for all temporary files, with a path that is short enough for
// that of a socket in it.
func temporary(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "edge-")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	t.Setenv("TMPDIR", dir)
}

// nothingLeft checks that no process and no file is.
func nothingLeft(t *testing.T) {
	t.Helper()
	children, err := proc.Children(os.Getpid())
	require.NoError(t, err)
	assert.Empty(t, children, "processes")
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	require.NoError(t, err)
	assert.Empty(t, left, "files")
}

// compareTo runs a comparison and checks that each target has each figure in every
// table, and that nothing is left of it.
func compareTo(t *testing.T, args ...string) *result {
	t.Helper()
	temporary(t)
	var out, progress bytes.Buffer
	require.NoError(t, run(t.Context(), append(append([]string{"-json"}, short...), args...), &out, &progress), progress.String())
	nothingLeft(t)
	var r result
	require.NoError(t, json.Unmarshal(out.Bytes(), &r))
	// CPU time and memory come in steps that so little work may not reach.
	positive := map[string]bool{perSecond: true, newSessions: true, p50: true, p99: true}
	for _, table := range r.Tables {
		for _, target := range table.Targets {
			for _, m := range table.Metrics {
				v := table.Value(target, m.Name).Median
				assert.False(t, positive[m.Name] && table.Metrics[0].Name != newSessions && !(v > 0), "%s: %s of %s", table.Title, m.Name, target)
			}
			assert.False(t, math.IsNaN(table.Value(target, table.Metrics[1].Name).Median), "%s: %s", table.Title, target)
		}
	}
	return &r
}

// kindsOf are the first words of the tables' titles.
func kindsOf(r *result) (out []string) {
	for _, table := range r.Tables {
		first, _, _ := strings.Cut(table.Title, ":")
		out = append(out, first)
	}
	return out
}

func TestTwoGatewaysSideBySide(t *testing.T) {
	r := compareTo(t, "-targets", "strait", "-strait-env", "STRAIT_SHARDS=1 GOMAXPROCS=1", "-strait", gateway, "-many", "8")
	assert.Equal(t, []string{"Saturated", "Offered", "Offered", "New sessions", "Memory"}, kindsOf(r))
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

// All that there is over QUIC, beside the bare echo.
func TestQUICBesideABareEcho(t *testing.T) {
	r := compareTo(t, "-protocol", "quic", "-strait", gateway)
	assert.Equal(t, []string{"Saturated", "Offered", "New sessions", "New sessions", "Memory"}, kindsOf(r))
	assert.Contains(t, r.Tables[2].Title, "without Retry")
	assert.Contains(t, r.Tables[3].Title, "Retry demanded")
	for _, table := range r.Tables {
		assert.Equal(t, []string{"bare echo", "strait"}, table.Targets)
	}
}

// The gateway's own transports in one table, and the page of it.
func TestTransportsSideBySide(t *testing.T) {
	page := filepath.Join(t.TempDir(), "edge.html")
	r := compareTo(t, "-protocol", "all", "-strait", gateway, "-html", page)
	assert.Equal(t, []string{"Saturated", "Offered", "New sessions", "Memory"}, kindsOf(r))
	for _, table := range r.Tables {
		assert.Equal(t, []string{"TLS over TCP", "sealed UDP", "QUIC datagrams", "QUIC stream"}, table.Targets)
		assert.Equal(t, "TLS over TCP", table.Reference)
	}
	html, err := os.ReadFile(page)
	require.NoError(t, err)
	assert.Contains(t, string(html), "Strait&#39;s transports side by side")
	assert.Contains(t, string(html), `data-series="QUIC stream"`)
}

func TestGrid(t *testing.T) {
	page := filepath.Join(t.TempDir(), "edge.html")
	r := compareTo(t, "-targets", "strait", "-strait", gateway, "-sizes", "64,256", "-counts", "2,4", "-idle", "0", "-handshakes", "0", "-html", page)
	var points []report.Point
	for _, table := range r.Tables {
		points = append(points, *table.Grid)
	}
	offered := "Offered 200 round trips/s"
	assert.Equal(t, []report.Point{
		{Load: "Saturated", Size: 64, Clients: 2}, {Load: "Saturated", Size: 64, Clients: 4}, {Load: "Saturated", Size: 256, Clients: 2}, {Load: "Saturated", Size: 256, Clients: 4},
		{Load: offered, Size: 64, Clients: 2}, {Load: offered, Size: 64, Clients: 4}, {Load: offered, Size: 256, Clients: 2}, {Load: offered, Size: 256, Clients: 4},
	}, points)
	html, err := os.ReadFile(page)
	require.NoError(t, err)
	assert.Contains(t, string(html), "Overview: "+offered)
}

func TestRefusedEnvironmentShowsTheGatewaysLog(t *testing.T) {
	temporary(t)
	err := run(t.Context(), append([]string{"-targets", "strait", "-strait", gateway, "-strait-env", "STRAIT_SHARDS=-1"}, short...), io.Discard, io.Discard)
	require.ErrorContains(t, err, "ended by itself")
	require.ErrorContains(t, err, "STRAIT_SHARDS")
	nothingLeft(t)
}

// Wherever it is: the outcome is the same, so no case depends on how far it came.
func TestInterruptedComparisonLeavesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		said  string
		after time.Duration
		args  []string
	}{
		"before the gateway is built": {said: "building"},
		"before the first turn":       {said: "Saturated", args: []string{"-strait", gateway}},
		"in a load":                   {said: "Saturated", after: 300 * time.Millisecond, args: []string{"-strait", gateway}},
		"between two turns":           {said: "1 strait", args: []string{"-strait", gateway, "-seconds", "0.01"}},
	} {
		t.Run(name, func(t *testing.T) {
			temporary(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			enough := errors.New("enough")
			stop := func() { cancel(enough) }
			if c.after > 0 {
				stop = func() { time.AfterFunc(c.after, func() { cancel(enough) }) }
			}
			args := append([]string{"-targets", "strait", "-clients", "8", "-seconds", "600", "-warmup", "0"}, c.args...)
			require.ErrorIs(t, run(ctx, args, io.Discard, &waiter{text: []byte(c.said), then: stop}), enough)
			nothingLeft(t)
		})
	}
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
		"from 8 to 1100":          {"-protocol", "quic", "-size", "1200"},
		"-sizes: 7":               {"-sizes", "64,7"},
		"64 is listed twice":      {"-sizes", "64,64"},
		"-counts: 0":              {"-counts", "0"},
		"separated by commas":     {"-counts", "1;2"},
		"need a load":             {"-counts", "1", "-saturated=false", "-rate", "0"},
		"one of -counts":          {"-counts", "1", "-many", "3"},
		"nowhere does not exist":  {"-html", "nowhere/x.html"},
		`"nginx" does not exist`:  {"-protocol", "all", "-targets", "nginx"},
		`"tcp" does not exist`:    {"-protocol", "tcp"},
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
