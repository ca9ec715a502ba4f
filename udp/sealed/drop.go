package sealed

import "sync/atomic"

// Drop says why a packet, a frame or an answer was discarded. DropNone is none.
type Drop uint8

const (
	DropNone       Drop = iota
	DropType            // byte 0 is not of this protocol, or a type that nobody sends this way
	DropSize            // too short, too long, or not of the exact size
	DropVersion         // a HELLO of another version
	DropHello           // a HELLO whose token has no possible length, or whose padding is not zero
	DropCookie          // under load: no cookie, or not one for this address and time
	DropToken           // the token does not open, or is for another session or lane
	DropExpired         // the token's lifetime passed before its first use
	DropEpoch           // no keys for this epoch: not offered, replaced, or taken no longer
	DropUnknown         // no lane has this cid
	DropOld             // the packet number is below the replay window
	DropReplay          // the packet number was received already
	DropAuth            // authentication failed
	DropEmpty           // no frame
	DropFrame           // an unknown frame type
	DropOverrun         // a frame longer than the packet
	DropDirection       // a frame that only the other side sends
	DropPadding         // padding that is not zero
	DropField           // a FRAGMENT whose index or count cannot be
	DropReset           // a RESET with a wrong value
	DropRetry           // a RETRY that nobody waits for
	DropUnbound         // the lane is not bound, or no longer
	DropBudget          // an answer beyond what an unproven address may get
	DropRate            // more than may be answered or sent
	DropFragment        // a FRAGMENT that does not go with those before, or came twice
	DropEvicted         // a reassembly gave way to a newer one, or to the limit of bytes
	DropIncomplete      // a reassembly did not complete in time
	DropTooLarge        // a reassembly above the limit of a message

	drops // count; keep last
)

var dropNames = [drops]string{
	"none", "type", "size", "version", "hello", "cookie", "token", "expired", "epoch", "unknown_cid",
	"window", "replay", "auth", "empty", "frame", "overrun", "direction", "padding", "field", "reset", "retry",
	"unbound", "budget", "rate", "fragment", "evicted", "incomplete", "too_large",
}

// Drops is the number of Drop values; they are 0 to Drops-1.
const Drops = int(drops)

// String is the label of the metric.
func (d Drop) String() string {
	if d < drops {
		return dropNames[d]
	}
	return "unknown"
}

// Counters counts drops by reason. The zero value is ready; safe for concurrent use;
// many lanes share one.
type Counters struct{ n [drops]atomic.Uint64 }

// Add counts one drop; DropNone is not counted.
func (c *Counters) Add(d Drop) {
	if d != DropNone && d < drops {
		c.n[d].Add(1)
	}
}

// Get returns how often d was counted.
func (c *Counters) Get(d Drop) uint64 { return c.n[d].Load() }
