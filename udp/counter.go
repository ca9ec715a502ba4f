package udp

import "sync/atomic"

// counter only grows.
type counter struct{ n atomic.Uint64 }

func (c *counter) add(n int)    { c.n.Add(uint64(n)) }
func (c *counter) load() uint64 { return c.n.Load() }
