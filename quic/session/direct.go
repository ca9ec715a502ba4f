package session

// A stream's TryWriteAll never blocks: it takes what the peer has given credit for, and
// it says neither when that leaves nor how much of it waits. So a stream is written to
// without a goroutine only while little can wait:
const (
	// directChunk is the most bytes of one such write. It fits into a frame that
	// quic-go keeps for reuse, and so do several while none has left.
	directChunk = 1200
	// directBytes is the most bytes between two writes that have waited until all but
	// a packet's worth of what was written before has left. All of it may wait for a
	// peer that acknowledges nothing, and is copied each time that something is added.
	directBytes = 8 << 10
)

// credit is what may still be written to a stream without waiting. The zero credit is
// full.
type credit struct{ used int }

func (c *credit) room() bool { return c.used < directBytes }

// write writes b, which is borrowed, if that does not block.
func (c *credit) write(stream interface{ TryWriteAll([]byte) error }, b []byte) bool {
	if len(b) > directChunk || stream.TryWriteAll(b) != nil {
		return false // who may block finds out why
	}
	c.used += len(b)
	return true
}

// confirmed says that a write has waited.
func (c *credit) confirmed() { c.used = 0 }
