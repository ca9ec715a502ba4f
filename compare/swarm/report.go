package swarm

import (
	"encoding/json"
	"io"
	"math"
	"time"

	"strait/compare/measure"
)

// Schema names the form of the JSON.
const Schema = "strait-swarm/1"

// Report is what a run found out. Its durations are microseconds.
type Report struct {
	Schema  string    `json:"schema"`
	Started time.Time `json:"started"`
	Setting Setting   `json:"setting"`

	// Interrupted says that the run was ended from outside, EndedEarly that it ended
	// because no client was left.
	Interrupted bool `json:"interrupted"`
	EndedEarly  bool `json:"ended_early"`

	Opening    OpeningReport  `json:"opening"`
	Transports map[string]int `json:"transports"` // clients by what their session was on at the end of the load
	Flows      []FlowReport   `json:"flows"`      // those that were to be sent
	Snapshots  Snapshots      `json:"snapshots"`
	Throughput Throughput     `json:"throughput"`
	Client     ClientReport   `json:"client"`
	// Lag is how late this process sent, and Unsent how many messages were due and
	// never sent: what it could not do is no fault of the gateway.
	Lag      Latency   `json:"lag_us"`
	Unsent   uint64    `json:"unsent"`
	Failures []Failure `json:"failures"`

	lag measure.Histogram
}

// Setting is what was asked for.
type Setting struct {
	Address   string  `json:"address"`
	Transport string  `json:"transport"`
	Clients   int     `json:"clients"`
	Ramp      float64 `json:"ramp_us"`
	Duration  float64 `json:"duration_us"`
	KeepGoing bool    `json:"keep_going"`
	Seed      uint64  `json:"seed"`
}

// OpeningReport is about the first session of each client.
type OpeningReport struct {
	Opened int     `json:"opened"`
	Failed int     `json:"failed"`
	Ramp   float64 `json:"ramp_us"` // how long all openings took
	// Time is that of one opening, from connecting to SERVER_HELLO.
	Time      Latency            `json:"time_us"`
	Histogram *measure.Histogram `json:"histogram_us"`
}

// FlowReport is about one flow of all clients together. Latency counts from when a
// message was due until its echo was received.
type FlowReport struct {
	Name    string  `json:"name"`
	Rate    float64 `json:"rate"` // of each client, messages a second
	Size    int     `json:"size"`
	Channel uint8   `json:"channel"`
	Sent    uint64  `json:"sent"`
	Lost    uint64  `json:"lost"`
	Echoes
	Latency   Latency            `json:"latency_us"`
	Histogram *measure.Histogram `json:"histogram_us"`
}

// Loss is the share of the messages that did not come back; 0 if none was sent.
func (f *FlowReport) Loss() float64 {
	if f.Sent == 0 {
		return 0
	}
	return float64(f.Lost) / float64(f.Sent)
}

// Snapshots are messages that are no echo.
type Snapshots struct {
	Received uint64 `json:"received"`
	Bytes    uint64 `json:"bytes"`
}

// Throughput is the mean over the load, of messages and their payload.
type Throughput struct {
	Seconds      float64 `json:"seconds"`
	UpMessages   float64 `json:"up_messages_per_second"`
	UpBytes      float64 `json:"up_bytes_per_second"`
	DownMessages float64 `json:"down_messages_per_second"` // echoes and snapshots
	DownBytes    float64 `json:"down_bytes_per_second"`
}

// ClientReport is what the client library counts of what it did not deliver, until
// the clients were closed.
type ClientReport struct {
	SendDropped    uint64 `json:"send_dropped"`    // unreliable ones that gave way to newer ones before they were sent
	Stale          uint64 `json:"stale"`           // unreliable ones that arrived after a newer one, or twice
	ReceiveDropped uint64 `json:"receive_dropped"` // unreliable ones that gave way to newer ones after they arrived
	LostReliable   uint64 `json:"lost_reliable"`   // were queued when their session ended
	Reopened       uint64 `json:"reopened"`        // sessions after the first
}

// Latency is a distribution in microseconds; all are 0 when Count is.
type Latency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

func latencyOf(h *measure.Histogram) Latency {
	if h.Count() == 0 {
		return Latency{}
	}
	at := func(q float64) float64 { return math.Round(h.Quantile(q) * 1000) }
	return Latency{h.Count(), at(0.5), at(0.9), at(0.99), at(0.999), at(1)}
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// throughput notes what was sent and received while the load lasted.
func (r *Report) throughput(t totals, sizes [flows]int, took time.Duration) {
	s := took.Seconds()
	if s <= 0 {
		return
	}
	var up, down, downBytes uint64
	for f, sent := range t.sent {
		up += sent * uint64(sizes[f])
		down += t.back[f].Received + t.back[f].Duplicated
		downBytes += t.back[f].Bytes
	}
	r.Throughput = Throughput{
		Seconds: s, UpMessages: float64(t.allSent()) / s, UpBytes: float64(up) / s,
		DownMessages: float64(down+t.snapshots) / s, DownBytes: float64(downBytes+t.snapshotBytes) / s,
	}
}

// report completes r when everything has ended.
func (s *swarm) report(r *Report, o *observer) {
	c := s.config
	r.Schema = Schema
	r.Setting = Setting{
		Address: c.Addr, Transport: transportOf(&c.Options).String(), Clients: c.Clients,
		Ramp: micros(c.Ramp), Duration: micros(c.Duration), KeepGoing: c.KeepGoing, Seed: c.Seed,
	}
	r.Opening.Opened, r.Opening.Failed = s.opened, s.failed
	r.Opening.Time, r.Opening.Histogram = latencyOf(&s.openTimes), &s.openTimes
	r.Transports = make(map[string]int)
	for _, p := range s.players {
		if p.open.Load() {
			r.Transports[Transport{p.transport, c.Options.NoDatagrams}.String()]++
		}
	}
	t := sum(s.tallies)
	r.Flows = []FlowReport{}
	for f, flow := range c.flows() {
		if flow.Rate == 0 {
			continue
		}
		r.Flows = append(r.Flows, FlowReport{
			Name: FlowName(f), Rate: flow.Rate, Size: flow.Size, Channel: flow.Channel,
			Sent: t.sent[f], Lost: t.sent[f] - min(t.back[f].Received, t.sent[f]), Echoes: t.back[f],
			Latency: latencyOf(&o.latency[f]), Histogram: &o.latency[f],
		})
	}
	r.Snapshots = Snapshots{t.snapshots, t.snapshotBytes}
	r.Lag = latencyOf(&r.lag)
	r.Failures = s.failures.list()
}

// counters sums up what the client library counted.
func (s *swarm) counters() (r ClientReport) {
	for _, p := range s.players {
		if !p.open.Load() {
			continue
		}
		c := p.client.Info().Counters
		r.SendDropped += c.SendDropped
		r.Stale += c.Stale
		r.ReceiveDropped += c.ReceiveDropped
		r.LostReliable += c.LostReliable
		r.Reopened += c.Reopened
	}
	return r
}

// WriteJSON writes the report on one line.
func (r *Report) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }
