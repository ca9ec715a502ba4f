package link

// purpose is what a random stream is for. Each has its own, so that no setting shifts
// what another one draws.
type purpose uint64

const (
	forLoss purpose = 1 + iota
	forBurstState
	forBurstLoss
	forJitter
	forReorder
	forDuplicate
)

// stream is an endless row of random numbers in which each can be asked for by its
// index: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), whose state is a counter.
type stream uint64

const golden = 0x9e3779b97f4a7c15

func newStream(seed, direction uint64, p purpose) stream {
	s := stream(seed)
	s = stream(s.bits(direction))
	return stream(s.bits(uint64(p)))
}

func (s stream) bits(n uint64) uint64 {
	z := uint64(s) + (n+1)*golden
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// unit returns the n-th number, between 0 and 1 and neither of them.
func (s stream) unit(n uint64) float64 {
	return (float64(s.bits(n)>>12) + 0.5) * 0x1p-52
}

// hits reports whether the n-th trial with the given chance succeeds.
func (s stream) hits(n uint64, chance float64) bool {
	return chance > 0 && s.unit(n) < chance
}
