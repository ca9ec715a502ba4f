package client

import "time"

// LiveBuffers is how many pooled buffers are out, over all clients.
func LiveBuffers() int64 { return buffers.Live() }

// Backoff is the wait before the n-th attempt with the defaults filled in.
func (r Reconnect) Backoff(n int, after time.Duration) time.Duration {
	return r.withDefaults().backoff(n, after)
}

// LongSuspicion is how long a suspected connection has to answer at most.
const LongSuspicion = longSuspicion

// Patience is how long one with that round trip has.
func Patience(rtt time.Duration) time.Duration { return patience(rtt) }
