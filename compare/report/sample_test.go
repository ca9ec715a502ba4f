package report_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"strait/compare/measure"
	"strait/compare/report"
)

// network is a scenario of the sample: times in ms.
type network struct {
	id, players   string
	delay, jitter float64
	loss          float64
	blocked       bool // for UDP
	outage        *measure.Span
}

var networks = []network{
	{id: "lan", players: "players in the same building", delay: 0.3, jitter: 0.1},
	{id: "fiber", players: "players on fibre", delay: 8, jitter: 0.5},
	{id: "cable-bufferbloat", players: "players on cable while someone uploads", delay: 90, jitter: 45, loss: 0.01},
	{id: "wifi-good", players: "players on good wifi", delay: 12, jitter: 3, loss: 0.002},
	{id: "wifi-bad", players: "players on bad wifi", delay: 25, jitter: 20, loss: 0.04},
	{id: "4g", players: "players on 4G", delay: 35, jitter: 12, loss: 0.01},
	{id: "5g", players: "players on 5G", delay: 15, jitter: 5, loss: 0.003},
	{id: "3g", players: "players on 3G", delay: 110, jitter: 40, loss: 0.02},
	{id: "intercontinental", players: "players on another continent", delay: 140, jitter: 4, loss: 0.006},
	{id: "satellite", players: "players behind a satellite", delay: 300, jitter: 15, loss: 0.01},
	{id: "mobile-handover", players: "players who change from wifi to mobile", delay: 30, jitter: 10, loss: 0.01, outage: &measure.Span{Name: "handover", From: 4e9, To: 5e9}},
	{id: "udp-blocked", players: "players whose network blocks UDP", delay: 20, jitter: 3, loss: 0.002, blocked: true},
}

// carrier is a transport of the sample.
type carrier struct {
	id, note string
	over     bool    // UDP
	ordered  bool    // one stream carries everything
	datagram bool    // unreliable messages are lost instead of late
	recover  float64 // ms after an outage
	wire     float64
	cpu      float64
}

var carriers = []carrier{
	{"tcp", "reliable on TLS", false, true, false, 900, 1.55, 14},
	{"tcp+udp", "TLS, with sealed UDP for what is unreliable", false, false, true, 350, 1.32, 12},
	{"quic", "QUIC, a stream for each channel", true, false, false, 500, 1.45, 22},
	{"quic+dgram", "QUIC with datagrams", true, false, true, 420, 1.42, 23},
	{"quic-1stream", "QUIC, one stream for everything", true, true, false, 520, 1.44, 21},
	{"kcp", "KCP with AES, NoDelay(1, 10, 2, 1)", true, true, false, 3100, 2.6, 19},
	{"websocket", "WebSocket on TLS", false, true, false, 1100, 1.58, 17},
}

var flows = []measure.Flow{
	{Name: "inputs", Up: true, Bytes: 48, PerSecond: 60},
	{Name: "snapshots", Bytes: 500, PerSecond: 30, State: true},
	{Name: "events up", Up: true, Reliable: true, Channel: 1, Bytes: 120, PerSecond: 5},
	{Name: "events down", Reliable: true, Channel: 2, Bytes: 120, PerSecond: 5},
}

// sample makes up a comparison; equal arguments give an equal one.
func sample(t *testing.T, networks []network, carriers []carrier, repetitions int, seconds float64) *report.Report {
	t.Helper()
	r := &report.Report{
		Title:   "Strait: transports compared",
		Created: "2026-01-02T03:04:05Z",
		Environment: report.Environment{
			Kernel: "6.12.0 x86_64", Processor: "a processor", CPUs: 2, MemoryMiB: 24064, Go: "go1.26",
			Programs: []report.Program{{Name: "strait", Version: "1.2.3"}, {Name: "kcp-go", Version: "v5.6.24"}, {Name: "coder/websocket", Version: "v1.8.15"}},
		},
		Plan: report.Plan{Seed: 42, Repetitions: repetitions, Seconds: seconds, WarmUp: 2, Players: 1, Flows: flows},
	}
	for _, c := range carriers {
		r.Transports = append(r.Transports, report.Transport{ID: c.id, Note: c.note})
	}
	for i, n := range networks {
		s := report.Scenario{
			ID: n.id, Players: n.players, Description: "A network made up for tests.",
			Parameters: []string{"delay and loss as the sample says"},
		}
		if n.outage != nil {
			s.Outages = []measure.Span{*n.outage}
		}
		r.Scenarios = append(r.Scenarios, s)
		for k, c := range carriers {
			for rep := range repetitions {
				run := made(t, n, c, rand.New(rand.NewPCG(uint64(i*1000+rep), uint64(k))), seconds)
				run.Repetition, run.Seed = rep, uint64(i*1000+rep)
				r.Runs = append(r.Runs, run)
			}
		}
	}
	return r
}

// made makes up a run.
func made(t *testing.T, n network, c carrier, random *rand.Rand, seconds float64) *measure.Run {
	t.Helper()
	w := measure.Window{From: 1e9, To: 1e9 + int64(seconds*1e9)}
	player := measure.PlayerLog{Dialled: 1, Opened: 1 + int64(3*n.delay*1e6), Logs: make([]measure.Log, len(flows))}
	var outages []measure.Span
	if n.outage != nil {
		outages = append(outages, *n.outage)
	}
	if n.blocked && c.over {
		player.Opened, player.Failure = 0, "could not connect: no answer"
	}
	for i, f := range flows {
		l := &player.Logs[i]
		behind := 0.0 // until when the stream is held up, ms
		for seq := range uint32(f.PerSecond * seconds) {
			due := w.From + int64(float64(seq)*1e9/f.PerSecond)
			l.Due = append(l.Due, due)
			if player.Failure != "" {
				continue
			}
			at := float64(due)/1e6 + n.delay + math.Abs(random.NormFloat64())*n.jitter
			lost := random.Float64() < n.loss
			if o := n.outage; o != nil && due >= w.From+o.From && due < w.From+o.To {
				lost = true
				at = float64(w.From+o.To)/1e6 + c.recover - n.delay
			}
			lossy := c.datagram && !f.Reliable
			if lost && lossy {
				continue
			}
			if lost {
				at += 2*n.delay + 10
			}
			if f.Reliable || !lossy {
				at = max(at, behind)
				behind = at
			}
			l.Arrivals = append(l.Arrivals, measure.Arrival{Seq: seq, Due: due, At: int64(at * 1e6)})
		}
	}
	run, err := measure.Take(flows, []measure.PlayerLog{player}, w, outages)
	require.NoError(t, err)
	run.Transport, run.Scenario = c.id, n.id
	useful := 0.0
	messages := 0.0
	for i := range run.Flows {
		useful += float64(run.Flows[i].Useful())
		messages += float64(run.Flows[i].Delivered)
	}
	up, down := uint64(useful*c.wire*0.2), uint64(useful*c.wire*0.8*(1+0.02*random.Float64()))
	cpu := messages * c.cpu * (1 + 0.1*random.Float64()) / 1e6
	run.Cost = measure.Cost{WireUp: &up, WireDown: &down, ServerCPU: &cpu, ClientCPU: &cpu}
	return run
}
