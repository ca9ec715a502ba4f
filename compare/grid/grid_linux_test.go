package grid_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/compare/grid"
	"strait/compare/lab"
	"strait/compare/measure"
	"strait/compare/report"
)

func TestOnLoopback(t *testing.T) {
	before := look(t)
	c := loopback(t, "tcp+udp", "websocket")
	c.Players = 3
	// Enough for a busy machine to connect before, and to catch up behind.
	c.WarmUp, c.Settle = time.Second, time.Second
	var heard []grid.Progress
	c.Progress = func(p grid.Progress) { heard = append(heard, p) }
	r, err := grid.Run(t.Context(), c)
	require.NoError(t, err)
	leavesNothing(t, before)
	require.Len(t, r.Runs, 2)
	for _, run := range r.Runs {
		assert.Empty(t, run.Failure)
		assert.Equal(t, 3, run.Players)
		assert.Nil(t, run.Cost.WireUp, "there is no link to count on")
		assert.NotNil(t, run.Cost.ClientCPU)
		assert.Positive(t, *run.Cost.ServerCPU)
		assert.Positive(t, *run.Cost.ServerPeak)
		assert.Positive(t, run.Late.Count())
		for _, f := range run.Flows {
			// What is due within a second, for each player one more or less.
			assert.InDelta(t, 3*f.PerSecond, f.Sent, 3, f.Name)
			assert.Zero(t, f.Refused+f.Duplicates+f.OutOfOrder, f.Name)
			assert.EqualValues(t, f.Delivered, f.Latency.Count(), f.Name)
			if f.Reliable || run.Transport == "websocket" {
				assert.Equal(t, f.Sent, f.Delivered, f.Name)
				assert.Zero(t, f.Skipped, f.Name)
			} else { // a newer one may overtake it
				assert.Positive(t, f.Delivered, f.Name)
				assert.LessOrEqual(t, f.Delivered+f.Skipped, f.Sent, f.Name)
			}
		}
		assert.Zero(t, run.Reconnects)
	}
	assert.Equal(t, "tcp+udp", r.Transports[0].ID)
	assert.NotEmpty(t, r.Environment.Programs)
	assert.Contains(t, strings.Join(r.Notes, "\n"), "Nothing was impaired")
	first, last := heard[0], heard[len(heard)-1]
	assert.Equal(t, 2, first.Total)
	assert.Equal(t, "loopback, tcp+udp, repetition 1", first.Cell)
	assert.Equal(t, []string{first.Cell}, first.Running)
	assert.Positive(t, first.Left)
	assert.True(t, last.Ended)
	assert.Equal(t, last.Total, last.Done)
	assert.Zero(t, last.Left)
	var again bytes.Buffer
	require.NoError(t, r.JSON(&again))
	_, err = report.Parse(&again)
	require.NoError(t, err)
}

// A child that dies spoils its run; the same again, and the run does not count.
func TestChildrenThatDie(t *testing.T) {
	before := look(t)
	c := loopback(t, "tcp", "kcp")
	c.Program = func() *exec.Cmd { return exec.Command("sh", "-c", "echo the disk is on fire >&2; exit 3") }
	var spoiled int
	c.Progress = func(p grid.Progress) {
		if len(p.Trouble) > 0 {
			spoiled++
		}
	}
	r, err := grid.Run(t.Context(), c)
	require.Nil(t, r)
	require.ErrorContains(t, err, "no run counts")
	assert.ErrorContains(t, err, "the server ended during the run: exit status 3: the disk is on fire")
	assert.Equal(t, 4, spoiled, "each was repeated once")
	leavesNothing(t, before)

	c.Program = func() *exec.Cmd { return exec.Command("echo", "I am no gateway") }
	_, err = grid.Run(t.Context(), c)
	require.ErrorContains(t, err, "no run counts")
	c.Program = func() *exec.Cmd { return exec.Command("/no/such/program") }
	_, err = grid.Run(t.Context(), c)
	require.ErrorContains(t, err, "the server cannot be started")
	leavesNothing(t, before)
}

