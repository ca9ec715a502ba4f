package swarm

// window is how many messages back an echo is told apart from its duplicate.
const window = 1024

// order follows the sequence numbers of one flow of one client as they come back.
// The zero value is ready.
type order struct {
	next uint32 // above all that were seen
	seen [window / 64]uint64
}

// verdict is what an echo turns out to be.
type verdict uint8

const (
	fresh      verdict = iota // the first of its message, in order
	disordered                // the first of its message, after a later one
	duplicated                // its message has come back before
	forgotten                 // so far behind that nobody knows; its message stays lost
)

// see takes the next sequence number that came back.
func (o *order) see(seq uint32) verdict {
	bit := uint64(1) << (seq % 64)
	word := &o.seen[seq%window/64]
	switch {
	case seq >= o.next:
		if seq-o.next >= window {
			clear(o.seen[:])
		} else {
			for s := o.next; s != seq; s++ {
				o.seen[s%window/64] &^= 1 << (s % 64)
			}
		}
		o.next = seq + 1
		*word |= bit
		return fresh
	case o.next-seq > window:
		return forgotten
	case *word&bit != 0:
		return duplicated
	}
	*word |= bit
	return disordered
}
