package transport

import "net"

// AnyChannel asks [Peer.Pull] for messages whatever their channel.
const AnyChannel = -1

// Control is the type of a control frame that the two ends of a session, not of
// a lane, speak to each other; the numbers are those of WIRE.md section 2.
type Control uint8

const (
	ControlServerHello Control = 0x02
	ControlAck         Control = 0x07
	ControlUDPOffer    Control = 0x08
	ControlGoAway      Control = 0x09
)

// Lane carries one session's traffic over one path. Methods never block and may
// be called from any goroutine, also after the lane ended (then they do nothing).
type Lane interface {
	// Wake says that there may be something to Pull.
	Wake()
	// Max is the longest unreliable message in bytes that the lane carries now.
	Max() int
	Path() Path
	// Ping sends a PING, so that a living peer will be heard.
	Ping()
	// Close sends what is queued, then the reason, then ends the lane. The first
	// reason counts.
	Close(Reason)
}

// Conn is a session's reliable attachment, with its datagram lane if it has one.
type Conn interface {
	Lane
	Kind() Kind
	// Control queues a control frame ahead of messages; payload is borrowed.
	// ControlServerHello opens the session: only after it are the client's
	// messages read and the session's pulled.
	Control(t Control, payload []byte)
	// Resume makes a connection that had to stop reading offer again what
	// Deliver did not take. A Resume that comes before Deliver has returned counts.
	Resume()
	// Datagrams is the unreliable lane inside the same connection; nil without one.
	Datagrams() Lane
}

// Peer is the session's end of a lane. Only the lane's owner calls it. Hello,
// Control, Deliver, Closing and Gone come from one goroutine at a time and in
// order; Pull may run beside them.
type Peer interface {
	// Hello is the opening of the client, once; b is borrowed until it returns.
	// The answer, Control(ControlServerHello) or Close, may come at once or later.
	Hello(b []byte)
	// Control is a control frame for the session; payload is borrowed. An error is
	// a breach of the protocol and ends the connection.
	Control(t Control, payload []byte) error
	// Deliver hands over messages in order and takes the buffers of the first
	// taken of them. What is left stays with the caller, who stops reading until
	// Conn.Resume.
	Deliver(ms []Message) (taken int)
	// Pull appends queued messages to dst and gives their buffers to the caller:
	// of one delivery class, of one channel or AnyChannel, up to budget payload
	// bytes but at least one message if there is one.
	Pull(dst []Message, d Delivery, channel, budget int) []Message
	// Channels appends to dst the channels of which reliable messages are queued,
	// each once.
	Channels(dst []uint8) []uint8
	// Closing says that nothing more will be delivered and why. Pull goes on.
	Closing(Reason)
	// Gone says that the connection has ended. The last call.
	Gone(Reason)
}

// Accept receives each new connection and returns the peer that it belongs to,
// or the Reason with which to refuse it. It never blocks.
type Accept func(Conn) (Peer, error)

// Listener serves one transport on one address.
type Listener interface {
	// Serve accepts connections until StopAccepting or Close; then it returns an
	// error that matches net.ErrClosed. Called once.
	Serve(Accept) error
	Addr() net.Addr
	// StopAccepting refuses new connections and leaves the others alone.
	StopAccepting()
	// Close ends every connection and returns when all goroutines have ended.
	// Idempotent.
	Close() error
}
