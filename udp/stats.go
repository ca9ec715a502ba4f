package udp

import (
	"sync/atomic"
	"time"

	"strait/udp/sealed"
)

// Causes is the number of [sealed.Cause] values.
const Causes = int(sealed.CauseReplaced) + 1

// Stats is a snapshot of a Service, counted since it was made unless said otherwise.
type Stats struct {
	Lanes int64 // now, bound or not
	Bound int64 // now
	// Bindings is how often a lane became bound, Unbound why it no longer was.
	Bindings uint64
	Unbound  [Causes]uint64
	Offers   uint64 // made
	Moves    uint64 // of bound lanes to another address

	Hellos  [sealed.Drops]uint64 // by what became of them; [sealed.DropNone] were answered
	Drops   [sealed.Drops]uint64 // of packets, frames and answers, by reason
	Late    uint64               // packets for a lane that had ended
	Retries uint64               // RETRYs sent
	Resets  uint64               // RESETs sent
	// ResetsWithheld were not sent because of Config.ResetRate.
	ResetsWithheld uint64
	// RepliesDropped are RETRYs and RESETs for which the socket had no room.
	RepliesDropped uint64
	// Loaded says that HELLOs need a cookie now (RetryAuto).
	Loaded bool

	MessagesIn, MessagesOut uint64
	// MessagesLost were taken from their session and could not be sent: the lane was
	// not bound any more, or its byte limit towards a new address was reached.
	MessagesLost uint64

	Sockets []SocketStats

	// RTT and Loss are the distributions over the lanes that have measured it, now.
	RTT  [len(RTTBounds) + 1]int64
	Loss [len(LossBounds) + 1]int64
}

// SocketStats are of one socket.
type SocketStats struct {
	// ReadBuffer and WriteBuffer are the sizes in bytes that the kernel granted; 0 is
	// not known.
	ReadBuffer, WriteBuffer int
	DatagramsIn, BytesIn    uint64
	DatagramsOut, BytesOut  uint64 // handed to the kernel
	Refused                 uint64 // of these, not taken by it
	Reads, Writes           uint64 // system calls; of a shared socket also QUIC's reads
	Full                    uint64 // times that the kernel's write buffer was full
}

// RTTBounds are the upper bounds of the parts of Stats.RTT but the last.
var RTTBounds = [...]time.Duration{
	5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond,
	60 * time.Millisecond, 80 * time.Millisecond, 120 * time.Millisecond, 160 * time.Millisecond,
	240 * time.Millisecond, 320 * time.Millisecond, 640 * time.Millisecond,
}

// LossBounds are the upper bounds of the parts of Stats.Loss but the last, as parts of 1.
var LossBounds = [...]float64{0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2}

// counters are what a service counts.
type counters struct {
	lanes, bound                            atomic.Int64
	bindings, offers, moves, late           counter
	unbound                                 [Causes]counter
	hellos                                  [sealed.Drops]counter
	drops                                   sealed.Counters
	retriesSent, resetsSent, resetsWithheld counter
	repliesDropped                          counter
	messagesIn, messagesOut, messagesLost   counter
}

// traffic is what a socket counts beside its port.
type traffic struct{ datagramsIn, bytesIn, datagramsOut, bytesOut counter }

// Stats returns what was counted so far. It looks at every lane.
func (sv *Service) Stats() Stats {
	c := &sv.counters
	st := Stats{
		Lanes: c.lanes.Load(), Bound: c.bound.Load(), Bindings: c.bindings.load(),
		Offers: c.offers.load(), Moves: c.moves.load(), Late: c.late.load(),
		Retries: c.retriesSent.load(), Resets: c.resetsSent.load(), ResetsWithheld: c.resetsWithheld.load(),
		RepliesDropped: c.repliesDropped.load(),
		Loaded:         sv.load.high(sv.config.inner.now().UnixNano()),
		MessagesIn:     c.messagesIn.load(), MessagesOut: c.messagesOut.load(), MessagesLost: c.messagesLost.load(),
	}
	for i := range st.Unbound {
		st.Unbound[i] = c.unbound[i].load()
	}
	for i := range st.Drops {
		st.Hellos[i], st.Drops[i] = c.hellos[i].load(), c.drops.Get(sealed.Drop(i))
	}
	for _, s := range sv.sockets {
		st.Sockets = append(st.Sockets, SocketStats{
			ReadBuffer: s.read, WriteBuffer: s.write,
			DatagramsIn: s.datagramsIn.load(), BytesIn: s.bytesIn.load(),
			DatagramsOut: s.datagramsOut.load(), BytesOut: s.bytesOut.load(),
			Refused: s.refused.load(), Reads: s.reads.load(), Writes: s.writes.load(), Full: s.portCounters.full.load(),
		})
	}
	sv.table.each(func(l *Lane) {
		if l.core == nil {
			return
		}
		l.mu.Lock()
		p, bound := l.core.Path(), l.bound
		l.mu.Unlock()
		if !bound || p.RTT == 0 {
			return
		}
		st.RTT[part(RTTBounds[:], p.RTT)]++
		st.Loss[part(LossBounds[:], p.Loss)]++
	})
	return st
}

// part is the first of bounds that is not below v, or their number.
func part[T time.Duration | float64](bounds []T, v T) int {
	for i, b := range bounds {
		if v <= b {
			return i
		}
	}
	return len(bounds)
}
