//go:build linux

package load

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"golang.org/x/sys/unix"

	"strait/proto/wire"
	"strait/quic/session"
)

// datagramHeader is what stands in front of a message in a QUIC datagram (WIRE.md
// section 5): type, channel, sequence.
const datagramHeader = 4

// streamBuffer holds what one read takes from a stream.
const streamBuffer = 4 << 10

// QUIC is a set of open QUIC connections and the goroutines that play them: a
// goroutine a connection, because quic-go is made so. What that costs is the load
// generator's, not the server's. Its methods are for one goroutine at a time.
type QUIC struct {
	transport *quicgo.Transport
	clients   []*quicClient
	base      time.Time
	size      int
	datagrams bool

	mu     sync.Mutex // guards window and play
	window *window
	play   func(at, now int64) int // how many messages follow an echo; nil between loads

	failed context.CancelCauseFunc
	broken context.Context // ends with the first connection that is lost
	wg     sync.WaitGroup
}

type quicClient struct {
	q      *QUIC
	conn   *quicgo.Conn
	stream *quicgo.Stream

	mu      sync.Mutex // guards the rest, and writing
	client  client     // numbers, and the times of what is on the way
	out     []byte
	touched int64 // when the last echo came, or the last message was sent anew
}

// dialQUIC opens n connections to s, and sessions on them if it says Hello.
func dialQUIC(ctx context.Context, s Server, n int) (*QUIC, error) {
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil, err
	}
	q := &QUIC{transport: &quicgo.Transport{Conn: conn}, base: time.Now(), datagrams: s.QUIC == QUICDatagrams}
	q.broken, q.failed = context.WithCancelCause(context.Background())
	hello, err := hello(false)
	if err != nil {
		return nil, errors.Join(err, q.Close())
	}
	if !s.Hello {
		hello = nil
	}
	for range n {
		c, err := q.dial(ctx, s.Addr, hello)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("opening a session: %w", err), q.Close())
		}
		q.clients = append(q.clients, c)
	}
	for _, c := range q.clients {
		q.wg.Go(c.readStream)
		if q.datagrams {
			q.wg.Go(c.readDatagrams)
		}
	}
	return q, nil
}

func (q *QUIC) dial(ctx context.Context, addr string, hello []byte) (*quicClient, error) {
	ctx, cancel := context.WithTimeout(ctx, opening)
	defer cancel()
	at, err := udpAddr(addr)
	if err != nil {
		return nil, err
	}
	conn, err := q.transport.Dial(ctx, at, conf(), quicConf())
	if err != nil {
		return nil, err
	}
	c := &quicClient{q: q, conn: conn}
	if c.stream, err = conn.OpenStreamSync(ctx); err != nil {
		return nil, err
	}
	// A stream exists for the server with its first byte.
	if hello == nil {
		hello = wire.AppendFrame(nil, wire.Data, 0, make([]byte, MinSize))
		c.client.waiting.push(0)
		c.client.sent++
	}
	if _, err := c.stream.Write(hello); err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	if err := c.stream.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	buf := make([]byte, 1024)
	for !c.client.opened && c.client.received == 0 {
		n, err := c.stream.Read(buf)
		if err != nil {
			return nil, err
		}
		if err := c.client.feed(buf[:n], MinSize, func(int64) {}, c.pong); err != nil {
			return nil, err
		}
	}
	return c, c.stream.SetReadDeadline(time.Time{})
}

// quicConf is the gateway's own settings.
func quicConf() *quicgo.Config {
	c := session.QUICConfig()
	c.MaxIdleTimeout, c.KeepAlivePeriod = time.Minute, 10*time.Second
	return c
}

// Negotiated tells what the handshake of the first connection came to.
func (q *QUIC) Negotiated() Negotiated {
	s := q.clients[0].conn.ConnectionState().TLS
	return Negotiated{Version: tls.VersionName(s.Version), Cipher: tls.CipherSuiteName(s.CipherSuite), Curve: s.CurveID.String()}
}

