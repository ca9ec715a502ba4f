package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wakeUps is how often the process's threads have gone to sleep so far.
func (p *process) wakeUps() (n int) {
	p.t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.cmd.Process.Pid))
	require.NoError(p.t, err)
	for _, f := range files {
		status, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		_, after, _ := strings.Cut(string(status), "\nvoluntary_ctxt_switches:")
		line, _, _ := strings.Cut(after, "\n")
		count, err := strconv.Atoi(strings.TrimSpace(line))
		require.NoError(p.t, err)
		n += count
	}
	return n
}

// A gateway without sessions rests: nothing in it ticks but the look at memory once a
// second. It looks after the next session as after the first, and rests again.
func TestGatewayWithoutSessionsRests(t *testing.T) {
	gw := serveIdle(t, "STRAIT_UDP_ADDR=127.0.0.1:0")
	for range 2 {
		began, before := time.Now(), gw.wakeUps()
		time.Sleep(3 * time.Second) // the time that is measured
		woken := gw.wakeUps() - before
		require.Less(t, float64(woken), 25*time.Since(began).Seconds(), "wake-ups, 25 a second")
		p := join(t, gw)
		f, err := p.read()
		require.NoError(t, err)
		require.EqualValues(t, tPing, f.typ)
		require.NoError(t, p.conn.Close())
		gw.falls(`strait_sessions{transport="tcp"}`, 0)
	}
}
