package client

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"strait/proto/wire"
	"strait/transport"
	"strait/transport/lane"
)

const (
	// linger is how long an end waits for the gateway's CLOSE and FIN.
	linger = time.Second
	// writeChunk is about how much is encoded for one write: one TLS record.
	writeChunk = 16 << 10
	// Hostile idle timeouts neither make a client ping all the time nor give up a
	// connection within one round trip.
	minKeepalive = 100 * time.Millisecond
	minIdle      = time.Second
)

// link is one connection: it moves bytes between the socket and the lane's core.
type link struct {
	// static
	conn    *secured
	core    *lane.Core
	session *session
	pings   pings
	// gone is closed when the connection has ended and session.why is set.
	gone chan struct{}

	// owned by the reader
	tap tap

	// any goroutine
	resumed chan struct{} // a token: what was not read may be read now
	broken  chan struct{} // closed by cut
	cutOnce sync.Once
	// reading is since when the reader has been reading, in Unix nanoseconds; 0
	// while the inbox is full.
	reading   atomic.Int64
	keepalive *time.Timer // calls tick; nil before open

	// guarded by mu
	mu       sync.Mutex
	writing  bool // the writer runs
	again    bool // it shall look again before it ends
	stopped  bool // no writer starts any more, and no tick follows
	writer   sync.WaitGroup
	writeErr error       // what ended the writer
	last     *time.Timer // cuts a link that does not end by itself
	ended    bool        // there is nothing to cut any more
}

func (c *Client) newLink(conn *secured) *link {
	l := &link{
		conn:    conn,
		gone:    make(chan struct{}),
		resumed: make(chan struct{}, 1),
		broken:  make(chan struct{}),
	}
	l.session = &session{
		inbox: c.inbox, counters: &c.counters, goaway: c.teller.tell, room: make(chan struct{}, 1),
		sendBuffer: c.dialer.options.SendBufferBytes,
	}
	l.core = lane.New(lane.Config{Role: lane.Client, Pool: buffers, Resume: l.resume}, l.session)
	l.session.lane = l.core
	return l
}

// open sends the CLIENT_HELLO, which is borrowed, and reads until it was answered.
// False: there is no session; finish says why.
func (l *link) open(hello []byte) bool {
	l.core.ClientHello(hello)
	l.wake()
	l.reading.Store(time.Now().UnixNano())
	for !l.session.open.Load() {
		if !l.read() {
			return false
		}
	}
	l.mu.Lock()
	l.keepalive = time.AfterFunc(l.interval(), l.tick)
	l.mu.Unlock()
	return true
}

// run reads until the session has ended and returns why, with everything
// released and no goroutine left.
func (l *link) run() transport.Reason {
	for l.read() {
	}
	return l.finish()
}

// read does one read, or waits until reading is allowed again. False: nothing
// more is to be read.
func (l *link) read() bool {
	space := l.core.Space()
	if space == nil {
		return !l.core.Finished() && l.hold()
	}
	n, err := l.conn.Read(space)
	now := time.Now()
	whole := l.tap.see(space[:n])
	if broke := l.core.Advance(n, now); broke != nil {
		return false
	}
	switch whole {
	case wire.Ping:
		l.wake()
	case wire.Pong:
		l.pings.answered(l.tap.pong[:], now)
	}
	if err != nil {
		l.session.end(l.lost(err))
		return false
	}
	return !l.session.refused && !l.core.Finished()
}

// hold waits until the inbox has room or the PINGs are answered.
func (l *link) hold() bool {
	l.reading.Store(0)
	defer func() { l.reading.Store(time.Now().UnixNano()) }()
	select {
	case <-l.resumed:
	case <-l.broken:
		return false
	}
	return l.core.Resume() == nil && !l.core.Finished()
}

// lost is the reason of a connection that ended without CLOSE.
func (l *link) lost(err error) transport.Reason {
	l.mu.Lock()
	if l.writeErr != nil && errors.Is(err, net.ErrClosed) {
		err = l.writeErr
	}
	l.mu.Unlock()
	text := err.Error()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		text = "the gateway ended the connection without CLOSE"
	}
	// IDLE is what the gateway will call it once it has noticed.
	return transport.Reason{Code: transport.Idle, Text: text, Lost: true}
}