// Close ends all connections.
func (q *QUIC) Close() error {
	q.failed(errClosed)
	for _, c := range q.clients {
		_ = c.conn.CloseWithError(0, "") // it fails only if it has ended
	}
	q.wg.Wait()
	q.clients = nil
	return errors.Join(q.transport.Close(), q.transport.Conn.Close())
}

var errClosed = errors.New("closed")

func (q *QUIC) now() int64 { return int64(time.Since(q.base)) }

// lose ends the load because of a connection that was lost.
func (q *QUIC) lose(err error) {
	if err != nil && !errors.Is(err, io.EOF) {
		q.failed(fmt.Errorf("a session was lost: %w", err))
	}
}

// pong answers a PING, whose payload is borrowed until return.
func (c *quicClient) pong(payload []byte) error {
	if len(payload) != 8 {
		return fmt.Errorf("a PING of %d bytes", len(payload))
	}
	_, err := c.stream.Write(wire.AppendPong(nil, [8]byte(payload), 0))
	return err
}

// readStream takes what comes on the control stream, until it ends.
func (c *quicClient) readStream() {
	buf := make([]byte, streamBuffer)
	for {
		n, err := c.stream.Read(buf)
		if n > 0 {
			c.mu.Lock()
			follow := 0
			fed := c.client.feed(buf[:n], c.q.size, func(at int64) { follow += c.q.echoed(c, at) }, c.pong)
			if fed == nil && follow > 0 {
				fed = c.send(follow, c.q.now())
			}
			c.mu.Unlock()
			if fed != nil {
				c.q.lose(fed)
				return
			}
		}
		if err != nil {
			c.q.lose(err)
			return
		}
	}
}

// readDatagrams takes datagrams, until the connection ends.
func (c *quicClient) readDatagrams() {
	for {
		b, err := c.conn.ReceiveDatagram(c.q.broken)
		if err != nil {
			c.q.lose(err)
			return
		}
		if len(b) != datagramHeader+c.q.size {
			c.q.lose(errOutOfOrder)
			return
		}
		c.mu.Lock()
		at, ok := c.client.pick(binary.LittleEndian.Uint64(b[datagramHeader:]))
		if ok {
			if n := c.q.echoed(c, at); n > 0 {
				err = c.send(n, c.q.now())
			}
		}
		c.mu.Unlock()
		if err != nil {
			c.q.lose(err)
			return
		}
	}
}

// echoed counts an echo and returns how many messages follow it. c.mu is held.
func (q *QUIC) echoed(c *quicClient, at int64) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.play == nil {
		return 0
	}
	now := q.now()
	c.touched = now
	return q.play(at, now)
}

// send sends n messages that count from at. c.mu is held.
func (c *quicClient) send(n int, at int64) error {
	if !c.q.datagrams {
		c.out = c.out[:0]
		for range n {
			c.out = c.client.message(c.out, c.q.size, at)
		}
		_, err := c.stream.Write(c.out)
		return err
	}
	for range n {
		c.out = append(c.out[:0], 0x10, 0, byte(c.client.sent>>8), byte(c.client.sent))
		c.out = append(c.out, make([]byte, c.q.size)...)
		binary.LittleEndian.PutUint64(c.out[datagramHeader:], c.client.sent)
		c.client.sent++
		c.client.waiting.push(at)
		if err := c.conn.SendDatagram(c.out); err != nil {
			return err
		}
	}
	return nil
}