// kill kills the nth child of the first run as soon as both are there. wait is called
// at the end, and returns what there was then.
func kill(t *testing.T, nth int) (wait func() leftovers) {
	var (
		all    sync.WaitGroup
		during leftovers
	)
	all.Go(func() {
		for t.Context().Err() == nil {
			if both := children(t, os.Getpid()); len(both) == 2 {
				during = look(t)
				slices.Sort(both)
				assert.NoError(t, syscall.Kill(both[nth], syscall.SIGKILL))
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	return func() leftovers { all.Wait(); return during }
}

// SIGKILL of either end is told with its reason, the run is repeated, and counts then.
// Of a lab nothing is left, either: no namespace and no device.
func TestKilledChildrenAreRepeated(t *testing.T) {
	for where, c := range map[string]grid.Config{"loopback": loopback(t, "tcp"), "lab": brief(t, "tcp")} {
		for nth, who := range []string{"server", "player"} {
			t.Run(where+", "+who, func(t *testing.T) {
				if where == "lab" {
					mayMakeLabs(t)
				}
				before := look(t)
				var trouble []string
				c.Progress = func(p grid.Progress) { trouble = append(trouble, p.Trouble...) }
				wait := kill(t, nth)
				r, err := grid.Run(t.Context(), c)
				during := wait()
				require.NoError(t, err)
				require.Equal(t, where == "lab", during.devices > before.devices, "there is something that could be left")
				require.Equal(t, where == "lab", len(during.namespaces) > len(before.namespaces))
				require.NotEmpty(t, trouble)
				assert.Equal(t, "the "+who+" ended during the run: signal: killed", trouble[0])
				require.Len(t, r.Runs, 1)
				assert.Contains(t, strings.Join(r.Notes, "\n"), "1 of 1 runs were spoiled at first and repeated at the end")
				leavesNothing(t, before)
			})
		}
	}
}

// What was measured before an interruption is not lost.
func TestInterruption(t *testing.T) {
	before := look(t)
	c := loopback(t, "tcp", "websocket")
	c.Parallel = 1
	ctx, cancel := context.WithCancel(t.Context())
	c.Progress = func(p grid.Progress) {
		if p.Done == 1 && !p.Ended && len(p.Trouble) == 0 {
			cancel()
		}
	}
	r, err := grid.Run(ctx, c)
	require.ErrorIs(t, err, context.Canceled)
	leavesNothing(t, before)
	require.Len(t, r.Runs, 1)
	assert.Contains(t, strings.Join(r.Notes, "\n"), "It was interrupted: 1 of 2 runs are missing")

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	r, err = grid.Run(cancelled, c)
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, r)
}

// Ports that others use are in nobody's way: the kernel gives free ones.
func TestPortsInUse(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		switch network {
		case "tcp":
			l, err := net.Listen(network, "127.0.0.1:7777")
			if err == nil { // else somebody uses it indeed
				defer l.Close()
			}
		case "udp":
			l, err := net.ListenPacket(network, "127.0.0.1:7777")
			if err == nil {
				defer l.Close()
			}
		}
	}
	r, err := grid.Run(t.Context(), loopback(t, "auto"))
	require.NoError(t, err)
	require.Empty(t, r.Runs[0].Failure)
}

func TestChildRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                                  "for strait compare alone",
		"strait":                            "for strait compare alone",
		`{"role":"cook"}`:                   `no role "cook"`,
		`{"role":"server","transport":""}`:  "there is no transport",
		`{"role":"player","transport":"x"}`: "there is no transport",
		`{"role":"server","transport":"tcp","at":"127.0.0.1:0"}`:                           "0 players",
		`{"role":"server","transport":"tcp","at":"127.0.0.1:0","players":1}`:               "no window",
		`{"role":"server","transport":"tcp","at":"127.0.0.1:0","players":1}` + "\n" + `[]`: "no window",
	} {
		var out bytes.Buffer
		assert.ErrorContains(t, grid.Child(t.Context(), strings.NewReader(in), &out), want, in)
	}
}

