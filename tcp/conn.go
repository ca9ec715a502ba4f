package tcp

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"strait/transport"
	"strait/transport/lane"
)

// The phases of a connection's opening. From greeting on there is a lane.
const (
	handshaking uint32 = iota
	dropped            // made room for another during the handshake
	drained            // the listener was closed during the handshake
	greeting           // TLS is done, the session is not open
	opened             // SERVER_HELLO is queued
	evicted            // made room for another before it was open
)

// longAgo is a deadline that ends a blocked call at once.
var longAgo = time.Unix(1, 0)

// Conn is one client's connection. It implements [transport.Conn].
type Conn struct {
	// static
	l        *Listener
	sock     socket
	remote   netip.AddrPort
	deadline time.Time          // of the opening
	opening  *transport.Opening // nil without a cap
	loop     int                // the event loop that it will move to, if there are any

	// set before phase is greeting, then static
	tls   *tls.Conn
	core  *lane.Core
	write func() // the writer's body, kept so that starting it allocates nothing
	// signal wakes the reader where it waits without reading. A token too many
	// makes it look again.
	signal chan struct{}

	// set before the writer can run, then static; nil: refused
	peer transport.Peer

	// owned by the reader, later by the event loop
	reason transport.Reason // what Closing was told
	held   bool             // the writer is held back for the move to an event loop

	// atomic
	phase   atomic.Uint32
	moved   atomic.Pointer[moved]            // the connection on its event loop; nil: it has a reader
	ending  atomic.Pointer[transport.Reason] // the end was asked for, here or there
	writer  atomic.Uint32                    // states in writer.go
	broken  atomic.Bool                      // writing failed
	severed atomic.Bool                      // cut was called
}

func newConn(l *Listener, raw net.Conn) *Conn {
	c := &Conn{l: l, deadline: time.Now().Add(l.config.OpenTimeout), remote: addrPort(raw.RemoteAddr())}
	c.sock = socket{Conn: raw, counters: &l.counters}
	if l.loops != nil {
		c.loop = l.loops.pick()
	}
	return c
}

// addrPort is a in the form that everyone compares: IPv4 as IPv4.
func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	if a == nil {
		return netip.AddrPort{}
	}
	ap, _ := netip.ParseAddrPort(a.String())
	return ap
}

// Kind is KindTCP.
func (c *Conn) Kind() transport.Kind { return transport.KindTCP }

// Datagrams is nil: the connection carries none.
func (c *Conn) Datagrams() transport.Lane { return nil }

// Loop is the event loop that serves the connection once it is open.
func (c *Conn) Loop() (n int, ok bool) { return c.loop, c.l.loops != nil }

// Max is Config.MaxUnreliable.
func (c *Conn) Max() int { return c.l.config.MaxUnreliable }

// Path is what is known of the way to the client.
func (c *Conn) Path() transport.Path {
	p := c.core.Path()
	p.Remote = c.remote
	return p
}

// Ping sends a PING, if none is under way.
func (c *Conn) Ping() {
	c.core.Ping()
	c.Wake()
}

// Control queues a control frame; payload is borrowed.
func (c *Conn) Control(t transport.Control, payload []byte) {
	if t == transport.ControlServerHello {
		if !c.phase.CompareAndSwap(greeting, opened) {
			return
		}
		if c.opening != nil {
			c.opening.Done()
		}
	}
	c.core.Control(t, payload)
	c.Wake()
	if t == transport.ControlServerHello {
		c.poke()
	}
}

// Resume makes the reader offer again what the peer did not take.
func (c *Conn) Resume() { c.poke() }

// Close sends what is queued (not for TOO_SLOW), then r, then ends the connection.
// What is not written within Config.Linger is not sent.
func (c *Conn) Close(r transport.Reason) {
	if !c.ending.CompareAndSwap(nil, &r) {
		return
	}
	c.core.Close(r)
	_ = c.sock.Conn.SetWriteDeadline(time.Now().Add(c.l.config.Linger))
	_ = c.sock.Conn.SetReadDeadline(longAgo)
	c.poke()
	c.Wake()
}

// evict makes room for a newer connection.
func (c *Conn) evict() {
	switch {
	case c.phase.CompareAndSwap(handshaking, dropped):
		c.cut()
	case !c.phase.CompareAndSwap(greeting, evicted):
	case c.ending.Load() != nil:
		c.cut()
	default:
		c.Close(transport.Because(transport.Overloaded, "too many connections are opening"))
	}
}

// drain ends the connection because its listener is closed.
func (c *Conn) drain() {
	switch {
	case c.phase.CompareAndSwap(handshaking, drained):
		c.cut()
	case c.phase.Load() >= greeting:
		c.Close(transport.Because(transport.Draining, "the gateway is going away"))
	}
}

// cut ends the connection at once.
func (c *Conn) cut() {
	c.severed.Store(true)
	_ = c.sock.Conn.Close()
	if c.phase.Load() >= greeting {
		c.poke()
	}
}

