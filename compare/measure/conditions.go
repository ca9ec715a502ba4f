package measure

import "fmt"

// Conditions are how the machine and the emulator fared during a run, as others
// observed it.
type Conditions struct {
	// Cores is the share of the window that each core was busy, 0 to 1.
	Cores []float64
	// Emulator says why the emulated network was not what it should have been; empty
	// is that it was.
	Emulator string
}

// Beyond these a run would measure the machine instead of the transport.
const (
	// BusiestCore is the share of the window that a core may be busy.
	BusiestCore = 0.95
	// LatestP99 is how late, in ms, both ends may be behind their own schedule at the
	// 99th percentile: a quarter of a player's frame.
	LatestP99 = 4.0
)

// Judge adds to r.Invalid what c and the run's own lateness say against it. r.Late is
// complete by then.
func (r *Run) Judge(c Conditions) {
	if c.Emulator != "" {
		r.Invalid = append(r.Invalid, "emulator: "+c.Emulator)
	}
	for i, busy := range c.Cores {
		if busy > BusiestCore {
			r.Invalid = append(r.Invalid, fmt.Sprintf("core %d was saturated (busy for more than %.0f %% of the time)", i, BusiestCore*100))
		}
	}
	if late := r.Late.Quantile(0.99); late > LatestP99 {
		r.Invalid = append(r.Invalid, fmt.Sprintf("the players or game logic were behind their own schedule (p99 of more than %g ms)", LatestP99))
	}
}
