package client

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"strait/transport"
)

const (
	// Hostile idle timeouts neither make a client ping all the time nor give up a
	// connection within one round trip.
	minKeepalive = 100 * time.Millisecond
	minIdle      = time.Second
)

// carrier moves a session's frames over one connection. Any goroutine, unless it
// says otherwise; nothing but open, run and rebind blocks.
type carrier interface {
	// open sends the CLIENT_HELLO, which is borrowed, and returns when it was
	// answered. False: there is no session.
	open(hello []byte) bool
	// run moves messages until the session has ended and session.why says why; it
	// returns with everything released and no goroutine left. After open, once,
	// whatever that returned.
	run()
	// wake makes sure that what is queued of a class and channel is written.
	wake(d transport.Delivery, channel uint8)
	// ping makes sure that the PINGs of link.pings are written.
	ping()
	// resume offers the session again what it did not take.
	resume()
	// close says goodbye and gives the gateway a while to do the same.
	close(transport.Reason)
	// cut ends the connection at once. Idempotent.
	cut()
	// maxUnreliable is the longest unreliable message in bytes that can be sent now;
	// the session allows most.
	maxUnreliable(most int) int
	path() transport.Path
	// rebind moves to a new local address; it returns when that is in use.
	rebind(context.Context) error
	// describe adds what only the carrier knows to a snapshot.
	describe(*Info)
	// broke is the error that the connection itself ended with, nil if there is none;
	// after run.
	broke() error
}

// connection is a connection to a verified server, before the first frame.
type connection struct {
	transport   Transport
	remote      netip.AddrPort
	fingerprint string
	took        Opening
	carry       func(*link) carrier
}

// link is a session on one connection.
type link struct {
	// static
	conn    *connection
	session *session
	carrier carrier
	pings   pings
	// gone is closed when the connection has ended and session.why is set.
	gone chan struct{}

	// reading is since when the carrier has been reading, in Unix nanoseconds; 0
	// while the inbox is full.
	reading atomic.Int64

	// guarded by mu
	mu        sync.Mutex
	keepalive *time.Timer // calls tick; nil before open
	stopped   bool        // no tick follows
}

func (c *Client) newLink(conn *connection) *link {
	l := &link{conn: conn, gone: make(chan struct{})}
	l.session = &session{
		inbox: c.inbox, counters: &c.counters, tell: c.teller.tell, room: make(chan struct{}, 1),
		sendBuffer: c.dialer.options.SendBufferBytes,
	}
	l.carrier = conn.carry(l)
	return l
}

// open sends the CLIENT_HELLO, which is borrowed, and reads until it was answered.
// False: there is no session; run says why.
func (l *link) open(hello []byte) bool {
	l.reading.Store(time.Now().UnixNano())
	if !l.carrier.open(hello) {
		return false
	}
	l.mu.Lock()
	l.keepalive = time.AfterFunc(l.interval(), l.tick)
	l.mu.Unlock()
	return true
}

// run moves messages until the session has ended and returns why, with everything
// released and no goroutine left.
func (l *link) run() transport.Reason {
	l.carrier.run()
	l.mu.Lock()
	l.stopped = true
	if l.keepalive != nil {
		l.keepalive.Stop()
	}
	l.mu.Unlock()
	close(l.gone)
	return *l.session.why.Load()
}

// discard ends a session that nobody wants any more.
func (l *link) discard() {
	l.session.unwanted.Store(true)
	l.carrier.close(transport.Reason{Code: transport.Normal})
	l.run()
}

func (l *link) isGone() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// tick sends a PING, or gives up on a connection on which nothing was heard for
// the idle timeout. While the inbox is full it does neither.
func (l *link) tick() {
	if since := l.reading.Load(); since != 0 {
		now := time.Now()
		heard := l.carrier.path().Heard
		if quiet := min(now.Sub(heard), now.Sub(time.Unix(0, since))); quiet > max(l.session.idle, minIdle) {
			l.session.end(transport.Reason{
				Code: transport.Idle, Lost: true,
				Text: fmt.Sprintf("nothing was heard of the gateway for %v", quiet.Round(time.Millisecond)),
			})
			l.carrier.cut()
			return
		}
		l.pings.probe(now)
		l.carrier.ping()
	}
	l.mu.Lock()
	if !l.stopped {
		l.keepalive.Reset(l.interval())
	}
	l.mu.Unlock()
}

func (l *link) interval() time.Duration { return max(l.session.idle/3, minKeepalive) }

// push queues a message, as session.push does, and sees to it that it is written.
func (l *link) push(d transport.Delivery, channel uint8, payload []byte) (queued bool, err error) {
	limit := l.session.maxReliable
	if d == transport.Unreliable {
		limit = l.carrier.maxUnreliable(l.session.maxUnreliable)
	}
	queued, err = l.session.push(d, channel, payload, limit)
	if queued {
		l.carrier.wake(d, channel)
	}
	return queued, err
}
