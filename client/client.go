package client

import (
	"context"
	"fmt"
	"sync"
	"time"

	"strait/transport"
)

// Message is one message that was received.
type Message struct {
	Delivery transport.Delivery
	Channel  uint8
	Sequence uint16 // of an unreliable message; counts from 0 in each session
	Payload  []byte // the caller's own
}

// Client is a session with a gateway, and the ones that follow it. All methods
// are safe for concurrent use.
type Client struct {
	// static
	dialer   dialer
	addr     string // host:port
	host     string
	inbox    *inbox
	teller   teller
	life     context.Context // ends with the client
	endLife  context.CancelFunc
	counters counters
	// turn holds a token while a reliable Send is at work, so that those that wait
	// for room go in order.
	turn chan struct{}
	done chan struct{}
	late sync.WaitGroup // attempts to open a session that another was quicker than

	// owned by the goroutine that runs the sessions
	attempts int // since the last session that lasted

	// guarded by mu
	mu      sync.Mutex
	current *link         // nil while there is no session
	last    *link         // the newest one, also when it has ended
	changed chan struct{} // closed and replaced when current changes
	err     error         // why the client ends; then life has ended
}

// Dial opens a session with the gateway at addr: "host:port", or "host" for port
// 7777. ctx bounds the opening alone. The first failure is returned, as a
// *DialError, unless Reconnect.First is set.
func Dial(ctx context.Context, addr string, o Options) (*Client, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("client options: %w", err)
	}
	hostport, host, err := address(addr)
	if err != nil {
		return nil, err
	}
	config, err := o.tlsConfig()
	if err != nil {
		return nil, fmt.Errorf("client options: %w", err)
	}
	o = o.withDefaults()
	c := &Client{
		dialer:  dialer{options: o, tls: config, addr: hostport},
		addr:    hostport,
		host:    host,
		teller:  teller{call: o.OnState},
		turn:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		changed: make(chan struct{}),
	}
	c.inbox = newInbox(o.ReceiveBufferBytes, &c.counters)
	c.life, c.endLife = context.WithCancel(context.Background())
	l, err := c.dial(ctx, c.addr, c.host)
	if err != nil && o.Reconnect.First {
		l, err = c.dialAgain(ctx, "", err)
	}
	if err != nil {
		c.endLife()
		c.late.Wait()
		c.teller.wait()
		return nil, err
	}
	c.use(l, Opened)
	go c.run(l)
	return c, nil
}

// Send sends a message; payload is borrowed until it returns.
//
// A reliable message is queued; while the queue is full, or there is no session,
// Send waits until ctx ends. An unreliable one never waits: it takes the place of
// one of its channel that is still queued, and without a session it is dropped
// and counted. nil says that the message was queued, not that it has arrived.
//
// A message that is too long is refused with a *transport.TooLargeError. Once the
// client has ended the error is that of Err.
func (c *Client) Send(ctx context.Context, d transport.Delivery, channel uint8, payload []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch d {
	case transport.Reliable:
		return c.sendReliable(ctx, channel, payload)
	case transport.Unreliable:
	default:
		return fmt.Errorf("client: %v does not exist; send Reliable or Unreliable", d)
	}
	c.mu.Lock()
	l, err := c.current, c.err
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if l == nil {
		c.counters.sendDropped.Add(1)
		return nil
	}
	queued, err := l.push(d, channel, payload)
	if err == nil && !queued {
		c.counters.sendDropped.Add(1)
	}
	return err
}

func (c *Client) sendReliable(ctx context.Context, channel uint8, payload []byte) error {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return ctx.Err()
	case <-c.life.Done():
		return c.Err()
	}
	for {
		l, err := c.open(ctx)
		if err != nil {
			return err
		}
		queued, err := l.push(transport.Reliable, channel, payload)
		if err != nil || queued {
			return err
		}
		select {
		case <-l.session.room:
		case <-l.gone:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.life.Done():
			return c.Err()
		}
	}
}

