package udp

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// rate is a token bucket in one number, the time at which it is full again (GCRA).
// Safe for concurrent use.
type rate struct{ full atomic.Int64 }

// take reports whether there is a token, and takes it. A bucket holds burst tokens
// and gets one every interval; now is in nanoseconds of any clock. Where that was put
// back the bucket is full.
func (r *rate) take(now int64, interval time.Duration, burst int) bool {
	most := int64(interval) * int64(burst)
	for {
		old := r.full.Load()
		next := now + int64(interval)
		if old > now && old-now <= most {
			next = old + int64(interval)
		}
		if next-now > most {
			return false
		}
		if r.full.CompareAndSwap(old, next) {
			return true
		}
	}
}

// refund gives a token back.
func (r *rate) refund(interval time.Duration) { r.full.Add(-int64(interval)) }

// prefixes are the buckets of HELLOs by where they come from: a /24 of IPv4 or a
// /56 of IPv6, which is about what one customer can send from. Prefixes share
// buckets by a secret hash, so memory is fixed and nobody chooses his neighbours.
type prefixes struct {
	seed    maphash.Seed
	buckets [4096]rate
}

func newPrefixes() *prefixes { return &prefixes{seed: maphash.MakeSeed()} }

func (p *prefixes) bucket(from netip.Addr) *rate {
	var b [9]byte
	if from.Is4() {
		a := from.As4()
		b[0] = 4
		copy(b[1:], a[:3])
	} else {
		a := from.As16()
		b[0] = 6
		copy(b[1:], a[:7])
	}
	return &p.buckets[maphash.Bytes(p.seed, b[:])%uint64(len(p.buckets))]
}

// load tells when there are more HELLOs, or more packets that fail authentication,
// than players in good faith send. What it says holds for loadHold.
type load struct {
	hellos, failures window
	until            atomic.Int64 // nanoseconds
}

const (
	loadHold = 5 * time.Second
	// A thousand players a second is more than a gateway authenticates; each sends
	// one HELLO, or a few over a bad link.
	loadHellos = 2000
	// Failures are a copied token, an old key, or hostile.
	loadFailures = 200
)

func (l *load) hello(now int64) {
	if l.hellos.count(now) > loadHellos {
		l.until.Store(now + int64(loadHold))
	}
}

func (l *load) failure(now int64) {
	if l.failures.count(now) > loadFailures {
		l.until.Store(now + int64(loadHold))
	}
}

func (l *load) high(now int64) bool {
	left := l.until.Load() - now
	return left > 0 && left <= int64(loadHold) // more: the clock was put back
}

// window counts by the second: the second in the upper half of the number.
type window struct{ at atomic.Uint64 }

// count returns how many there were in this second with this one.
func (w *window) count(now int64) uint32 {
	second := uint32(now / int64(time.Second))
	for {
		old := w.at.Load()
		next := uint64(second)<<32 | 1
		if uint32(old>>32) == second {
			next = old + 1
		}
		if w.at.CompareAndSwap(old, next) {
			return uint32(next)
		}
	}
}
