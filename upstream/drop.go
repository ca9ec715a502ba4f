package upstream

// Drop says why something on its way between a session and game logic was
// discarded. Every drop is counted under exactly one of them.
type Drop uint8

const (
	DropStreamFull    Drop = iota // an unreliable message gave way on a full stream
	DropStreamLost                // in flight to a backend that was lost
	DropRetention                 // not acknowledged, pushed out of the retention budget
	DropUnknown                   // a command for a session that is not known
	DropNotCurrent                // a command from a stream that the session is not on
	DropBadChannel                // a command with a channel above 255
	DropBadDelivery               // a command with an unknown delivery class
	DropBadCode                   // a close code that WIRE.md does not define; the session was closed KICKED
	DropTooLarge                  // a payload above the limit of its class
	DropSessionClosed             // for a session that is closing
	DropSlowClient                // a reliable message for a client that does not read
	DropStale                     // an unreliable message overtaken by newer ones in the outbound queue
	DropNoRoute                   // a move to a route that no backend serves
	DropInboundFull               // an unreliable message from a client above its share of the ring
	DropAfterClose                // from a client, after its session was closed
	DropShutdown                  // the driver was closed
	Drops             int  = iota
)

var dropNames = [Drops]string{
	"stream_full", "stream_lost", "retention", "unknown_session", "not_current", "bad_channel", "bad_delivery",
	"bad_code", "too_large", "session_closed", "slow_client", "stale", "no_route", "inbound_full", "after_close",
	"shutdown",
}

// String is the label of the metric.
func (d Drop) String() string { return dropNames[d] }
