package swarm

import (
	"fmt"
	"time"
)

// Limits are what a run has to keep to. The zero value asks for nothing but that
// clients open and stay.
type Limits struct {
	// MaxP99 bounds the 99th percentile of the latency of each flow; 0 is no bound.
	MaxP99 time.Duration
	// MaxLoss bounds the lost share of the messages of each flow, from 0 to 1; nil is
	// no bound.
	MaxLoss *float64
	// Failures lets clients fail to open, and sessions end.
	Failures bool
}

// Missed says, a line each, what r does not keep to.
func (l Limits) Missed(r *Report) (lines []string) {
	miss := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if !l.Failures {
		if r.Opening.Failed > 0 {
			miss("%d of %d clients could not open a session", r.Opening.Failed, r.Setting.Clients)
		}
		ended := 0
		for _, f := range r.Failures {
			if f.What == session {
				ended += f.Count
			}
		}
		if ended > 0 {
			miss("%d of %d sessions ended before the run did", ended, r.Opening.Opened)
		}
	}
	for i := range r.Flows {
		f := &r.Flows[i]
		if l.MaxP99 > 0 {
			switch p99 := time.Duration(f.Latency.P99 * float64(time.Microsecond)); {
			case f.Latency.Count == 0 && f.Sent > 0:
				miss("%s: no echo came back, so that the p99 is not below %v", f.Name, l.MaxP99)
			case p99 > l.MaxP99:
				miss("%s: the p99 of %v is above %v", f.Name, p99, l.MaxP99)
			}
		}
		if l.MaxLoss != nil && f.Loss() > *l.MaxLoss {
			miss("%s: the loss of %.4g %% (%d of %d) is above %.4g %%", f.Name, f.Loss()*100, f.Lost, f.Sent, *l.MaxLoss*100)
		}
	}
	return lines
}
