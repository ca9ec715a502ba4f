package quic

import (
	"errors"
	"net/netip"
	"sync"
)

// door counts the handshakes that are not finished, in all and by address, and says who
// may begin another: the cap on what strangers can make the gateway hold. What comes
// from an address that is not proven can fill a quarter of either before RetryAuto asks
// for proof, so that forged addresses keep no real one out.
type door struct {
	max, maxPerAddress int
	retry              Retry

	mu     sync.Mutex
	closed bool
	all    int
	from   map[netip.Prefix]int
}

var errRefused = errors.New("quic: no more handshakes now")

// enter counts one more handshake, or says why not.
func (d *door) enter(p netip.Prefix) (Refusal, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return RefusedClosed, errRefused
	case d.all >= d.max:
		return RefusedFull, errRefused
	case d.from[p] >= d.maxPerAddress:
		return RefusedAddress, errRefused
	}
	d.all++
	d.from[p]++
	return 0, nil
}

// leave is for a handshake that is finished, done or failed.
func (d *door) leave(p netip.Prefix) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all--
	if d.from[p]--; d.from[p] == 0 {
		delete(d.from, p)
	}
}

// doubts reports whether a client at p must prove its address.
func (d *door) doubts(p netip.Prefix) bool {
	switch d.retry {
	case RetryAlways:
		return true
	case RetryOff:
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all >= (d.max+3)/4 || d.from[p] >= (d.maxPerAddress+3)/4
}

func (d *door) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
}

func (d *door) unfinished() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all
}
