package swarm

import (
	"encoding/binary"
	"fmt"
)

// The flows of a client; the number is in every message.
const (
	inputs = iota
	chat

	flows // count; keep last
)

// FlowName returns "inputs" or "chat".
func FlowName(flow int) string {
	switch flow {
	case inputs:
		return "inputs"
	case chat:
		return "chat"
	}
	return fmt.Sprintf("flow %d", flow)
}

// HeaderLen is how many bytes of each message are the swarm's header.
const HeaderLen = 28

// magic begins every message, with the version of the header.
var magic = [3]byte{'S', 'W', 1}

// header begins every message, little-endian: magic (3 bytes), flow (1), run (8),
// client (4), sequence within the flow of the client (4), time at which it was due
// in nanoseconds of the run's clock (8). What follows is filler.
type header struct {
	flow   uint8
	run    uint64
	client uint32
	seq    uint32
	due    int64
}

// put writes h to the beginning of b, which is at least HeaderLen long.
func (h header) put(b []byte) {
	copy(b, magic[:])
	b[3] = h.flow
	binary.LittleEndian.PutUint64(b[4:], h.run)
	binary.LittleEndian.PutUint32(b[12:], h.client)
	binary.LittleEndian.PutUint32(b[16:], h.seq)
	binary.LittleEndian.PutUint64(b[20:], uint64(h.due))
}

// parse reads a header; false: there is none.
func parse(b []byte) (h header, ok bool) {
	if len(b) < HeaderLen || [3]byte(b) != magic || b[3] >= flows {
		return h, false
	}
	return header{
		flow:   b[3],
		run:    binary.LittleEndian.Uint64(b[4:]),
		client: binary.LittleEndian.Uint32(b[12:]),
		seq:    binary.LittleEndian.Uint32(b[16:]),
		due:    int64(binary.LittleEndian.Uint64(b[20:])),
	}, true
}

// filled returns n bytes that do not compress, the same in every run.
func filled(n int) []byte {
	b := make([]byte, n)
	x := uint64(0x9e3779b97f4a7c15)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 32)
	}
	return b
}
