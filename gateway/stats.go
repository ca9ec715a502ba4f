package gateway

import (
	"math/bits"
	"sync/atomic"
	"time"

	"strait/transport"
	"strait/upstream"
)

// counters are what one shard counts; padded, so that shards do not share cache
// lines.
type counters struct {
	in, out traffic
	latency latency
	drops   [upstream.Drops]atomic.Int64
	_       [64]byte
}

func (c *counters) drop(r upstream.Drop, n int) {
	if n > 0 {
		c.drops[r].Add(int64(n))
	}
}

// traffic counts messages and payload bytes by delivery class.
type traffic struct {
	messages, bytes [2]atomic.Int64
}

func (t *traffic) add(n, bytes [2]int64) {
	for d := range n {
		if n[d] > 0 {
			t.messages[d].Add(n[d])
			t.bytes[d].Add(bytes[d])
		}
	}
}

// outcomes counts reasons by code; the place behind the last code is for
// connections that were lost without one.
type outcomes [transport.Codes + 1]atomic.Int64

func (o *outcomes) count(r transport.Reason) {
	switch {
	case r.Lost:
		o[transport.Codes].Add(1)
	case r.Code.Known():
		o[r.Code].Add(1)
	default:
		o[transport.Normal].Add(1)
	}
}

func (o *outcomes) snapshot() map[string]int64 {
	m := make(map[string]int64, len(o))
	for i := range o {
		name := "LOST"
		if i < transport.Codes {
			name = transport.Code(i).String()
		}
		m[name] = o[i].Load()
	}
	return m
}

// latencyBuckets are powers of two of microseconds, from 1 µs to 4 s.
const latencyBuckets = 23

// latency is a histogram of durations in powers of two.
type latency struct {
	buckets [latencyBuckets + 1]atomic.Int64 // the last one is for all that is longer
	sum     atomic.Int64                     // nanoseconds
}

func (l *latency) observe(ns int64) {
	us := max(ns, 0) / 1000
	l.buckets[min(bits.Len64(uint64(us)), latencyBuckets)].Add(1)
	l.sum.Add(ns)
}

// Traffic is what went one way in one delivery class.
type Traffic struct{ Messages, Bytes int64 }

// Latency is a histogram: Counts[i] samples were below Bounds[i] seconds, and the
// last of Counts was above all; not cumulative.
type Latency struct {
	Bounds []float64
	Counts []int64
	Sum    float64 // seconds
}

// Stats is a snapshot of the gateway's counters for metrics.
type Stats struct {
	// Sessions are those that live now, by what carries them now.
	Sessions map[transport.Kind]int64
	// Openings and Endings are by the name of the code, or "LOST"; a NORMAL opening is
	// a session.
	Openings, Endings map[string]int64
	// Offers counts the offers of unreliable lanes that clients got, fresh ones
	// included; OffersRefused, by the text of the Offerer's error, the sessions that
	// wanted a lane and opened without one.
	Offers        int64
	OffersRefused map[string]int64
	// Unopened is the number of connections without a session; Evicted of those that
	// had to make room so far.
	Unopened int
	Evicted  uint64
	// Received and Sent are by transport.Delivery. Sent were handed to a lane, which
	// counts what it then could not send.
	Received, Sent [2]Traffic
	Drops          [upstream.Drops]int64
	// QueueLen is by shard.
	QueueLen    []int
	QueueCap    int
	Dispatch    Latency // of sampled messages, from the lane to the driver
	Groups      int
	BufferBytes int64
	BufferLimit int64
	Upstream    upstream.Status
}