// Saturate keeps ahead messages of size bytes on the way for each client.
func (q *QUIC) Saturate(ctx context.Context, size, ahead int, s Stretch) (*Measured, error) {
	w := q.begin(size, s, 1)
	for _, c := range q.clients {
		c.mu.Lock()
		c.touched = q.now()
		err := c.send(ahead, q.now())
		c.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
	err := q.until(ctx, w, func(int64) (int64, error) {
		now := q.now()
		for _, c := range q.clients {
			c.mu.Lock()
			var err error
			if n := c.client.waiting.len(); q.datagrams && n > 0 && now-c.touched > int64(stalled) {
				for range n {
					c.client.forget()
				}
				c.touched = now
				err = c.send(n, now)
			}
			c.mu.Unlock()
			if err != nil {
				return 0, err
			}
		}
		return now + int64(stalled), nil
	})
	return q.end(w, err)
}

// Offer sends messages of size bytes at rate a second, as [Generator.Offer] does.
func (q *QUIC) Offer(ctx context.Context, size int, rate float64, seed uint64, s Stretch) (*Measured, error) {
	w := q.begin(size, s, 0)
	t := newTimetable(q.now(), len(q.clients), rate, seed)
	err := q.until(ctx, w, func(now int64) (int64, error) {
		for {
			i, at := t.next()
			if at > now || at >= w.end {
				return at, nil
			}
			c := q.clients[i]
			c.mu.Lock()
			err := c.send(1, at)
			c.mu.Unlock()
			if err != nil {
				return 0, err
			}
			t.advance()
		}
	})
	return q.end(w, err)
}

func (q *QUIC) begin(size int, s Stretch, follow int) *window {
	runtime.GC()
	w := newWindow(q.now(), s)
	q.mu.Lock()
	q.size, q.window = size, w
	q.play = func(at, now int64) int {
		w.echoed(at, now)
		if w.ended {
			return 0
		}
		return follow
	}
	q.mu.Unlock()
	return w
}

// until calls due when it wants to be called, until the window has ended and what
// was on the way came back or is late.
func (q *QUIC) until(ctx context.Context, w *window, due func(now int64) (next int64, err error)) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	defer unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0)
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if q.broken.Err() != nil {
			return context.Cause(q.broken)
		}
		now := q.now()
		q.mu.Lock()
		err := w.turn(now)
		ended := w.ended
		q.mu.Unlock()
		if err != nil {
			return err
		}
		if ended {
			if q.open() == 0 || now > w.end+int64(lag) {
				return nil
			}
			time.Sleep(time.Millisecond)
			continue
		}
		next, err := due(now)
		if err != nil {
			return err
		}
		if wait := min(next, w.next(), now+int64(100*time.Millisecond)) - q.now(); wait > 0 {
			ts := unix.NsecToTimespec(wait)
			_ = unix.Nanosleep(&ts, nil) // interrupted: it looks again
		}
	}
}

// open is how many messages are on the way.
func (q *QUIC) open() (n int) {
	for _, c := range q.clients {
		n += c.onTheWay()
	}
	return n
}

// end gives the result; datagrams that did not come back are lost, not an error.
func (q *QUIC) end(w *window, err error) (*Measured, error) {
	q.mu.Lock()
	q.play = nil
	q.mu.Unlock()
	if err != nil {
		return nil, err
	}
	w.out.Unanswered = q.open()
	if !q.datagrams {
		return w.out, w.out.complete()
	}
	for _, c := range q.clients {
		c.mu.Lock()
		for c.client.waiting.len() > 0 {
			c.client.forget()
		}
		w.out.Lost += c.client.lost
		c.client.lost = 0
		c.mu.Unlock()
	}
	return w.out, nil
}

// Rest sends nothing for d.
func (q *QUIC) Rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-q.broken.Done():
		return context.Cause(q.broken)
	}
}

// Each sends one message of size bytes on every session, on its stream, one after
// the other.
func (q *QUIC) Each(ctx context.Context, size, _ int) error {
	modes := q.datagrams
	q.datagrams = false
	defer func() { q.datagrams = modes }()
	q.begin(size, Stretch{Measure: time.Hour}, 0)
	defer func() {
		q.mu.Lock()
		q.play = nil
		q.mu.Unlock()
	}()
	for _, c := range q.clients {
		c.mu.Lock()
		err := c.send(1, q.now())
		c.mu.Unlock()
		for err == nil && c.onTheWay() > 0 {
			err = q.Rest(ctx, time.Millisecond)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *quicClient) onTheWay() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.client.waiting.len()
}