// poke makes whoever reads look again.
func (c *Conn) poke() {
	if m := c.moved.Load(); m != nil {
		m.reschedule()
		return
	}
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

// run is the reader's goroutine, from accepting to Gone.
func (c *Conn) run(accept transport.Accept) {
	if c.greet() {
		c.join(accept)
		if c.read() {
			return // the event loop goes on from here
		}
		c.end()
	}
	if c.opening != nil {
		c.opening.Done()
	}
	c.l.conns.Remove(c)
}

// greet does the handshake and makes the lane.
func (c *Conn) greet() bool {
	err := c.handshake()
	if err == nil {
		c.signal = make(chan struct{}, 1)
		c.write = c.runWriter
		c.core = lane.New(lane.Config{
			Role: lane.Gateway, MaxMessage: c.l.config.MaxMessage, Pool: c.l.config.Pool, Resume: c.poke,
		}, relay{c})
		c.writer.Store(busy) // until there is a peer to pull from
		if c.phase.CompareAndSwap(handshaking, greeting) {
			return true
		}
	}
	why := c.failure(err)
	c.l.counters.failures[why].Add(1)
	if why == FailedCertificate {
		if kept, ok := c.l.refused.Allow(time.Now()); ok {
			c.l.config.Logger.Info("a client's certificate was refused", "remote", c.remote.String(), "err", err, "not_logged_before", kept)
		}
		c.letReadAlert()
	}
	_ = c.sock.Conn.Close()
	return false
}

// join asks whose connection it is and lets the writer run.
func (c *Conn) join(accept transport.Accept) {
	if c.ending.Load() == nil {
		peer, err := accept(c)
		if err == nil && peer != nil {
			c.peer = peer
		} else {
			c.l.counters.refused.Add(1)
			reason := transport.Reason{Code: transport.Internal}
			if !errors.As(err, &reason) {
				c.l.config.Logger.Error("a connection was refused without a reason for the client",
					"remote", c.remote.String(), "err", err)
			}
			c.Close(reason)
		}
	}
	c.held = c.l.loops != nil && c.peer != nil
	if !c.held {
		c.letWrite()
	}
}

// letWrite ends the hold under which the writer was since it had no peer to pull
// from. A connection that will move to an event loop writes SERVER_HELLO there.
func (c *Conn) letWrite() {
	c.held = false
	if !c.writer.CompareAndSwap(busy, idle) {
		c.writer.Store(busy)
		go c.write()
	}
}

// read moves what the client sends until reading has ended and Closing was told,
// or until the connection has moved to an event loop.
func (c *Conn) read() (moved bool) {
	open := false
	for {
		if r := c.ending.Load(); r != nil {
			c.core.End(*r)
			return false
		}
		if !open && c.core.Opened() {
			open = true
			if c.held {
				if c.move() {
					return true
				}
				c.letWrite()
			}
			_ = c.sock.Conn.SetReadDeadline(time.Time{})
			// Who sets a deadline says why first, so that one just erased is seen here.
			if c.broken.Load() {
				_ = c.sock.Conn.SetReadDeadline(time.Now().Add(c.l.config.Linger))
			}
			continue
		}
		space := c.core.Space()
		if space == nil {
			if c.core.Finished() {
				return false
			}
			c.pause(open)
			continue
		}
		n, err := c.tls.Read(space)
		if n > 0 {
			_ = c.core.Advance(n, time.Now()) // an error is the end that Finished tells
			if c.core.Owes() {
				c.Wake()
			}
		}
		if err != nil && !c.core.Finished() {
			c.readFailed(err, open)
		}
	}
}

// pause waits without reading until there is a reason to look again.
func (c *Conn) pause(open bool) {
	if open {
		<-c.signal
	} else {
		timer := time.NewTimer(time.Until(c.deadline))
		select {
		case <-c.signal:
		case <-timer.C:
			c.late()
		}
		timer.Stop()
	}
	_ = c.core.Resume()
	if c.core.Owes() {
		c.Wake()
	}
}

// late ends an opening that took too long, unless it is open by now.
func (c *Conn) late() {
	if c.phase.Load() != opened {
		c.Close(transport.Because(transport.Timeout, "the session was not open after %v", c.l.config.OpenTimeout))
	}
}

// readFailed judges an error of reading. After it the loop looks at what changed.
func (c *Conn) readFailed(err error, open bool) {
	switch {
	case c.ending.Load() != nil:
		return
	case errors.Is(err, os.ErrDeadlineExceeded) && !c.broken.Load():
		if !open {
			c.late()
		}
		return
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errors.New("writing failed")
	case errors.Is(err, io.EOF):
		err = errors.New("the client ended the connection without CLOSE")
	}
	c.core.End(transport.Reason{Code: transport.Normal, Lost: true, Text: err.Error()})
}

// isGone reports whether err means that the peer went away.
func isGone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// relay is the peer as the lane sees it: it stands in for the one that is not
// known yet, or never will be because the connection is refused.
type relay struct{ c *Conn }

func (r relay) Hello(b []byte) { r.c.peer.Hello(b) }

func (r relay) Control(t transport.Control, payload []byte) error {
	return r.c.peer.Control(t, payload)
}

func (r relay) Deliver(ms []transport.Message) int { return r.c.peer.Deliver(ms) }

func (r relay) Channels(dst []uint8) []uint8 { return r.c.peer.Channels(dst) }

func (r relay) Pull(dst []transport.Message, d transport.Delivery, channel, budget int) []transport.Message {
	return r.c.peer.Pull(dst, d, channel, budget)
}

func (r relay) Closing(reason transport.Reason) {
	r.c.reason = reason
	if r.c.peer != nil {
		r.c.peer.Closing(reason)
	}
}

func (r relay) Gone(reason transport.Reason) {
	if r.c.peer != nil {
		r.c.peer.Gone(reason)
	}
}
