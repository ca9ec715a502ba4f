package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"strait/tcp"
)

// tcpMetrics exports what the TCP listener counts.
type tcpMetrics struct{ l *tcp.Listener }

var (
	descTCPAccepted = prometheus.NewDesc("strait_tcp_accepted_total", "TCP connections accepted.", nil, nil)
	descTCPErrors   = prometheus.NewDesc("strait_tcp_accept_errors_total", "Failed accepts, such as for want of file descriptors.", nil, nil)
	descTCPFailures = prometheus.NewDesc("strait_tcp_handshake_failures_total", "Connections that ended before TLS was established.", []string{"reason"}, nil)
	descTCPOpen     = prometheus.NewDesc("strait_tcp_connections", "TCP connections now, whatever their state.", nil, nil)
	descTCPBytes    = prometheus.NewDesc("strait_tcp_bytes_total", "Bytes on the wire, TLS included, by direction (in: from clients).", []string{"direction"}, nil)
	descTCPEnds     = prometheus.NewDesc("strait_tcp_ends_total", "Ends: lingered in order, forced before CLOSE was written, lost without CLOSE from the client.", []string{"how"}, nil)
)

func (m tcpMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descTCPAccepted, descTCPErrors, descTCPFailures, descTCPOpen, descTCPBytes, descTCPEnds} {
		ch <- d
	}
}

func (m tcpMetrics) Collect(ch chan<- prometheus.Metric) {
	st := m.l.Stats()
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	counter(descTCPAccepted, st.Accepted)
	counter(descTCPErrors, st.AcceptErrors)
	for f, n := range st.HandshakeFailures {
		counter(descTCPFailures, n, tcp.Failure(f).String())
	}
	ch <- prometheus.MustNewConstMetric(descTCPOpen, prometheus.GaugeValue, float64(st.Open))
	counter(descTCPBytes, st.BytesIn, "in")
	counter(descTCPBytes, st.BytesOut, "out")
	counter(descTCPEnds, st.Lingered, "lingered")
	counter(descTCPEnds, st.Forced, "forced")
	counter(descTCPEnds, st.Lost, "lost")
}
