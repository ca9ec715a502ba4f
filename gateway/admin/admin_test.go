package admin_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/gateway"
	"strait/gateway/admin"
	"strait/transport"
	"strait/upstream"
)

// fake is a gateway with fixed answers.
type fake struct {
	why      string
	sessions []gateway.SessionInfo
}

func (f *fake) Ready() (bool, string) { return f.why == "", f.why }

func (f *fake) Stats() gateway.Stats {
	st := gateway.Stats{
		Sessions: map[transport.Kind]int64{transport.KindTCP: 7},
		Offers:   21, OffersRefused: map[string]int64{"no room": 3},
		Openings: map[string]int64{"NORMAL": 9}, Endings: map[string]int64{"TOO_SLOW": 2},
		QueueLen: []int{3, 0}, QueueCap: 8192, Groups: 4, BufferBytes: 100, BufferLimit: 1000,
		Dispatch: gateway.Latency{Bounds: []float64{1e-6, 2e-6}, Counts: []int64{1, 2, 3}, Sum: 0.5},
		Upstream: upstream.Status{Driver: "link", Waiting: 5, Streams: []upstream.StreamStatus{
			{Backend: "link://a:1", Stream: 0, State: "live", Sessions: 7, QueuedBytes: 11, LagMicros: 2000, Lost: 1},
			{Backend: "link://a:1", Stream: 1, State: "live"},
		}},
	}
	st.Received[transport.Unreliable] = gateway.Traffic{Messages: 12, Bytes: 640}
	st.Drops[upstream.DropStale] = 6
	return st
}

func (f *fake) Sessions(yield func(gateway.SessionInfo) bool) {
	for _, s := range f.sessions {
		if !yield(s) {
			return
		}
	}
}

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func handler(t *testing.T, f *fake) http.Handler {
	t.Helper()
	h, err := admin.Handler(admin.Config{Gateway: f, Version: "test"})
	require.NoError(t, err)
	return h
}

func TestHealth(t *testing.T) {
	f := &fake{}
	h := handler(t, f)
	code, _ := get(t, h, "/livez")
	require.Equal(t, http.StatusOK, code)
	code, _ = get(t, h, "/readyz")
	require.Equal(t, http.StatusOK, code)
	f.why = "draining"
	code, body := get(t, h, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "draining\n", body)
	code, _ = get(t, h, "/livez")
	require.Equal(t, http.StatusOK, code, "draining is no reason to be killed")
}

func TestMetrics(t *testing.T) {
	code, body := get(t, handler(t, &fake{}), "/metrics")
	require.Equal(t, http.StatusOK, code)
	for _, line := range []string{
		`strait_sessions{transport="tcp"} 7`,
		`strait_lane_offers_total 21`,
		`strait_lane_offers_refused_total{reason="no room"} 3`,
		`strait_openings_total{code="NORMAL"} 9`,
		`strait_session_ends_total{code="TOO_SLOW"} 2`,
		`strait_messages_total{delivery="unreliable",direction="in"} 12`,
		`strait_message_bytes_total{delivery="unreliable",direction="in"} 640`,
		`strait_drops_total{reason="stale"} 6`,
		`strait_queue_depth{shard="0"} 3`,
		`strait_dispatch_latency_seconds_bucket{le="2e-06"} 3`,
		`strait_dispatch_latency_seconds_count 6`,
		`strait_upstream_streams{backend="link://a:1",state="live"} 2`,
		`strait_upstream_lag_seconds{backend="link://a:1",stream="0"} 0.002`,
		`strait_upstream_waiting_sessions 5`,
		`strait_ready 1`,
	} {
		require.Contains(t, body, line+"\n")
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	require.NoError(t, err)
	for _, p := range problems {
		require.False(t, strings.HasPrefix(p.Metric, "strait_"), "%s: %s", p.Metric, p.Text)
	}
}

func TestSessions(t *testing.T) {
	f := &fake{}
	h := handler(t, f)
	list := func(path string) []gateway.SessionInfo {
		code, body := get(t, h, path)
		require.Equal(t, http.StatusOK, code)
		var out []gateway.SessionInfo
		require.NoError(t, json.Unmarshal([]byte(body), &out), body)
		return out
	}
	require.Empty(t, list("/sessions"))
	lane := &gateway.LaneInfo{Remote: "192.0.2.1:5000", Bound: time.Unix(1700000000, 0).UTC(), RTTMicros: 7000, LossPPM: 3, MaxBytes: 1100}
	f.sessions = []gateway.SessionInfo{{ID: "a", Handle: 1, Transport: "tcp"}, {ID: "b", Handle: 2, Lane: lane}, {ID: "c", Handle: 3}}
	require.Equal(t, f.sessions, list("/sessions"))
	require.Len(t, list("/sessions?limit=2"), 2)
	require.Empty(t, list("/sessions?limit=0"))
	code, body := get(t, h, "/sessions?limit=many")
	require.Equal(t, http.StatusBadRequest, code)
	require.Contains(t, body, "number")
}

func TestServer(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, err := admin.Listen("127.0.0.1:0", admin.Config{Gateway: &fake{}})
	require.NoError(t, err)
	tr := &http.Transport{}
	res, err := (&http.Client{Transport: tr}).Get("http://" + s.Addr().String() + "/debug/pprof/")
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Contains(t, string(body), "goroutine")
	tr.CloseIdleConnections()
	require.NoError(t, s.Close(context.Background()))
	_, err = admin.Listen("256.0.0.1:0", admin.Config{Gateway: &fake{}})
	require.Error(t, err)
}
