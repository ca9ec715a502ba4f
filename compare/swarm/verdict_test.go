package swarm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/compare/measure"
	"strait/transport"
)

func TestLimitsSayWhatWasMissed(t *testing.T) {
	report := func() *Report {
		return &Report{
			Setting: Setting{Clients: 10}, Opening: OpeningReport{Opened: 10},
			Flows: []FlowReport{
				{Name: "inputs", Sent: 1000, Lost: 5, Latency: Latency{Count: 995, P99: 20_000}},
				{Name: "chat", Sent: 100, Latency: Latency{Count: 100, P99: 30_000}},
			},
		}
	}
	share := func(v float64) *float64 { return &v }
	for name, c := range map[string]struct {
		limits Limits
		change func(*Report)
		want   []string
	}{
		"none":                {},
		"p99 kept":            {limits: Limits{MaxP99: 30 * time.Millisecond}},
		"p99 of one flow":     {limits: Limits{MaxP99: 25 * time.Millisecond}, want: []string{"chat: the p99 of 30ms is above 25ms"}},
		"loss kept":           {limits: Limits{MaxLoss: share(0.005)}},
		"loss":                {limits: Limits{MaxLoss: share(0.001)}, want: []string{"inputs: the loss of 0.5 % (5 of 1000) is above 0.1 %"}},
		"no loss at all":      {limits: Limits{MaxLoss: share(0)}, want: []string{"inputs: the loss of 0.5 % (5 of 1000) is above 0 %"}},
		"p99 without an echo": {Limits{MaxP99: time.Second}, func(r *Report) { r.Flows[0].Latency = Latency{} }, []string{"inputs: no echo came back, so that the p99 is not below 1s"}},
		"p99 of nothing":      {Limits{MaxP99: time.Second}, func(r *Report) { r.Flows[0] = FlowReport{Name: "inputs"} }, nil},
		"clients failed":      {Limits{}, func(r *Report) { r.Opening.Failed = 3 }, []string{"3 of 10 clients could not open a session"}},
		"sessions ended":      {Limits{}, func(r *Report) { r.Failures = []Failure{{What: session, Count: 2}, {What: sending, Count: 9}} }, []string{"2 of 10 sessions ended before the run did"}},
		"failures are all right": {Limits{Failures: true}, func(r *Report) {
			r.Opening.Failed, r.Failures = 3, []Failure{{What: session, Count: 2}}
		}, nil},
	} {
		r := report()
		if c.change != nil {
			c.change(r)
		}
		assert.Equal(t, c.want, c.limits.Missed(r), name)
	}
}

func TestErrorsAreCountedByReason(t *testing.T) {
	refused := func(port int) error {
		return &client.DialError{Transport: client.TCP, Phase: client.PhaseConnect, Addr: fmt.Sprintf("127.0.0.1:%d", port),
			Err: &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{Port: port}, Err: syscall.ECONNREFUSED}}
	}
	hello := func(err error) *client.DialError {
		return &client.DialError{Transport: client.QUIC, Phase: client.PhaseHello, Addr: "a:1", Err: err}
	}
	var f failures
	f.add(opening, refused(1))
	f.add(opening, refused(2))
	f.add(opening, refused(3))
	f.add(opening, hello(transport.Reason{Code: transport.Overloaded, Remote: true, Text: "come back later"}))
	f.add(opening, hello(context.DeadlineExceeded))
	f.add(opening, &client.DialError{Addr: "a:1", Attempts: []*client.DialError{hello(context.DeadlineExceeded), refused(4).(*client.DialError)}, Err: errors.New("both")})
	f.add(session, transport.Reason{Code: transport.Idle, Lost: true, Text: "reset by 127.0.0.1:4711"})
	f.add(session, transport.Reason{Code: transport.Kicked, Remote: true})
	f.add(session, transport.Reason{Code: transport.ProtocolError})
	f.add(sending, &transport.TooLargeError{Size: 5000, Max: 1100})
	f.add(opening, &client.DialError{Phase: client.PhaseTLS, Err: &client.VerifyError{Fingerprint: "ab"}})
	f.add(opening, &client.DialError{Phase: client.PhaseResolve, Err: &net.DNSError{Err: "no such host", Name: "x"}})
	f.add(session, errors.New("something else"))

	list := f.list()
	assert.Equal(t, Failure{opening, "tcp connect: connection refused", 3, refused(1).Error()}, list[0], "the most frequent first")
	var reasons []string
	for _, k := range list[1:] {
		assert.Equal(t, 1, k.Count)
		reasons = append(reasons, k.What+" "+k.Reason)
	}
	assert.Equal(t, []string{
		"open quic hello: closed by the gateway: OVERLOADED", "open quic hello: timeout",
		"open quic hello: timeout; tcp connect: connection refused",
		"ended connection lost", "ended closed by the gateway: KICKED", "ended closed by the client: PROTOCOL_ERROR",
		"send message too large", "open auto TLS: certificate not verified", "open auto resolve: no such host", "ended other",
	}, reasons)
	assert.Equal(t, 13, f.count())
}

