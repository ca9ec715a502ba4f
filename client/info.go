package client

import (
	"net/netip"
	"sync/atomic"
	"time"

	"strait/transport"
)

// Info is a snapshot of a client and of its session, the last one while there is
// none.
type Info struct {
	// Transport is what the session is on: TCPUDP while the lane is bound.
	Transport Transport
	Remote    netip.AddrPort // zero where the connection does not tell
	SessionID transport.ID
	RTT       time.Duration // smoothed, RFC 6298; 0 before the first measurement
	Jitter    time.Duration // mean deviation of the RTT, RFC 6298
	LossPPM   uint32        // packets lost of a million sent; QUIC alone
	OpenTime  time.Duration // from the start of connecting to SERVER_HELLO
	Opening   Opening       // the parts of OpenTime
	// Lane is the sealed UDP lane of a session over TCP; zero without one.
	Lane Lane
	// MaxMessage and MaxUnreliable are the longest messages in bytes that can be sent
	// now.
	MaxMessage    int
	MaxUnreliable int
	IdleTimeout   time.Duration
	// Certificate is the SHA-256 of the server's certificate, as Options.Pin takes it.
	Certificate string
	Counters    Counters
}

// Lane is a snapshot of a sealed UDP lane.
type Lane struct {
	// Offered is true once the gateway has offered a lane. Without that there is none,
	// however long one waits.
	Offered bool
	// Bound is true while the lane carries the unreliable messages. While it is not,
	// all but Offered and Moves is zero.
	Bound   bool
	Remote  netip.AddrPort
	RTT     time.Duration // smoothed; 0 before the first measurement
	Jitter  time.Duration // mean deviation of the RTT
	LossPPM uint32        // packets sent and lost, of a million
	// Moves is how often the session's lane has changed its local address, as far as
	// the client did that.
	Moves uint64
}

// Opening is how long each phase of an opening took.
type Opening struct {
	Resolve time.Duration // next to nothing for an IP address; 0 with Options.DialContext
	Connect time.Duration // TCP, or the whole handshake of QUIC
	TLS     time.Duration // over TCP
	Hello   time.Duration // CLIENT_HELLO to SERVER_HELLO
}

// Total is the sum of the phases.
func (o Opening) Total() time.Duration { return o.Resolve + o.Connect + o.TLS + o.Hello }

// Counters count since Dial, over all sessions.
type Counters struct {
	SentReliable, SentUnreliable         uint64 // messages handed to the connection
	SentBytes                            uint64 // their payloads
	ReceivedReliable, ReceivedUnreliable uint64 // messages that arrived, stale ones apart
	ReceivedBytes                        uint64 // their payloads
	// SendDropped counts unreliable messages that gave way to newer ones, or had no
	// session.
	SendDropped uint64
	// LostReliable counts reliable messages that were queued when their session
	// ended.
	LostReliable uint64
	// Stale counts unreliable messages that arrived after a newer one of their
	// channel, or twice.
	Stale uint64
	// ReceiveDropped counts messages that nobody received: unreliable ones that gave
	// way to newer ones, and whatever was there or came after Close.
	ReceiveDropped uint64
	// Reopened counts sessions after the first.
	Reopened uint64
}

type counters struct {
	sentReliable, sentUnreliable, sentBytes             atomic.Uint64
	receivedReliable, receivedUnreliable, receivedBytes atomic.Uint64
	sendDropped, lostReliable                           atomic.Uint64
	stale, receiveDropped, reopened                     atomic.Uint64
}

func (c *counters) sent(d transport.Delivery, n int) {
	if d == transport.Unreliable {
		c.sentUnreliable.Add(1)
	} else {
		c.sentReliable.Add(1)
	}
	c.sentBytes.Add(uint64(n))
}

func (c *counters) received(d transport.Delivery, n int) {
	if d == transport.Unreliable {
		c.receivedUnreliable.Add(1)
	} else {
		c.receivedReliable.Add(1)
	}
	c.receivedBytes.Add(uint64(n))
}

func (c *counters) snapshot() Counters {
	return Counters{
		SentReliable: c.sentReliable.Load(), SentUnreliable: c.sentUnreliable.Load(), SentBytes: c.sentBytes.Load(),
		ReceivedReliable: c.receivedReliable.Load(), ReceivedUnreliable: c.receivedUnreliable.Load(), ReceivedBytes: c.receivedBytes.Load(),
		SendDropped: c.sendDropped.Load(), LostReliable: c.lostReliable.Load(),
		Stale: c.stale.Load(), ReceiveDropped: c.receiveDropped.Load(), Reopened: c.reopened.Load(),
	}
}