// finish ends the connection, with CLOSE, close_notify and FIN where they can
// still be sent, releases everything and returns why it ended.
func (l *link) finish() transport.Reason {
	graceful := l.core.Finished() || l.session.refused
	if graceful {
		l.cutSoon()
		l.wake()
	} else {
		l.cut()
	}
	l.stopWriting()
	if graceful {
		// The writer still sends what is queued and CLOSE; meanwhile what arrives is
		// discarded, so that no reset destroys either.
		_, _ = io.Copy(io.Discard, l.conn)
	}
	l.writer.Wait()
	l.cut()
	l.mu.Lock()
	l.ended = true
	if l.last != nil {
		l.last.Stop()
	}
	l.mu.Unlock()
	l.session.end(l.lost(net.ErrClosed))
	why := *l.session.why.Load()
	l.core.End(why)
	l.session.Gone(why)
	close(l.gone)
	return why
}

func (l *link) isGone() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// resume lets the reader go on. Never blocks.
func (l *link) resume() {
	select {
	case l.resumed <- struct{}{}:
	default:
	}
}

// cut ends the connection at once. Idempotent.
func (l *link) cut() {
	l.cutOnce.Do(func() {
		close(l.broken)
		_ = l.conn.raw.Close()
	})
}

// cutSoon ends the connection in a while, whatever the gateway does.
func (l *link) cutSoon() {
	l.mu.Lock()
	if l.last == nil && !l.ended {
		l.last = time.AfterFunc(linger, l.cut)
	}
	l.mu.Unlock()
}

// close says goodbye and gives the gateway a while to do the same.
func (l *link) close(r transport.Reason) {
	l.core.Close(r)
	l.cutSoon()
	l.wake()
	l.resume()
}

// tick sends a PING, or gives up on a connection on which nothing was heard for
// the idle timeout. While the inbox is full it does neither.
func (l *link) tick() {
	if since := l.reading.Load(); since != 0 {
		now := time.Now()
		heard := l.core.Path().Heard
		if quiet := min(now.Sub(heard), now.Sub(time.Unix(0, since))); quiet > max(l.session.idle, minIdle) {
			l.session.end(transport.Reason{
				Code: transport.Idle, Lost: true,
				Text: fmt.Sprintf("nothing was heard of the gateway for %v", quiet.Round(time.Millisecond)),
			})
			l.cut()
			return
		}
		l.core.Ping()
		l.wake()
	}
	l.mu.Lock()
	if !l.stopped {
		l.keepalive.Reset(l.interval())
	}
	l.mu.Unlock()
}

func (l *link) interval() time.Duration { return max(l.session.idle/3, minKeepalive) }

// wake makes sure that a writer looks at what there is to write.
func (l *link) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.stopped:
	case l.writing:
		l.again = true
	default:
		l.writing = true
		l.writer.Go(l.write)
	}
}

// write writes until there is nothing left.
func (l *link) write() {
	b := buffers.Get(writeChunk)
	defer b.Release()
	out := b.B[:0]
	for {
		l.mu.Lock()
		l.again = false
		l.mu.Unlock()
		now := time.Now()
		out = out[:0]
		if l.session.open.Load() && !l.core.Closing() {
			out = l.pings.append(out, now)
		}
		out, done := l.core.Fill(out, writeChunk, now)
		if len(out) > 0 {
			if _, err := l.conn.Write(out); err != nil {
				l.writeFailed(err)
				return
			}
		}
		if done {
			l.conn.finishWriting()
			l.stopWriting()
			return
		}
		if len(out) == 0 {
			l.core.Idle() // before the next writer may start
			if l.rest() {
				return
			}
		}
	}
}

// rest ends the writer unless it was woken meanwhile.
func (l *link) rest() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.again {
		return false
	}
	l.writing = false
	return true
}

// writeFailed leaves the reader a while for the CLOSE that may explain it.
func (l *link) writeFailed(err error) {
	l.mu.Lock()
	l.writeErr = err
	l.mu.Unlock()
	l.stopWriting()
	l.cutSoon()
}

// stopWriting lets no writer start any more; one that runs goes on until it has
// nothing left to write.
func (l *link) stopWriting() {
	l.mu.Lock()
	l.stopped = true
	if l.keepalive != nil {
		l.keepalive.Stop()
	}
	l.mu.Unlock()
}