// Receive returns the next message: in order within a channel and delivery class,
// unreliable ones that came after a newer one of their channel left out. After
// the last message of a client that has ended the error is that of Err; after
// Close at once.
func (c *Client) Receive(ctx context.Context) (Message, error) {
	for ended := false; ; {
		m, ok, resume := c.inbox.take()
		if resume {
			c.resume()
		}
		if ok {
			payload := make([]byte, len(m.Buf.B))
			copy(payload, m.Buf.B)
			m.Buf.Release()
			return Message{Delivery: m.Delivery, Channel: m.Channel, Sequence: m.Seq, Payload: payload}, nil
		}
		if ended {
			return Message{}, c.Err()
		}
		select {
		case <-c.inbox.ready:
		case <-ctx.Done():
			return Message{}, ctx.Err()
		case <-c.life.Done():
			ended = true // what arrived just before is still to be had
		}
	}
}

// Ping measures a round trip to the gateway, less the time that the gateway took
// to answer. It waits for a session, and behind messages that were not received
// yet (see the package comment). The error is the context's, or the
// transport.Reason with which the session ended meanwhile.
func (c *Client) Ping(ctx context.Context) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	l, err := c.open(ctx)
	if err != nil {
		return 0, err
	}
	p := l.pings.add()
	defer l.pings.forget(p)
	l.carrier.ping()
	select {
	case rtt := <-p.answer:
		return rtt, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-c.life.Done():
		return 0, c.Err()
	case <-l.gone:
		return 0, *l.session.why.Load()
	}
}

// Session is the id of the session, the last one while there is none. It changes
// when a session is opened again.
func (c *Client) Session() transport.ID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last.session.id
}

// Info is a snapshot.
func (c *Client) Info() Info {
	c.mu.Lock()
	l := c.last
	c.mu.Unlock()
	path := l.carrier.path()
	i := Info{
		Transport: l.conn.transport, Remote: l.conn.remote, SessionID: l.session.id,
		RTT: path.RTT, Jitter: path.Jitter, LossPPM: path.LossPPM,
		OpenTime: l.conn.took.Total(), Opening: l.conn.took,
		MaxMessage: l.session.maxReliable, MaxUnreliable: l.carrier.maxUnreliable(l.session.maxUnreliable), IdleTimeout: l.session.idle,
		Certificate: l.conn.fingerprint, Counters: c.counters.snapshot(),
	}
	l.carrier.describe(&i)
	return i
}

// Rebind moves the session to a new local address, as when a phone goes from one
// network to another, and returns when that is in use. Over QUIC and sealed UDP a
// session moves by itself when the machine's routes change; Rebind is for who knows
// better, or earlier. The socket that QUIC has left is read from for three seconds
// more. The error says that the session has stayed where it was: the gateway is not
// reached from there, or it takes part in no further move. TCP alone cannot move:
// the error then matches errors.ErrUnsupported.
func (c *Client) Rebind(ctx context.Context) error {
	l, err := c.open(ctx)
	if err != nil {
		return err
	}
	return l.carrier.rebind(ctx)
}

// Close ends the client: what is queued is sent, then CLOSE NORMAL, and the
// gateway has a second to do the same. Messages not received yet are dropped. All
// goroutines have ended when it returns, OnState's included. Idempotent; the
// error is always nil.
func (c *Client) Close() error {
	c.end(transport.Reason{Code: transport.Normal, Text: "closed by the application"})
	c.counters.receiveDropped.Add(uint64(c.inbox.close()))
	c.mu.Lock()
	l := c.current
	c.mu.Unlock()
	if l != nil {
		l.carrier.close(transport.Reason{Code: transport.Normal})
	}
	<-c.done
	c.late.Wait()
	c.teller.wait()
	return nil
}

// Done is closed when the client has ended: by Close, or because its session has
// ended and is not followed by another.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err is why the client has ended: a transport.Reason, or a *ReconnectError. It
// matches net.ErrClosed, and the close code: errors.Is(err, transport.Kicked). nil
// while the client lives.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// open returns the session's link, and waits for one while there is none.
func (c *Client) open(ctx context.Context) (*link, error) {
	for {
		c.mu.Lock()
		l, changed, err := c.current, c.changed, c.err
		c.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if l != nil && !l.isGone() {
			return l, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.life.Done():
		}
	}
}

// resume lets the reader go on after the inbox was full.
func (c *Client) resume() {
	c.mu.Lock()
	l := c.current
	c.mu.Unlock()
	if l != nil {
		l.carrier.resume()
	}
}

// end ends the client's life with the first reason.
func (c *Client) end(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
		c.endLife()
	}
	c.mu.Unlock()
}
