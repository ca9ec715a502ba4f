package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"strait/quic"
	"strait/quic/session"
)

// quicMetrics exports what the QUIC listener counts.
type quicMetrics struct{ l *quic.Listener }

var (
	descQUICBegun      = prometheus.NewDesc("strait_quic_handshakes_total", "QUIC handshakes, begun and completed.", []string{"what"}, nil)
	descQUICFailures   = prometheus.NewDesc("strait_quic_handshake_failures_total", "Handshakes that were begun and not completed, by reason.", []string{"reason"}, nil)
	descQUICRefusals   = prometheus.NewDesc("strait_quic_handshake_refusals_total", "Handshakes that were not begun, by reason.", []string{"reason"}, nil)
	descQUICRetries    = prometheus.NewDesc("strait_quic_retries_total", "Clients asked to prove their address.", nil, nil)
	descQUICOpen       = prometheus.NewDesc("strait_quic_connections", "QUIC connections now, whatever their state.", nil, nil)
	descQUICUnfinished = prometheus.NewDesc("strait_quic_handshakes_unfinished", "Handshakes under way now.", nil, nil)
	descQUICDatagrams  = prometheus.NewDesc("strait_quic_datagrams_total", "DATAGRAM frames by direction (in: from clients).", []string{"direction"}, nil)
	descQUICDropped    = prometheus.NewDesc("strait_quic_datagrams_dropped_total", "DATAGRAM frames dropped, by reason.", []string{"reason"}, nil)
	descQUICStreams    = prometheus.NewDesc("strait_quic_channel_streams_total", "Channel streams, by who opened them.", []string{"by"}, nil)
	descQUICShared     = prometheus.NewDesc("strait_quic_channels_shared_total", "Channels that use the control stream because the client gave no credit for streams.", nil, nil)
	descQUICMigrations = prometheus.NewDesc("strait_quic_migrations_total", "Changes of a client's address.", nil, nil)
	descQUICEnds       = prometheus.NewDesc("strait_quic_ends_total", "Ends: in order, forced before CLOSE was written, lost without a reason from the client.", []string{"how"}, nil)
)

func (m quicMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descQUICBegun, descQUICFailures, descQUICRefusals, descQUICRetries, descQUICOpen, descQUICUnfinished,
		descQUICDatagrams, descQUICDropped, descQUICStreams, descQUICShared, descQUICMigrations, descQUICEnds,
	} {
		ch <- d
	}
}

func (m quicMetrics) Collect(ch chan<- prometheus.Metric) {
	st := m.l.Stats()
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	counter(descQUICBegun, st.Begun, "begun")
	counter(descQUICBegun, st.Completed, "completed")
	for f, n := range st.HandshakeFailures {
		counter(descQUICFailures, n, quic.Failure(f).String())
	}
	for r, n := range st.HandshakeRefusals {
		counter(descQUICRefusals, n, quic.Refusal(r).String())
	}
	counter(descQUICRetries, st.Retries)
	gauge(descQUICOpen, float64(st.Open))
	gauge(descQUICUnfinished, float64(st.Unfinished))
	counter(descQUICDatagrams, st.Session.DatagramsIn, "in")
	counter(descQUICDatagrams, st.Session.DatagramsOut, "out")
	for d, n := range st.Session.Dropped {
		counter(descQUICDropped, n, session.Drop(d).String())
	}
	counter(descQUICStreams, st.Session.StreamsIn, "client")
	counter(descQUICStreams, st.Session.StreamsOut, "gateway")
	counter(descQUICShared, st.Session.Shared)
	counter(descQUICMigrations, st.Session.Migrations)
	counter(descQUICEnds, st.Session.InOrder, "in_order")
	counter(descQUICEnds, st.Session.Forced, "forced")
	counter(descQUICEnds, st.Session.Lost, "lost")
}
