package sealed

import "time"

// rtt is a smoothed round trip and its mean deviation after RFC 6298 section 2,
// without the bounds that only a retransmission timer needs.
type rtt struct{ smoothed, deviation time.Duration }

func (r *rtt) sample(d time.Duration) {
	if r.smoothed == 0 {
		r.smoothed, r.deviation = d, d/2
		return
	}
	r.deviation += ((r.smoothed - d).Abs() - r.deviation) / 4
	r.smoothed += (d - r.smoothed) / 8
}
