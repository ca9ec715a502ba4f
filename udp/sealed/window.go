package sealed

const (
	windowWords = 32 // a power of two
	// windowSize is how many packet numbers below the highest are still told apart:
	// a word is always about to be filled (RFC 6479).
	windowSize = (windowWords - 1) * 64
)

// window is a replay window after RFC 6479: the bits move by whole words, so that
// advancing costs no shift.
type window struct {
	next uint64 // the highest number received + 1; 0: none
	bits [windowWords]uint64
}

// check says whether n may still be received. It changes nothing: n is not
// authenticated yet.
func (w *window) check(n uint64) Drop {
	switch {
	case n >= w.next:
		return DropNone
	case w.next-n > windowSize:
		return DropOld
	case w.bits[n/64%windowWords]&(1<<(n%64)) != 0:
		return DropReplay
	}
	return DropNone
}

// mark receives n, which check has passed, and reports whether it is a new highest.
func (w *window) mark(n uint64) (highest bool) {
	if n >= w.next {
		highest = true
		if w.next > 0 {
			last := (w.next - 1) / 64
			for i := range min(n/64-last, windowWords) {
				w.bits[(last+1+i)%windowWords] = 0
			}
		}
		w.next = n + 1
	}
	w.bits[n/64%windowWords] |= 1 << (n % 64)
	return highest
}
