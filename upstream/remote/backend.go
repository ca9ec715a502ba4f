package remote

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"strait/upstream/endpoint"
)

// backend is one configured entry.
type backend struct {
	// Static.
	endpoint endpoint.Endpoint
	url      string // the endpoint's, its name to people
	carrier  Carrier
	seed     uint64 // its weight in the rendezvous
	lines    []*line

	acks atomic.Bool // it has acknowledged something

	// Guarded by the pool's failover mutex.
	live    map[*stream]struct{} // all that may be given sessions
	suspect bool                 // its last stream was lost because it hung
	routes  []string             // what it last said it serves

	mu        sync.Mutex
	addresses []string
	resolved  time.Time
}

// resolve returns the addresses of the backend, sorted. Answers younger than fresh
// are used again; when resolving fails, an older answer is better than none.
func (b *backend) resolve(ctx context.Context, c *Config, fresh time.Duration) ([]string, error) {
	e := &b.endpoint
	if e.Network == "unix" {
		return []string{e.Path}, nil
	}
	if ip, err := netip.ParseAddr(e.Host); err == nil {
		return []string{netip.AddrPortFrom(ip, e.Port).String()}, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.addresses != nil && time.Since(b.resolved) < fresh {
		return b.addresses, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.DialTimeout)
	defer cancel()
	ips, err := c.Resolver.LookupNetIP(ctx, "ip", e.Host)
	if err == nil && len(ips) == 0 {
		err = fmt.Errorf("%q has no addresses", e.Host)
	}
	if err != nil {
		if b.addresses != nil {
			return b.addresses, nil
		}
		return nil, fmt.Errorf("resolving the name: %w", err)
	}
	addresses := make([]string, 0, len(ips))
	for _, ip := range ips {
		addresses = append(addresses, netip.AddrPortFrom(ip.Unmap(), e.Port).String())
	}
	slices.Sort(addresses)
	b.addresses, b.resolved = slices.Compact(addresses), time.Now()
	return b.addresses, nil
}
