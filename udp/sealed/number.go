package sealed

// expand gives the packet number nearest to next whose low 32 bits are low. next is
// the highest number received + 1, 0 if none (WIRE.md section 6.2).
func expand(low uint32, next uint64) uint64 {
	const span = 1 << 32
	n := next&^(span-1) | uint64(low)
	switch {
	case n > next && n-next > span/2 && n >= span:
		return n - span
	case n < next && next-n > span/2 && n+span > n:
		return n + span
	}
	return n
}
