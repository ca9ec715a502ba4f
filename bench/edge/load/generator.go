//go:build linux

package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"strait/bench/edge/epoll"
)

// Generator is a set of open sessions and the loop that plays them. Its methods
// are for one goroutine at a time.
type Generator struct {
	clients  []*client
	poll     *epoll.Poll
	base     time.Time // times are nanoseconds since
	size     int       // of the messages of the load under way
	tended   int64     // when tend looked last
	untended int       // the client that it looks at next

	input []byte // what a socket held
	plain []byte // what a record held
	plaintext,
	cipher []byte // what is being sent
}

// dialling is how many sessions open at a time: enough to keep a proxy busy, few
// enough for its listen queue and for a limit on handshakes.
const dialling = 32

// bufferSize holds what one read takes from a socket: a message of 64 KiB with its
// frame and records fits two.
const bufferSize = 64 << 10

// Player plays loads on sessions that are open.
type Player interface {
	Saturate(ctx context.Context, size, ahead int, s Stretch) (*Measured, error)
	Offer(ctx context.Context, size int, rate float64, seed uint64, s Stretch) (*Measured, error)
	Rest(ctx context.Context, d time.Duration) error
	Each(ctx context.Context, size, parallel int) error
	Negotiated() Negotiated
	Close() error
}

// Dial opens n sessions.
func Dial(ctx context.Context, s Server, n int) (Player, error) {
	if s.QUIC != NoQUIC {
		return dialQUIC(ctx, s, n)
	}
	return dial(ctx, s, n)
}

func dial(ctx context.Context, s Server, n int) (*Generator, error) {
	d, err := newDialer(s)
	if err != nil {
		return nil, err
	}
	open := func(ctx context.Context) (*client, error) { return d.dial(ctx, 0) }
	clients, err := openAll(ctx, n, dialling, open, (*client).close)
	if err != nil {
		return nil, err
	}
	g := &Generator{clients: clients, base: time.Now(), input: make([]byte, bufferSize), plain: make([]byte, bufferSize)}
	if g.poll, err = epoll.New(); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	for i, c := range clients {
		if err := g.adopt(i, c); err != nil {
			return nil, errors.Join(err, g.Close())
		}
	}
	return g, nil
}

// adopt brings a client from the Go poller into the loop. crypto/tls may hold
// input already, which no event will tell of.
func (g *Generator) adopt(i int, c *client) error {
	at := i
	if c.dg != nil {
		if err := g.poll.Add(c.dg.fd, i, unix.EPOLLIN); err != nil {
			return err
		}
		if c.tls == nil {
			return nil
		}
		at += len(g.clients) // the session beside the lane
	}
	if err := c.link.move(); err != nil {
		return err
	}
	if err := g.take(at, c, nil, 0); err != nil {
		return err
	}
	return g.poll.Add(c.link.fd, at, unix.EPOLLIN)
}

// Negotiated tells what the handshake of the first session came to.
func (g *Generator) Negotiated() Negotiated { return g.clients[0].negotiated() }

// Close resets all connections.
func (g *Generator) Close() error {
	var err error
	for _, c := range g.clients {
		err = errors.Join(err, c.close())
	}
	if g.poll != nil {
		err = errors.Join(err, g.poll.Close())
		g.poll = nil
	}
	g.clients = nil
	return err
}

// kind is what decides when a load sends.
type kind interface {
	// due sends what is due and returns when it wants to be called next: a time, or
	// never. over ends the load.
	due(now int64) (next int64, over bool, err error)
	// echoed is called for a message that came back and was on the way since at. It
	// returns how many messages this client is to send now.
	echoed(at, now int64) int
	// lost reports whether another datagram is to be sent for one that did not come
	// back.
	lost() bool
}

const never = math.MaxInt64

func (g *Generator) now() int64 { return int64(time.Since(g.base)) }

