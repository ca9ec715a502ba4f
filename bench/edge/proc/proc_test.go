//go:build linux

package proc_test

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/bench/edge/proc"
)

const nginx = "15823 (nginx: w) (x)) S 15800 15800 15800 0 -1 4194624 812 0 0 0 271 1034 3 4 20 0 1 0 88211 13123584 1180 18446744073709551615\n"

func TestParseStat(t *testing.T) {
	s, err := proc.ParseStat([]byte(nginx))
	require.NoError(t, err)
	assert.Equal(t, proc.Stat{
		PID: 15823, Name: "nginx: w) (x)", Parent: 15800,
		Times: proc.Times{User: 2710 * time.Millisecond, System: 10340 * time.Millisecond},
	}, s)
	assert.Equal(t, 13050*time.Millisecond, s.Times.Total())
	assert.Equal(t, proc.Times{User: 2700 * time.Millisecond, System: 10300 * time.Millisecond},
		s.Times.Sub(proc.Times{User: 10 * time.Millisecond, System: 40 * time.Millisecond}))
}

func TestParseStatRefuses(t *testing.T) {
	for in, says := range map[string]string{
		"":                                    "no name",
		"1 )x(":                               "no name",
		"x (a) S 1":                           "the process id",
		"1 (a) S 1 2 3":                       "4 fields",
		"1 (a) S q 1 1 1 1 1 1 1 1 1 1 1 1 1": "field 4",
		"1 (a) S 1 1 1 1 1 1 1 1 1 1 u 1 1":   "field 14",
		"1 (a) S 1 1 1 1 1 1 1 1 1 1 1 s 1":   "field 15",
	} {
		_, err := proc.ParseStat([]byte(in))
		assert.ErrorContains(t, err, says, in)
	}
}

func TestParseRollup(t *testing.T) {
	n, err := proc.ParseRollup([]byte("55a-7ff ---p 00000000 00:00 0 [rollup]\nRss:   1180 kB\nPss:  20 kB\n"))
	require.NoError(t, err)
	assert.EqualValues(t, 1180*1024, n)
	for in, says := range map[string]string{
		"Pss: 1 kB\n": "no line Rss",
		"Rss: 1 MB\n": "not a number of kB",
		"Rss: x kB\n": "not a number of kB",
		"Rss: 1\n":    "not a number of kB",
	} {
		_, err := proc.ParseRollup([]byte(in))
		assert.ErrorContains(t, err, says, in)
	}
}

func TestParseBusy(t *testing.T) {
	busy, err := proc.ParseBusy([]byte("cpu  100 20 30 5000 600 7 8 9 11 12\ncpu0 1 1 1 1 1 1 1 1 1 1\n"))
	require.NoError(t, err)
	assert.Equal(t, (100+20+30+7+8+9)*10*time.Millisecond, busy)
	for in, says := range map[string]string{
		"":                         "not the line",
		"cpu0 1 2 3 4 5 6 7 8":     "not the line",
		"cpu 1 2 3 4 5 6 7":        "not the line",
		"cpu 1 2 3 4 5 6 7 x 9 10": "field 8",
	} {
		_, err := proc.ParseBusy([]byte(in))
		assert.ErrorContains(t, err, says, in)
	}
}

func TestOfThisProcess(t *testing.T) {
	before, err := proc.CPU(os.Getpid())
	require.NoError(t, err)
	busy, err := proc.Busy()
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		for until := time.Now().Add(30 * time.Millisecond); time.Now().Before(until); {
		}
		after, err := proc.CPU(os.Getpid())
		return err == nil && after.Sub(before).Total() >= 20*time.Millisecond
	}, 20*time.Second, time.Millisecond)

	now, err := proc.Busy()
	require.NoError(t, err)
	assert.Greater(t, now, busy)

	held, err := proc.Resident(os.Getpid())
	require.NoError(t, err)
	grown := make([]byte, 32<<20)
	for i := 0; i < len(grown); i += 4096 {
		grown[i] = 1
	}
	full, err := proc.Resident(os.Getpid())
	require.NoError(t, err)
	assert.Greater(t, full, held+int64(len(grown))/2)
	assert.EqualValues(t, 1, grown[0])
}

func TestChildren(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	children, err := proc.Children(os.Getpid())
	require.NoError(t, err)
	assert.Contains(t, children, cmd.Process.Pid)
	require.NoError(t, in.Close())
	require.NoError(t, cmd.Wait())
	children, err = proc.Children(os.Getpid())
	require.NoError(t, err)
	assert.NotContains(t, children, cmd.Process.Pid)
	_, err = proc.CPU(cmd.Process.Pid)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = proc.Resident(cmd.Process.Pid)
	require.ErrorIs(t, err, os.ErrNotExist)
}
