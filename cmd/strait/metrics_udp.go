package main

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"strait/udp"
	"strait/udp/sealed"
)

// udpMetrics exports what the sealed UDP service counts.
type udpMetrics struct{ s *udp.Service }

var (
	descUDPLanes     = prometheus.NewDesc("strait_udp_lanes", "Sealed lanes now, by whether they carry messages.", []string{"bound"}, nil)
	descUDPOffers    = prometheus.NewDesc("strait_udp_offers_total", "Offers of lanes made, renewals of keys among them.", nil, nil)
	descUDPBindings  = prometheus.NewDesc("strait_udp_bindings_total", "Times that a lane was bound.", nil, nil)
	descUDPUnbound   = prometheus.NewDesc("strait_udp_unbound_total", "Times that a bound lane no longer was, by cause.", []string{"cause"}, nil)
	descUDPMoves     = prometheus.NewDesc("strait_udp_moves_total", "Moves of bound lanes to another address of their client.", nil, nil)
	descUDPHellos    = prometheus.NewDesc("strait_udp_hellos_total", "HELLOs by outcome; accepted were answered.", []string{"outcome"}, nil)
	descUDPDrops     = prometheus.NewDesc("strait_udp_drops_total", "Datagrams, frames and answers dropped, by reason; of type, size, version, hello, empty, frame, overrun, direction, padding and field are the malformed ones.", []string{"reason"}, nil)
	descUDPLate      = prometheus.NewDesc("strait_udp_late_total", "Datagrams for lanes that had ended.", nil, nil)
	descUDPAnswers   = prometheus.NewDesc("strait_udp_stateless_answers_total", "RETRYs and RESETs: sent, withheld by the rate, dropped for want of room.", []string{"type", "what"}, nil)
	descUDPLoaded    = prometheus.NewDesc("strait_udp_loaded", "1 while HELLOs need a cookie because of load.", nil, nil)
	descUDPMessages  = prometheus.NewDesc("strait_udp_messages_total", "Messages by direction (in: from clients).", []string{"direction"}, nil)
	descUDPLost      = prometheus.NewDesc("strait_udp_messages_lost_total", "Messages that left their session, and count as out in strait_messages_total, but could not be sent: the lane had just ended, or ended before its new address had proven itself.", nil, nil)
	descUDPDatagrams = prometheus.NewDesc("strait_udp_datagrams_total", "Datagrams by socket and direction.", []string{"socket", "direction"}, nil)
	descUDPBytes     = prometheus.NewDesc("strait_udp_bytes_total", "Bytes of datagrams by socket and direction.", []string{"socket", "direction"}, nil)
	descUDPRefused   = prometheus.NewDesc("strait_udp_send_refused_total", "Datagrams that the system did not take, by socket.", []string{"socket"}, nil)
	descUDPFull      = prometheus.NewDesc("strait_udp_send_full_total", "Times that a socket's send buffer was full.", []string{"socket"}, nil)
	descUDPBuffer    = prometheus.NewDesc("strait_udp_socket_buffer_bytes", "Socket buffers that the system granted.", []string{"socket", "direction"}, nil)
	descUDPRTT       = prometheus.NewDesc("strait_udp_lane_rtt_seconds", "Bound lanes by their smoothed round trip, now.", []string{"le"}, nil)
	descUDPLoss      = prometheus.NewDesc("strait_udp_lane_loss_ratio", "Bound lanes by their loss towards the client, now.", []string{"le"}, nil)
)

func (m udpMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descUDPLanes, descUDPOffers, descUDPBindings, descUDPUnbound, descUDPMoves, descUDPHellos, descUDPDrops, descUDPLate,
		descUDPAnswers, descUDPLoaded, descUDPMessages, descUDPLost, descUDPDatagrams, descUDPBytes, descUDPRefused, descUDPFull,
		descUDPBuffer, descUDPRTT, descUDPLoss,
	} {
		ch <- d
	}
}

func (m udpMetrics) Collect(ch chan<- prometheus.Metric) {
	st := m.s.Stats()
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(descUDPLanes, float64(st.Bound), "yes")
	gauge(descUDPLanes, float64(st.Lanes-st.Bound), "no")
	counter(descUDPOffers, st.Offers)
	counter(descUDPBindings, st.Bindings)
	for c, n := range st.Unbound {
		counter(descUDPUnbound, n, sealed.Cause(c).String())
	}
	counter(descUDPMoves, st.Moves)
	for d := range st.Hellos {
		outcome := sealed.Drop(d).String()
		if sealed.Drop(d) == sealed.DropNone {
			outcome = "accepted"
		}
		counter(descUDPHellos, st.Hellos[d], outcome)
	}
	for d := 1; d < len(st.Drops); d++ {
		counter(descUDPDrops, st.Drops[d], sealed.Drop(d).String())
	}
	counter(descUDPLate, st.Late)
	counter(descUDPAnswers, st.Retries, "retry", "sent")
	counter(descUDPAnswers, st.Resets, "reset", "sent")
	counter(descUDPAnswers, st.ResetsWithheld, "reset", "withheld")
	counter(descUDPAnswers, st.RepliesDropped, "any", "dropped")
	loaded := 0.0
	if st.Loaded {
		loaded = 1
	}
	gauge(descUDPLoaded, loaded)
	counter(descUDPMessages, st.MessagesIn, "in")
	counter(descUDPMessages, st.MessagesOut, "out")
	counter(descUDPLost, st.MessagesLost)
	for i, s := range st.Sockets {
		n := strconv.Itoa(i)
		counter(descUDPDatagrams, s.DatagramsIn, n, "in")
		counter(descUDPDatagrams, s.DatagramsOut, n, "out")
		counter(descUDPBytes, s.BytesIn, n, "in")
		counter(descUDPBytes, s.BytesOut, n, "out")
		counter(descUDPRefused, s.Refused, n)
		counter(descUDPFull, s.Full, n)
		gauge(descUDPBuffer, float64(s.ReadBuffer), n, "in")
		gauge(descUDPBuffer, float64(s.WriteBuffer), n, "out")
	}
	cumulative(gauge, descUDPRTT, st.RTT[:], func(i int) float64 { return time.Duration(udp.RTTBounds[i]).Seconds() })
	cumulative(gauge, descUDPLoss, st.Loss[:], func(i int) float64 { return udp.LossBounds[i] })
}

// cumulative exports a distribution of now as a histogram counts: each part holds
// those below it, too.
func cumulative(gauge func(*prometheus.Desc, float64, ...string), d *prometheus.Desc, parts []int64, bound func(i int) float64) {
	sum := int64(0)
	for i, n := range parts {
		sum += n
		le := "+Inf"
		if i < len(parts)-1 {
			le = strconv.FormatFloat(bound(i), 'g', -1, 64)
		}
		gauge(d, float64(sum), le)
	}
}