// run plays k until it is over. The goroutine keeps its thread, whose timers are
// made exact: the default slack of 50 µs would be in every latency.
func (g *Generator) run(ctx context.Context, size int, k kind) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	defer unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0)
	// The collector would show in the latencies; a load leaves hardly any garbage.
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(800))

	g.size = size
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		next, over, err := k.due(g.now())
		if over || err != nil {
			return err
		}
		if err := g.tend(k); err != nil {
			return err
		}
		// Now and then it looks at ctx.
		events, err := g.poll.Wait(min(time.Duration(next-g.now()), 100*time.Millisecond))
		if err != nil {
			return err
		}
		for i := range events {
			if err := g.handle(int(events[i].Fd), events[i].Events, k); err != nil {
				return err
			}
		}
	}
}

func (g *Generator) handle(i int, events uint32, k kind) error {
	c := g.clients[i%len(g.clients)]
	if c.dg != nil && i < len(g.clients) {
		return g.takeDatagram(c, k)
	}
	if events&unix.EPOLLOUT != 0 {
		if err := g.flush(i, c, nil); err != nil {
			return err
		}
	}
	if events&^unix.EPOLLOUT == 0 {
		return nil
	}
	n, err := epoll.Read(c.link.fd, g.input)
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return fmt.Errorf("a session was lost: %w", err)
	case n == 0:
		return fmt.Errorf("a session was lost: %w", io.ErrUnexpectedEOF)
	}
	return g.take(i, c, k, n)
}

// take feeds the first n bytes of g.input to c's TLS connection and plays on what
// comes out. Without a kind no message may.
func (g *Generator) take(i int, c *client, k kind, n int) error {
	c.link.in, c.link.out = g.input[:n], g.cipher[:0]
	echoed := func(at int64) {
		if k != nil {
			c.owed += k.echoed(at, g.now())
		}
	}
	for {
		n, err := c.tls.Read(g.plain)
		if n > 0 {
			if err := c.feed(g.plain[:n], g.size, echoed, c.pong); err != nil {
				return err
			}
		}
		if errors.Is(err, errDry) {
			break
		}
		if err != nil {
			return fmt.Errorf("a session was lost: %w", err)
		}
	}
	if c.owed > 0 {
		n := c.owed
		c.owed = 0
		now := g.now()
		g.plaintext = g.plaintext[:0]
		for range n {
			g.plaintext = c.message(g.plaintext, g.size, now)
		}
		if _, err := c.tls.Write(g.plaintext); err != nil {
			return err
		}
	}
	return g.hand(i, c)
}

// send sends one message that counts from at.
func (g *Generator) send(i int, at int64) error {
	c := g.clients[i]
	if c.dg != nil {
		c.dg.touched = g.now()
		_, err := c.dg.send(c, g.size, at)
		return err
	}
	c.link.out = g.cipher[:0]
	g.plaintext = c.message(g.plaintext[:0], g.size, at)
	if _, err := c.tls.Write(g.plaintext); err != nil {
		return err
	}
	return g.hand(i, c)
}

// hand writes what crypto/tls put out to the socket and takes the memory back.
func (g *Generator) hand(i int, c *client) error {
	out := c.link.out
	c.link.in, c.link.out, g.cipher = nil, nil, out[:0]
	if len(out) == 0 {
		return nil
	}
	return g.flush(i, c, out)
}

// flush writes what is pending and then b, which is borrowed until return. What
// the socket does not take waits for writability.
func (g *Generator) flush(i int, c *client, b []byte) error {
	if len(c.pending) > 0 {
		c.pending = append(c.pending, b...)
		b = c.pending
	}
	n, err := epoll.Write(c.link.fd, b)
	if err != nil {
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("a session was lost: %w", err)
		}
		n = 0
	}
	if n == len(b) {
		c.pending = nil
	} else {
		c.pending = append(c.pending[:0:0], b[n:]...)
	}
	if waits := len(c.pending) > 0; waits != c.writing {
		c.writing = waits
		events := uint32(unix.EPOLLIN)
		if waits {
			events |= unix.EPOLLOUT
		}
		return g.poll.Set(c.link.fd, i, events)
	}
	return nil
}