// Stats returns a snapshot; counters are read one after the other.
func (g *Gateway) Stats() Stats {
	st := Stats{
		Sessions: make(map[transport.Kind]int64), Openings: g.openings.snapshot(), Endings: g.endings.snapshot(),
		Offers: g.offers.made.Load(), OffersRefused: g.offers.refusals(),
		QueueCap: g.cfg.QueueSize, Groups: g.groups.len(),
		BufferBytes: g.pool.Used(), BufferLimit: g.pool.Limit(), Upstream: g.driver.Status(),
	}
	st.Unopened, st.Evicted = g.unopened.Len()
	for _, k := range transport.Kinds {
		st.Sessions[k] = g.kinds[k].Load()
	}
	for i := range st.Drops {
		st.Drops[i] = g.drops[i].Load()
	}
	st.Dispatch.Counts = make([]int64, latencyBuckets+1)
	for i := range latencyBuckets {
		st.Dispatch.Bounds = append(st.Dispatch.Bounds, float64(int64(1)<<i)/1e6)
	}
	for _, sh := range g.shards {
		st.QueueLen = append(st.QueueLen, sh.ring.Len())
		for d := range 2 {
			st.Received[d].Messages += sh.in.messages[d].Load()
			st.Received[d].Bytes += sh.in.bytes[d].Load()
			st.Sent[d].Messages += sh.out.messages[d].Load()
			st.Sent[d].Bytes += sh.out.bytes[d].Load()
		}
		for i := range st.Drops {
			st.Drops[i] += sh.drops[i].Load()
		}
		for i := range st.Dispatch.Counts {
			st.Dispatch.Counts[i] += sh.latency.buckets[i].Load()
		}
		st.Dispatch.Sum += float64(sh.latency.sum.Load()) / 1e9
	}
	return st
}

// SessionInfo is one session for admin.
type SessionInfo struct {
	ID        string    `json:"id"`
	Handle    uint64    `json:"handle"`
	Subject   string    `json:"subject,omitempty"`
	Route     string    `json:"route,omitempty"`
	Transport string    `json:"transport"`
	Remote    string    `json:"remote"`
	Opened    time.Time `json:"opened"`
	Heard     time.Time `json:"heard"`
	RTTMicros int64     `json:"rtt_us"`
	Jitter    int64     `json:"jitter_us"`
	LossPPM   uint32    `json:"loss_ppm"`
	Queued    int       `json:"queued_bytes"`
	InFlight  int       `json:"in_flight_bytes"`
	Shard     int       `json:"shard"`
	// Lane is the unreliable lane that carries messages now; nil without one.
	Lane *LaneInfo `json:"lane,omitempty"`
}

// LaneInfo is the unreliable lane of a session for admin.
type LaneInfo struct {
	Remote    string    `json:"remote,omitempty"` // empty: the session's
	Bound     time.Time `json:"bound"`            // since when it carries messages
	Heard     time.Time `json:"heard"`
	RTTMicros int64     `json:"rtt_us"`
	Jitter    int64     `json:"jitter_us"`
	LossPPM   uint32    `json:"loss_ppm"`
	MaxBytes  int       `json:"max_bytes"` // the longest message
}

// Sessions calls f for each live session until it returns false.
func (g *Gateway) Sessions(f func(SessionInfo) bool) {
	more := true
	g.table.each(func(s *session) {
		if !more || s.end.Load() != nil {
			return
		}
		in := s.Info()
		info := SessionInfo{
			ID: s.ann.ID.String(), Handle: s.handle, Subject: s.ann.Subject, Route: s.ann.Route,
			Transport: in.Kind.String(), Remote: in.Remote.String(), Opened: in.Opened, Heard: in.Path.Heard,
			RTTMicros: in.Path.RTT.Microseconds(), Jitter: in.Path.Jitter.Microseconds(), LossPPM: in.Path.LossPPM,
			Queued: in.Queued, InFlight: in.InFlight, Shard: s.shard.index,
		}
		if !in.Bound.IsZero() {
			info.Lane = &LaneInfo{
				Bound: in.Bound, Heard: in.Datagrams.Heard, RTTMicros: in.Datagrams.RTT.Microseconds(),
				Jitter: in.Datagrams.Jitter.Microseconds(), LossPPM: in.Datagrams.LossPPM, MaxBytes: s.MaxUnreliable(),
			}
			if in.Datagrams.Remote.IsValid() {
				info.Lane.Remote = in.Datagrams.Remote.String()
			}
		}
		more = f(info)
	})
}
