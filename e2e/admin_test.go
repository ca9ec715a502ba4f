package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

var admins = &http.Client{Timeout: patience}

// get asks an admin endpoint.
func (p *process) get(path string) (status int, body string) {
	p.t.Helper()
	r, err := admins.Get(p.admin + path)
	require.NoError(p.t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	require.NoError(p.t, err)
	return r.StatusCode, string(b)
}

// metric is the value of one sample, named as in the text format:
// name or name{label="value"}; 0 if there is none.
func (p *process) metric(sample string) float64 {
	p.t.Helper()
	status, body := p.get("/metrics")
	require.Equal(p.t, http.StatusOK, status)
	lines := bufio.NewScanner(strings.NewReader(body))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), sample+" "); ok {
			v, err := strconv.ParseFloat(rest, 64)
			require.NoError(p.t, err)
			return v
		}
	}
	return 0
}

// reaches polls a metric until it is at least want.
func (p *process) reaches(sample string, want float64) {
	p.t.Helper()
	p.polls(func() bool { return p.metric(sample) >= want }, "%s never reached %v", sample, want)
}

// falls polls a metric until it is at most want.
func (p *process) falls(sample string, want float64) {
	p.t.Helper()
	p.polls(func() bool { return p.metric(sample) <= want }, "%s never fell to %v", sample, want)
}

// polls waits for what only asking again can tell.
func (p *process) polls(done func() bool, format string, args ...any) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			require.FailNow(p.t, fmt.Sprintf(format, args...))
		}
	}
}

// listed is one entry of /sessions.
type listed struct {
	ID     string `json:"id"`
	Remote string `json:"remote"`
	Route  string `json:"route"`
	RTT    int64  `json:"rtt_us"`
}

// sessions is what /sessions lists.
func (p *process) sessions() (all []listed) {
	p.t.Helper()
	status, body := p.get("/sessions")
	require.Equal(p.t, http.StatusOK, status)
	require.NoError(p.t, json.Unmarshal([]byte(body), &all), body)
	return all
}

// resident is the process's memory in bytes, as the system sees it.
func (p *process) resident() int {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	require.NoError(p.t, err)
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	require.NoError(p.t, err)
	return pages * os.Getpagesize()
}

// drop names the sample that counts what was discarded for a reason.
func drop(reason string) string { return fmt.Sprintf("strait_drops_total{reason=%q}", reason) }

// end names the sample that counts ended sessions by code.
func end(code string) string { return fmt.Sprintf("strait_session_ends_total{code=%q}", code) }