func TestReasonsAreBounded(t *testing.T) {
	var f failures
	for i := range 1000 {
		f.add(session, transport.Reason{Code: transport.Code(i), Remote: true})
	}
	list := f.list()
	assert.Len(t, list, maxReasons)
	assert.Equal(t, "other", list[0].Reason)
	assert.Equal(t, 1000-maxReasons+1, list[0].Count)
	assert.Equal(t, 1000, f.count())
}

func TestTransportsAreFoundByName(t *testing.T) {
	for _, want := range append(client.Transports[:], client.Auto) {
		got, err := ParseTransport(want.String())
		require.NoError(t, err)
		assert.Equal(t, Transport{Transport: want}, got)
		assert.Contains(t, TransportNames(), want.String())
	}
	var o client.Options
	streams, err := ParseTransport("quic-streams")
	require.NoError(t, err)
	streams.Set(&o)
	assert.Equal(t, client.Options{Transport: client.QUIC, NoDatagrams: true}, o)
	assert.Equal(t, []string{"auto", "quic", "quic-streams", "tcp+udp", "tcp"}, TransportNames())
	for typo, near := range map[string]string{"tpc": "tcp", "TCP": "tcp", "auot": "auto", "tc": "tcp", "aut": "auto", "quick-streams": "quic-streams", "quic-stream": "quic-streams", "qiuc": "quic"} {
		_, err := ParseTransport(typo)
		assert.ErrorContains(t, err, "did you mean "+near+"?", typo)
	}
	for _, name := range []string{"carrier-pigeon", "", "x"} {
		_, err := ParseTransport(name)
		assert.ErrorContains(t, err, "there are auto, ", name)
	}
}

func TestTheFileLimitSaysWhatToRaise(t *testing.T) {
	assert.NoError(t, fits(10_000+spareFiles, 10_000, Transport{Transport: client.TCP}))
	err := fits(1024, 10_000, Transport{Transport: client.TCP})
	assert.ErrorContains(t, err, "10000 clients on tcp need 10064 open files, and this process may have 1024")
	assert.ErrorContains(t, err, "ulimit -n 10064")
	assert.ErrorContains(t, err, "at most 960 clients")
	assert.ErrorContains(t, fits(10_000+spareFiles, 10_000, Transport{Transport: client.Auto}), "at most 5000 clients", "two ways at once")
	assert.ErrorContains(t, fits(10, 1, Transport{Transport: client.TCP}), "at most 0 clients")
}

