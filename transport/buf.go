package transport

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Size classes are powers of two. Below the smallest the overhead of the pool
// outweighs what a smaller one would save; above the largest a buffer is
// allocated to measure and left to the garbage collector.
const (
	minClassBits = 6  // 64 B
	maxClassBits = 20 // 1 MiB
	numClasses   = maxClassBits - minClassBits + 1
)

// Buf is a reference-counted piece of memory. Whoever holds a reference releases
// it exactly once, on every path; B must not be touched afterwards. With more
// than one reference B is read-only.
type Buf struct {
	B     []byte
	full  []byte // the whole memory; B may be any part of it
	refs  atomic.Int32
	class int8 // -1: not pooled
	pool  *Pool
}

// Retain adds a reference and returns b.
func (b *Buf) Retain() *Buf {
	b.refs.Add(1)
	return b
}

// Release gives one reference back; the last one returns the memory to its pool.
func (b *Buf) Release() {
	n := b.refs.Add(-1)
	if n > 0 {
		return
	}
	if n < 0 {
		panic("transport: Buf released more often than retained")
	}
	p := b.pool
	p.used.Add(-int64(cap(b.full)))
	p.live.Add(-1)
	if b.class >= 0 {
		b.B = nil
		p.classes[b.class].Put(b)
	}
}

// Len returns len(b.B).
func (b *Buf) Len() int { return len(b.B) }

// Pool hands out buffers and counts the bytes that are out, against one budget
// for the whole process. Safe for concurrent use.
type Pool struct {
	limit   int64
	over    func()
	used    atomic.Int64
	peak    atomic.Int64 // of used since TakePeak
	live    atomic.Int64
	classes [numClasses]sync.Pool
}

// NewPool returns a pool with a budget in bytes; 0 is no budget. A Get beyond it
// still succeeds, because the bytes have arrived already, but calls over, which
// may be nil and must return at once: it is the signal to end the fattest sessions.
func NewPool(limit int64, over func()) *Pool {
	return &Pool{limit: limit, over: over}
}

// Get returns a buffer with len(B) == n and one reference. Its content is not
// cleared.
func (p *Pool) Get(n int) *Buf {
	class := 0
	if n > 1<<minClassBits {
		class = bits.Len(uint(n-1)) - minClassBits
	}
	var b *Buf
	switch {
	case class >= numClasses:
		b = &Buf{full: make([]byte, n), class: -1, pool: p}
	default:
		if v := p.classes[class].Get(); v != nil {
			b = v.(*Buf)
		} else {
			b = &Buf{full: make([]byte, 1<<(class+minClassBits)), class: int8(class), pool: p}
		}
	}
	b.B = b.full[:n]
	b.refs.Store(1)
	p.live.Add(1)
	p.Charge(int64(cap(b.full)))
	return b
}

// Charge counts n bytes beside those in buffers: memory that a client makes the gateway
// hold elsewhere. A negative n gives them back.
func (p *Pool) Charge(n int64) {
	used := p.used.Add(n)
	if n < 0 {
		return
	}
	if used > p.peak.Load() {
		p.peak.Store(used) // may lose to a smaller one just before: an estimate is enough
	}
	if p.limit > 0 && used > p.limit && p.over != nil {
		p.over()
	}
}

// Copy returns a buffer that holds a copy of src, which is borrowed.
func (p *Pool) Copy(src []byte) *Buf {
	b := p.Get(len(src))
	copy(b.B, src)
	return b
}

// Used is the number of bytes that are out, counted by size class, and charged.
func (p *Pool) Used() int64 { return p.used.Load() }

// TakePeak returns about the most bytes that were out since the last call.
func (p *Pool) TakePeak() int64 { return p.peak.Swap(p.used.Load()) }

// Live is the number of buffers that are out: 0 when everything was released.
func (p *Pool) Live() int64 { return p.live.Load() }

// Limit is the budget in bytes; 0 without one.
func (p *Pool) Limit() int64 { return p.limit }
