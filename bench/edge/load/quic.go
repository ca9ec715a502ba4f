//go:build linux

package load

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"strait/proto/wire"
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
	dialer    *quicDialer // nil when closed
	clients   []*quicClient
	base      time.Time
	datagrams bool // how the messages of Saturate and Offer go

	load atomic.Pointer[quicLoad] // under way; nil: none

	failed context.CancelCauseFunc
	broken context.Context // ends with the first connection that is lost
	wg     sync.WaitGroup
}

// quicClient is one connection with its control stream.
type quicClient struct {
	q      *QUIC // nil while the session opens
	conn   *quicgo.Conn
	stream *quicgo.Stream

	mu      sync.Mutex // guards the rest; nobody waits for the peer while he holds it
	client  client     // numbers, and the times of what is on the way
	out     []byte     // what is to be written to the stream
	writing bool       // a goroutine writes to the stream, and takes out along
	packet  []byte     // the datagram that is being made
	touched int64      // when the last echo came, or the last message was sent anew
}

// close ends the connection without waiting for the peer.
func (c *quicClient) close() error {
	_ = c.conn.CloseWithError(0, "") // it fails only if it has ended
	return nil
}

// dialQUIC opens n connections to s, and sessions on them if it says Hello.
func dialQUIC(ctx context.Context, s Server, n int) (*QUIC, error) {
	d, err := newQUICDialer(s, n)
	if err != nil {
		return nil, err
	}
	open := func(ctx context.Context) (*quicClient, error) { return d.dial(ctx, false) }
	clients, err := openAll(ctx, n, dialling, open, (*quicClient).close)
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	q := &QUIC{dialer: d, clients: clients, base: time.Now(), datagrams: s.QUIC == QUICDatagrams}
	q.broken, q.failed = context.WithCancelCause(context.Background())
	for _, c := range q.clients {
		c.q = q
		q.wg.Go(c.readStream)
		if q.datagrams {
			q.wg.Go(c.readDatagrams)
		}
	}
	return q, nil
}

// Negotiated tells what the handshake of the first connection came to.
func (q *QUIC) Negotiated() Negotiated {
	s := q.clients[0].conn.ConnectionState().TLS
	return Negotiated{Version: tls.VersionName(s.Version), Cipher: tls.CipherSuiteName(s.CipherSuite), Curve: s.CurveID.String()}
}

// Close ends all connections.
func (q *QUIC) Close() error {
	q.abort(errClosed)
	q.wg.Wait()
	d := q.dialer
	if d == nil {
		return nil
	}
	q.dialer = nil
	return d.close()
}

var errClosed = errors.New("closed")

// abort ends all connections because of err, and with them whatever waits for one.
func (q *QUIC) abort(err error) {
	q.failed(err)
	for _, c := range q.clients {
		_ = c.close()
	}
}

func (q *QUIC) now() int64 { return int64(time.Since(q.base)) }

// lose ends the load because of a connection that was lost.
func (q *QUIC) lose(err error) {
	if err != nil && !errors.Is(err, io.EOF) {
		q.failed(fmt.Errorf("a session was lost: %w", err))
	}
}

// pong answers a PING, whose payload is borrowed until return. What it adds to out is
// for the caller to write; c.mu is held once the session is open.
func (c *quicClient) pong(payload []byte) error {
	if len(payload) != 8 {
		return fmt.Errorf("a PING of %d bytes", len(payload))
	}
	c.out = wire.AppendPong(c.out, [8]byte(payload), 0)
	return nil
}

// readStream takes what comes on the control stream, until it ends. It never waits to
// write: a server that echoes stops reading when nobody reads what it writes.
func (c *quicClient) readStream() {
	buf := make([]byte, streamBuffer)
	for {
		n, err := c.stream.Read(buf)
		if n > 0 {
			l := c.q.load.Load()
			follow := 0
			c.mu.Lock()
			fed := c.client.feed(buf[:n], l.bytes(), func(at int64) { follow += c.echoed(l, at) }, c.pong)
			if fed == nil && follow > 0 {
				fed = c.send(l, follow, c.q.now())
			}
			c.flush()
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
		l := c.q.load.Load()
		if len(b) != datagramHeader+l.bytes() {
			if l == nil {
				continue // late: its load is over
			}
			c.q.lose(fmt.Errorf("%w: a datagram of %d bytes", errOutOfOrder, len(b)))
			return
		}
		c.mu.Lock()
		at, ok := c.client.pick(binary.LittleEndian.Uint64(b[datagramHeader:]))
		if ok {
			if n := c.echoed(l, at); n > 0 {
				err = c.send(l, n, c.q.now())
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
func (c *quicClient) echoed(l *quicLoad, at int64) int {
	if l == nil {
		return 0
	}
	now := c.q.now()
	c.touched = now
	return l.echoed(at, now)
}

// send sends n messages of l that count from at. c.mu is held.
func (c *quicClient) send(l *quicLoad, n int, at int64) error {
	if !l.datagrams {
		for range n {
			c.out = c.client.message(c.out, l.size, at)
		}
		c.flush()
		return nil
	}
	for range n {
		c.packet = append(c.packet[:0], 0x10, 0, byte(c.client.sent>>8), byte(c.client.sent))
		c.packet = append(c.packet, make([]byte, l.size)...)
		binary.LittleEndian.PutUint64(c.packet[datagramHeader:], c.client.sent)
		c.client.sent++
		c.client.waiting.push(at)
		if err := c.conn.SendDatagram(c.packet); err != nil {
			return err
		}
	}
	return nil
}

// atOnce is the most that is written to a stream without a goroutine that may wait.
const atOnce = 4 << 10

// flush writes out, by a goroutine where it would have to wait for credit. c.mu is held.
func (c *quicClient) flush() {
	switch {
	case c.writing || len(c.out) == 0:
	case len(c.out) <= atOnce && c.stream.TryWriteAll(c.out) == nil:
		c.out = c.out[:0]
	default:
		c.writing = true
		c.q.wg.Go(c.write)
	}
}

// write writes out until there is no more.
func (c *quicClient) write() {
	for {
		c.mu.Lock()
		b := c.out
		c.out, c.writing = nil, len(b) > 0
		c.mu.Unlock()
		if len(b) == 0 {
			return
		}
		if _, err := c.stream.Write(b); err != nil {
			c.q.lose(err)
			return
		}
	}
}