func TestConfigRefusesWhatMakesNoSense(t *testing.T) {
	good := func() Config {
		return Config{Addr: "127.0.0.1:1", Clients: 1, Inputs: Flow{Rate: 1, Size: HeaderLen}, Chat: Flow{Rate: 1, Size: 64}}
	}
	c := good()
	require.NoError(t, c.Validate())
	for text, change := range map[string]func(*Config){
		"the address of the gateway is empty":      func(c *Config) { c.Addr = "" },
		"0 clients: at least 1":                    func(c *Config) { c.Clients = 0 },
		"-5 clients: at least 1":                   func(c *Config) { c.Clients = -5 },
		"clients: at most 1048576":                 func(c *Config) { c.Clients = math.MaxInt },
		"ramp -1s: it cannot be negative":          func(c *Config) { c.Ramp = -time.Second },
		"duration -1s: it cannot be negative":      func(c *Config) { c.Duration = -time.Second },
		"wait -1s: it cannot be negative":          func(c *Config) { c.Wait = -time.Second },
		"interval -1s: it cannot be negative":      func(c *Config) { c.Interval = -time.Second },
		"inputs: rate -1: it cannot be negative":   func(c *Config) { c.Inputs.Rate = -1 },
		"chat: rate NaN: it cannot be negative":    func(c *Config) { c.Chat.Rate = math.NaN() },
		"inputs: rate +Inf: at most 10000":         func(c *Config) { c.Inputs.Rate = math.Inf(1) },
		"inputs: size 27: every message carries a": func(c *Config) { c.Inputs.Size = 27 },
		"chat: size 70000: a message has at most":  func(c *Config) { c.Chat.Size = 70000 },
		"sequence numbers tell apart":              func(c *Config) { c.Chat.Rate, c.Duration = 10000, 200*time.Hour },
		"OpenTimeout -1s is negative":              func(c *Config) { c.Options.OpenTimeout = -time.Second },
	} {
		c := good()
		change(&c)
		assert.ErrorContains(t, c.Validate(), text)
		_, err := Run(context.Background(), c)
		assert.ErrorContains(t, err, text)
	}
	c = good()
	c.Inputs = Flow{Rate: 0, Size: 1}
	assert.NoError(t, c.Validate(), "a size that is not used")
}

func TestJSONIsReadBack(t *testing.T) {
	var h measure.Histogram
	h.Add(1_500_000)
	r := Report{
		Schema: Schema, Started: time.Unix(1, 0).UTC(), Setting: Setting{Address: "a:1", Transport: "tcp", Clients: 2, Duration: 1e6, Seed: 4},
		Opening: OpeningReport{Opened: 2, Histogram: &h}, Transports: map[string]int{"tcp": 2},
		Flows:    []FlowReport{{Name: "inputs", Sent: 4, Lost: 1, Echoes: Echoes{Received: 3}, Latency: latencyOf(&h), Histogram: &h}},
		Failures: []Failure{{What: session, Reason: "connection lost", Count: 1, Example: "x"}},
	}
	var out bytes.Buffer
	require.NoError(t, r.WriteJSON(&out))
	var generic map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &generic))
	flow := generic["flows"].([]any)[0].(map[string]any)
	assert.EqualValues(t, 3, flow["received"])
	assert.EqualValues(t, 1500, flow["latency_us"].(map[string]any)["p99"])
	assert.Equal(t, []any{[]any{1500.0, 1.0}}, flow["histogram_us"])
	var back Report
	require.NoError(t, json.Unmarshal(out.Bytes(), &back))
	var again bytes.Buffer
	require.NoError(t, back.WriteJSON(&again))
	assert.Equal(t, out.String(), again.String())
}

func TestTextTellsWhatAReaderMustKnow(t *testing.T) {
	r := Report{
		Setting: Setting{Clients: 3}, Opening: OpeningReport{Opened: 2, Failed: 1, Ramp: 2e6}, Transports: map[string]int{"tcp": 2},
		Flows: []FlowReport{{Name: "inputs", Sent: 10, Lost: 10}}, Interrupted: true, EndedEarly: true, Unsent: 4,
		Failures: []Failure{{What: opening, Reason: "tcp connect: connection refused", Count: 1, Example: "no session"}},
	}
	var out bytes.Buffer
	require.NoError(t, r.WriteText(&out))
	for _, want := range []string{
		"inputs    10         0    10  100.000%", "opened     2 of 3 in 2s: tcp 2", "1 × open: tcp connect: connection refused",
		"such as: no session", "was interrupted", "ended early", "No echo came back", "4 messages were due and never sent",
	} {
		assert.Contains(t, out.String(), want)
	}
	r = Report{Flows: []FlowReport{{Name: "chat", Sent: 1, Echoes: Echoes{Received: 1}, Latency: Latency{1, 1, 1, 1000, 1, 1}}}, Lag: Latency{1, 1, 1, 900, 1, 1}}
	out.Reset()
	require.NoError(t, r.WriteText(&out))
	assert.Contains(t, out.String(), "This process sent late")
	assert.NotContains(t, out.String(), "No echo")
}
