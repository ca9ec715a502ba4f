package admin

import (
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"strait/transport"
	"strait/upstream"
)

// metrics turns a snapshot of the gateway into Prometheus samples.
type metrics struct{ gw Gateway }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("strait_"+name, help, labels, nil)
}

var (
	descSessions      = desc("sessions", "Sessions now, by the transport that carries them now.", "transport")
	descOffers        = desc("lane_offers_total", "Offers of unreliable lanes given to clients, fresh ones included.")
	descOffersRefused = desc("lane_offers_refused_total", "Sessions that wanted an unreliable lane and opened without one.", "reason")
	descUnopened      = desc("unopened_connections", "Connections that have no session yet.")
	descEvicted       = desc("evicted_openings_total", "Unfinished openings that made room for newer ones.")
	descOpenings      = desc("openings_total", "Openings by the code they ended with; NORMAL is a session, LOST a connection that ended without a word.", "code")
	descEndings       = desc("session_ends_total", "Ended sessions by close code; LOST is a connection that ended without CLOSE.", "code")
	descMessages      = desc("messages_total", "Messages by direction (in: from clients; out: handed to a lane) and delivery class.", "direction", "delivery")
	descBytes         = desc("message_bytes_total", "Payload bytes by direction (in: from clients) and delivery class.", "direction", "delivery")
	descDrops         = desc("drops_total", "Discarded messages and commands by reason.", "reason")
	descQueue         = desc("queue_depth", "Events waiting on a dispatcher shard's ring.", "shard")
	descQueueCap      = desc("queue_capacity", "Events that each dispatcher shard's ring holds.")
	descDispatch      = desc("dispatch_latency_seconds", "Time of sampled messages from their lane to the upstream driver.")
	descGroups        = desc("groups", "Groups with members.")
	descBuffers       = desc("buffer_bytes", "Bytes in message buffers now.")
	descBufferLimit   = desc("buffer_budget_bytes", "Budget of bytes in message buffers; 0 without one.")
	descStreams       = desc("upstream_streams", "Streams to game logic by state.", "backend", "state")
	descStreamLost    = desc("upstream_stream_lost_total", "How often a stream to game logic was lost.", "backend", "stream")
	descStreamSess    = desc("upstream_sessions", "Sessions on a stream to game logic.", "backend", "stream")
	descStreamQueued  = desc("upstream_queued_bytes", "Bytes waiting to be written to game logic.", "backend", "stream")
	descStreamUnacked = desc("upstream_unacked_bytes", "Bytes kept until game logic acknowledges them.", "backend", "stream")
	descStreamLag     = desc("upstream_lag_seconds", "Age of the oldest event waiting to be written to game logic.", "backend", "stream")
	descWaiting       = desc("upstream_waiting_sessions", "Sessions that wait for game logic within the grace time.")
	descReady         = desc("ready", "1 when clients can play.")
)

// builtin are the collectors that every gateway has.
func builtin(c Config) []prometheus.Collector {
	info := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "strait_build_info",
		Help:        "Always 1; the labels say what is running.",
		ConstLabels: prometheus.Labels{"version": c.Version, "go": runtime.Version()},
	}, func() float64 { return 1 })
	return []prometheus.Collector{
		&metrics{c.Gateway}, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}
}

func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descSessions, descOffers, descOffersRefused, descUnopened, descEvicted, descOpenings, descEndings, descMessages, descBytes, descDrops,
		descQueue, descQueueCap, descDispatch, descGroups, descBuffers, descBufferLimit, descStreams, descStreamLost,
		descStreamSess, descStreamQueued, descStreamUnacked, descStreamLag, descWaiting, descReady,
	} {
		ch <- d
	}
}

func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	st := m.gw.Stats()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	for k, n := range st.Sessions {
		gauge(descSessions, float64(n), k.String())
	}
	counter(descOffers, float64(st.Offers))
	for reason, n := range st.OffersRefused {
		counter(descOffersRefused, float64(n), reason)
	}
	gauge(descUnopened, float64(st.Unopened))
	counter(descEvicted, float64(st.Evicted))
	for code, n := range st.Openings {
		counter(descOpenings, float64(n), code)
	}
	for code, n := range st.Endings {
		counter(descEndings, float64(n), code)
	}
	for d := range 2 {
		class := transport.Delivery(d).String()
		counter(descMessages, float64(st.Received[d].Messages), "in", class)
		counter(descMessages, float64(st.Sent[d].Messages), "out", class)
		counter(descBytes, float64(st.Received[d].Bytes), "in", class)
		counter(descBytes, float64(st.Sent[d].Bytes), "out", class)
	}
	for r, n := range st.Drops {
		counter(descDrops, float64(n), upstream.Drop(r).String())
	}
	for i, n := range st.QueueLen {
		gauge(descQueue, float64(n), strconv.Itoa(i))
	}
	gauge(descQueueCap, float64(st.QueueCap))
	gauge(descGroups, float64(st.Groups))
	gauge(descBuffers, float64(st.BufferBytes))
	gauge(descBufferLimit, float64(st.BufferLimit))
	gauge(descWaiting, float64(st.Upstream.Waiting))
	ready := 0.0
	if ok, _ := m.gw.Ready(); ok {
		ready = 1
	}
	gauge(descReady, ready)

	cumulative := make(map[float64]uint64, len(st.Dispatch.Bounds))
	var count uint64
	for i, n := range st.Dispatch.Counts {
		count += uint64(n)
		if i < len(st.Dispatch.Bounds) {
			cumulative[st.Dispatch.Bounds[i]] = count
		}
	}
	ch <- prometheus.MustNewConstHistogram(descDispatch, count, st.Dispatch.Sum, cumulative)

	type state struct{ backend, state string }
	states := make(map[state]int)
	for _, s := range st.Upstream.Streams {
		states[state{s.Backend, s.State}]++
		n := strconv.Itoa(s.Stream)
		counter(descStreamLost, float64(s.Lost), s.Backend, n)
		gauge(descStreamSess, float64(s.Sessions), s.Backend, n)
		gauge(descStreamQueued, float64(s.QueuedBytes), s.Backend, n)
		gauge(descStreamUnacked, float64(s.Unacked), s.Backend, n)
		gauge(descStreamLag, float64(s.LagMicros)/1e6, s.Backend, n)
	}
	for s, n := range states {
		gauge(descStreams, float64(n), s.backend, s.state)
	}
}
