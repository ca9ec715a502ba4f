package udp

import (
	"sync"
	"sync/atomic"
)

// chunkSlots is by how many slots the table grows.
const chunkSlots = 1024

// table finds lanes by connection id: an index and a compare, without a lock. It
// grows in chunks that never move.
type table struct {
	mint   mint
	limit  int
	chunks []atomic.Pointer[chunk]

	mu   sync.Mutex
	used int      // slots that ever had a lane
	live int      // slots that have one
	free []uint32 // first in, first out
}

type chunk struct {
	lanes       [chunkSlots]atomic.Pointer[Lane]
	generations [chunkSlots]uint32 // guarded by mu
}

func newTable(limit int) *table {
	return &table{mint: newMint(), limit: limit, chunks: make([]atomic.Pointer[chunk], (limit+chunkSlots-1)/chunkSlots)}
}

// find returns the lane with that connection id, or nil.
func (t *table) find(id cid) *Lane {
	slot := id.slot()
	if int(slot/chunkSlots) >= len(t.chunks) {
		return nil
	}
	c := t.chunks[slot/chunkSlots].Load()
	if c == nil {
		return nil
	}
	if l := c.lanes[slot%chunkSlots].Load(); l != nil && l.id == id {
		return l
	}
	return nil
}

// reserve takes a slot and returns the connection id for its next lane; false: the
// table is full.
func (t *table) reserve(socket uint8) (id cid, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var slot uint32
	switch {
	case len(t.free) > 0:
		slot = t.free[0]
		t.free = t.free[1:]
	case t.used < t.limit:
		slot = uint32(t.used)
		t.used++
		if at := &t.chunks[slot/chunkSlots]; at.Load() == nil {
			at.Store(new(chunk))
		}
	default:
		return 0, false
	}
	t.live++
	c := t.chunks[slot/chunkSlots].Load()
	id = t.mint.cid(socket, slot, c.generations[slot%chunkSlots])
	c.generations[slot%chunkSlots]++
	return id, true
}

// put makes l, whose id was reserved, be found.
func (t *table) put(l *Lane) {
	t.chunks[l.id.slot()/chunkSlots].Load().lanes[l.id.slot()%chunkSlots].Store(l)
}

// release gives the slot of id back. A slot whose generations are used up is not
// used again.
func (t *table) release(id cid) {
	slot := id.slot()
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.chunks[slot/chunkSlots].Load()
	c.lanes[slot%chunkSlots].Store(nil)
	t.live--
	if c.generations[slot%chunkSlots] != 0 {
		t.free = append(t.free, slot)
	}
}

// each calls f for every lane, in no order that means anything.
func (t *table) each(f func(*Lane)) {
	for i := range t.chunks {
		c := t.chunks[i].Load()
		if c == nil {
			return
		}
		for j := range c.lanes {
			if l := c.lanes[j].Load(); l != nil {
				f(l)
			}
		}
	}
}
