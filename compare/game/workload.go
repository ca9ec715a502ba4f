package game

import (
	"fmt"
	"time"

	"strait/compare/measure"
	"strait/transport"
)

// Workload says what is sent. The zero value is the documented one.
type Workload struct {
	// InputRate and SnapshotRate are messages a second; 0 is 60 and 30.
	InputRate    int `json:"input_rate"`
	SnapshotRate int `json:"snapshot_rate"`
	// EventRate is events a second on each of the two channels in each direction;
	// 0 is 5.
	EventRate int `json:"event_rate"`
	// Payloads in bytes; 0 is 48, 500 and 120.
	InputBytes    int `json:"input_bytes"`
	SnapshotBytes int `json:"snapshot_bytes"`
	EventBytes    int `json:"event_bytes"`
}

// The bounds of a workload.
const (
	maxRate  = 1000
	maxBytes = 1100 // every transport of WIRE.md carries this unreliably
)

// Channels of the flows: one for state, two for events.
const (
	stateChannel  = 0
	firstEvents   = 1
	secondEvents  = 2
	flowCount     = 6
	flowInputs    = 0
	flowSnapshots = 1
)

// Validate refuses what no run could be made of.
func (w Workload) Validate() error {
	w = w.withDefaults()
	for _, f := range []struct {
		name string
		v    int
		low  int
		high int
	}{
		{"InputRate", w.InputRate, 1, maxRate}, {"SnapshotRate", w.SnapshotRate, 1, maxRate}, {"EventRate", w.EventRate, 1, maxRate},
		{"InputBytes", w.InputBytes, headerLen, maxBytes}, {"SnapshotBytes", w.SnapshotBytes, headerLen, maxBytes}, {"EventBytes", w.EventBytes, headerLen, maxBytes},
	} {
		if f.v < f.low || f.v > f.high {
			return fmt.Errorf("%s %d is not between %d and %d", f.name, f.v, f.low, f.high)
		}
	}
	return nil
}

func (w Workload) withDefaults() Workload {
	for _, f := range []struct {
		v *int
		d int
	}{
		{&w.InputRate, 60}, {&w.SnapshotRate, 30}, {&w.EventRate, 5},
		{&w.InputBytes, 48}, {&w.SnapshotBytes, 500}, {&w.EventBytes, 120},
	} {
		if *f.v == 0 {
			*f.v = f.d
		}
	}
	return w
}

// Flows are those of the workload, in the order of all logs.
func (w Workload) Flows() []measure.Flow {
	w = w.withDefaults()
	return []measure.Flow{
		{Name: "inputs", Up: true, Channel: stateChannel, Bytes: w.InputBytes, PerSecond: float64(w.InputRate)},
		{Name: "snapshots", Channel: stateChannel, Bytes: w.SnapshotBytes, PerSecond: float64(w.SnapshotRate), State: true},
		{Name: "events up, channel 1", Up: true, Reliable: true, Channel: firstEvents, Bytes: w.EventBytes, PerSecond: float64(w.EventRate)},
		{Name: "events up, channel 2", Up: true, Reliable: true, Channel: secondEvents, Bytes: w.EventBytes, PerSecond: float64(w.EventRate)},
		{Name: "events down, channel 1", Reliable: true, Channel: firstEvents, Bytes: w.EventBytes, PerSecond: float64(w.EventRate)},
		{Name: "events down, channel 2", Reliable: true, Channel: secondEvents, Bytes: w.EventBytes, PerSecond: float64(w.EventRate)},
	}
}

func delivery(f measure.Flow) transport.Delivery {
	if f.Reliable {
		return transport.Reliable
	}
	return transport.Unreliable
}

// period is the time between two messages of f.
func period(f measure.Flow) time.Duration {
	return time.Duration(float64(time.Second) / f.PerSecond)
}
