package session

import "sync/atomic"

// Drop says why a datagram's message was not handed on.
type Drop uint8

const (
	// DropEarly: it came before SERVER_HELLO.
	DropEarly Drop = iota
	// DropMalformed: its body is not that of WIRE.md section 5.
	DropMalformed
	// DropFull: the peer did not take it.
	DropFull
	// DropClosed: the session had ended.
	DropClosed
	// DropTooLarge: to be sent, and longer than the path carries now.
	DropTooLarge
	// DropUnsent: to be sent, and the connection was lost.
	DropUnsent
	// DropStale: to be sent by the control stream, as no datagram had room for it, and
	// newer ones took its place.
	DropStale

	drops // count; keep last
)

var dropNames = [drops]string{"early", "malformed", "full", "closed", "too_large", "unsent", "stale"}

// Drops is the number of Drop values; they are 0 to Drops-1.
const Drops = int(drops)

// String returns a name for logs and metrics.
func (d Drop) String() string {
	if d < drops {
		return dropNames[d]
	}
	return "unknown"
}

// Counters are what sessions count, any number of them together. The zero Counters is
// ready to use.
type Counters struct {
	datagramsIn, datagramsOut atomic.Uint64
	dropped                   [Drops]atomic.Uint64
	streamsIn, streamsOut     atomic.Uint64
	shared                    atomic.Uint64
	migrations                atomic.Uint64
	inOrder, forced, lost     atomic.Uint64
}

// Stats is a snapshot of Counters.
type Stats struct {
	DatagramsIn, DatagramsOut uint64        // handed on; given to QUIC
	Dropped                   [Drops]uint64 // datagrams, by Drop
	StreamsIn, StreamsOut     uint64        // channel streams, opened by the peer and by this end
	Shared                    uint64        // channels that use the control stream because the peer gave no credit
	Migrations                uint64        // changes of a peer's address, as Path noticed them
	InOrder                   uint64        // ended with CLOSE and FIN
	Forced                    uint64        // cut before CLOSE was written
	Lost                      uint64        // ended by the network or the peer without a reason
}

// Stats returns what was counted so far.
func (c *Counters) Stats() Stats {
	s := Stats{
		DatagramsIn: c.datagramsIn.Load(), DatagramsOut: c.datagramsOut.Load(),
		StreamsIn: c.streamsIn.Load(), StreamsOut: c.streamsOut.Load(), Shared: c.shared.Load(),
		Migrations: c.migrations.Load(), InOrder: c.inOrder.Load(), Forced: c.forced.Load(), Lost: c.lost.Load(),
	}
	for i := range s.Dropped {
		s.Dropped[i] = c.dropped[i].Load()
	}
	return s
}
