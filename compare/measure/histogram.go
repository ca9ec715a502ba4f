package measure

import (
	"encoding/json"
	"fmt"
	"math"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Durations from 1 µs to 10 minutes with three significant figures; what is longer
// counts as 10 minutes.
const (
	unit    = 1e3 // ns
	longest = 600e9 / unit
	figures = 3
)

// Histogram is a distribution of durations, an HDR histogram. The zero value is
// empty and ready. Its JSON is [[µs, count], ...] in ascending order.
type Histogram struct {
	h *hdr.Histogram // nil: empty
}

func (h *Histogram) add(us, n int64) {
	if h.h == nil {
		h.h = hdr.New(1, longest, figures)
	}
	// The range was just clamped to what the histogram holds: there is no error.
	_ = h.h.RecordValues(min(max(us, 0), longest), n)
}

// Add counts a duration in nanoseconds; a negative one counts as 0.
func (h *Histogram) Add(ns int64) { h.add((min(max(ns, 0), longest*unit)+unit/2)/unit, 1) }

// Merge adds all of o, which may be nil.
func (h *Histogram) Merge(o *Histogram) {
	if o == nil || o.h == nil {
		return
	}
	if h.h == nil {
		h.h = o.h.Clone()
		return
	}
	h.h.Merge(o.h) // drops nothing: both have one range
}

// Count is how many durations were added.
func (h *Histogram) Count() int64 {
	if h == nil || h.h == nil {
		return 0
	}
	return h.h.TotalCount()
}

// Quantile returns the duration in milliseconds that the share q of all does not
// exceed; NaN if there are none.
func (h *Histogram) Quantile(q float64) float64 {
	if h.Count() == 0 {
		return math.NaN()
	}
	return float64(h.h.ValueAtPercentile(q*100)) / 1e3
}

// Max is the longest in milliseconds; NaN without any.
func (h *Histogram) Max() float64 { return h.Quantile(1) }

// Mean is the arithmetic mean in milliseconds; NaN without any.
func (h *Histogram) Mean() float64 {
	if h.Count() == 0 {
		return math.NaN()
	}
	return h.h.Mean() / 1e3
}

// MarshalJSON implements [json.Marshaler].
func (h Histogram) MarshalJSON() ([]byte, error) {
	out := [][2]int64{}
	if h.Count() > 0 {
		for _, b := range h.h.Distribution() {
			if b.Count > 0 {
				out = append(out, [2]int64{b.From, b.Count})
			}
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements [json.Unmarshaler].
func (h *Histogram) UnmarshalJSON(b []byte) error {
	var in [][2]int64
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("histogram: %w", err)
	}
	h.h = nil
	for _, v := range in {
		if v[0] < 0 || v[1] <= 0 {
			return fmt.Errorf("histogram: [%d, %d] is not a duration in µs and a count above 0", v[0], v[1])
		}
		h.add(v[0], v[1])
	}
	return nil
}
