package client

import "time"

// LiveBuffers is how many pooled buffers are out, over all clients.
func LiveBuffers() int64 { return buffers.Live() }

// Forget forgets what worked: a test may get a port that another one has had.
func Forget() {
	worked.mu.Lock()
	defer worked.mu.Unlock()
	worked.all = nil
}

// Backoff is the wait before the n-th attempt with the defaults filled in.
func (r Reconnect) Backoff(n int, after time.Duration) time.Duration {
	return r.withDefaults().backoff(n, after)
}

// LongSuspicion is how long a suspected connection has to answer at most.
const LongSuspicion = longSuspicion

// Patience is how long one with that round trip has.
func Patience(rtt time.Duration) time.Duration { return patience(rtt) }

// onQUIC calls f with the client's QUIC connection, under its lock.
func (c *Client) onQUIC(f func(*quicConn)) {
	c.mu.Lock()
	q := c.current.carrier.(*streams).conn
	c.mu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	f(q)
}

// PartAfter sets for how long the socket of a path that was left is read from.
func (c *Client) PartAfter(d time.Duration) { c.onQUIC(func(q *quicConn) { q.parting = d }) }

// Transports is how many quicgo.Transports the client's connection has.
func (c *Client) Transports() (n int) {
	c.onQUIC(func(q *quicConn) { n = len(q.ends) })
	return n
}