// spoilt reports whether a busy machine has spoilt what a run measured, which is no fault
// of what is tested: the run says so itself. That all have been is more than that.
func spoilt(t *testing.T, run *measure.Run, all []*measure.Run) bool {
	t.Helper()
	require.True(t, slices.ContainsFunc(all, func(r *measure.Run) bool { return len(r.Invalid) == 0 }), "no run counts: %v", run.Invalid)
	if len(run.Invalid) > 0 {
		t.Logf("%s over %s: %v", run.Transport, run.Scenario, run.Invalid)
	}
	return len(run.Invalid) > 0
}

// The whole thing on real network stacks: the figures are those of the links.
func TestInLabs(t *testing.T) {
	needsLab(t)
	before := look(t)
	c := grid.Config{
		Scenarios: []grid.Network{network(t, "intercontinental"), network(t, "udp-blocked")}, Transports: transports(t, "tcp", "quic", "kcp"),
		Repetitions: 1, Measured: 3 * time.Second, Program: program, Seed: 3,
	}
	r, err := grid.Run(t.Context(), c)
	require.NoError(t, err)
	leavesNothing(t, before)
	require.Len(t, r.Runs, 6)
	for _, run := range r.Runs {
		busy := spoilt(t, run, r.Runs)
		if run.Scenario == "udp-blocked" && run.Transport != "tcp" {
			assert.Contains(t, run.Failure, "could not connect")
			continue
		}
		require.Empty(t, run.Failure)
		oneWay := map[string]float64{"intercontinental": 80, "udp-blocked": 6}[run.Scenario]
		for _, flow := range []string{"inputs", "snapshots"} {
			if !busy {
				assert.InDelta(t, oneWay, run.Latency(flow).Quantile(0.5), 4, "%s, %s", run.Scenario, run.Transport)
			}
		}
		require.NotNil(t, run.Cost.WireUp)
		assert.Greater(t, *run.Cost.WireUp, uint64(3*60*48))
		assert.Greater(t, *run.Cost.WireDown, uint64(3*30*500))
	}
	assert.Contains(t, strings.Join(r.Notes, "\n"), "the kernel's cubic (tcp)")
}

// An outage is found again in the figures, and an upload in the delay.
func TestOutagesAndUploadsInLabs(t *testing.T) {
	needsLab(t)
	before := look(t)
	full := network(t, "cable-bufferbloat")
	full.Upload = true
	c := grid.Config{
		Scenarios: []grid.Network{network(t, "mobile-handover"), full}, Transports: transports(t, "tcp+udp", "quic"),
		Repetitions: 1, Measured: 3 * time.Second, Program: program,
	}
	r, err := grid.Run(t.Context(), c)
	require.NoError(t, err)
	leavesNothing(t, before)
	for _, run := range r.Runs {
		spoilt(t, run, r.Runs)
		require.Empty(t, run.Failure)
		if run.Scenario == full.Name {
			assert.Greater(t, run.Latency("inputs").Quantile(0.5), 150.0, "the queue is long")
			assert.Nil(t, run.Cost.WireUp)
			continue
		}
		assert.InDelta(t, 12, run.Seconds, 0.01)
		require.Len(t, run.Outages, 1)
		assert.Equal(t, measure.Span{Name: "handover", From: 5e9, To: 6e9}, run.Outages[0].Span)
		assert.Greater(t, run.Age.Readings.Max(), 1000.0)
	}
}

// A machine that has other congestion control is told so, not compared with what it has.
func TestUnknownCongestionControl(t *testing.T) {
	needsLab(t)
	before := look(t)
	c := grid.Config{Scenarios: []grid.Network{network(t, "lan")}, Transports: transports(t, "tcp", "kcp"), Program: program, CongestionControl: "pigeon"}
	_, err := grid.Run(t.Context(), c)
	require.ErrorContains(t, err, "congestion control pigeon")
	var access *lab.AccessError
	require.False(t, errors.As(err, &access))
	leavesNothing(t, before)
}
