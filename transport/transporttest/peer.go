package transporttest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
	"strait/transport"
	"strait/transport/outbox"
)

// Behaviour says what a Peer does. Zero opens every session at once and takes
// everything.
type Behaviour struct {
	// Accept refuses a connection by an error.
	Accept func(transport.Conn) error
	// Hello answers the opening; nil is [Peer.Open].
	Hello func(p *Peer, b []byte)
	// Take says how many of n messages to take; nil takes all.
	Take func(p *Peer, n int) int
	// Control judges a control frame; nil takes it.
	Control func(t transport.Control, payload []byte) error
	// Dry runs when Pull has found no message of a class; nil does nothing.
	Dry func(p *Peer, d transport.Delivery)
	// Echo sends every message back as it came.
	Echo bool
	// Queue bounds what is queued for the client; full is TOO_SLOW.
	Queue outbox.Config
}

// Received is a message that a client sent.
type Received struct {
	Delivery transport.Delivery
	Channel  uint8
	Seq      uint16
	Payload  string
}

// Peer is a session that records what its connection tells it, and whether that
// came as [transport.Peer] promises.
type Peer struct {
	Conn   transport.Conn
	pool   *transport.Pool
	behave Behaviour
	out    outbox.Queue
	gone   chan struct{}

	inside atomic.Bool // one of the calls that come from one goroutine at a time

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when something below changes
	hellos   []string
	received []Received
	controls []string
	closing  []transport.Reason
	ended    []transport.Reason
	wrong    []string // broken promises
}

func newPeer(c transport.Conn, pool *transport.Pool, b Behaviour) *Peer {
	p := &Peer{Conn: c, pool: pool, behave: b, gone: make(chan struct{}), changed: make(chan struct{})}
	p.out.Init(b.Queue)
	p.out.SetDatagrams(c.Datagrams() != nil)
	return p
}

// enter notes a call that must not overlap with another of its kind, and comes
// after fewer than the given ends.
func (p *Peer) enter(what string, open bool) (leave func()) {
	if !p.inside.CompareAndSwap(false, true) {
		p.blame("%s beside another call", what)
	}
	p.mu.Lock()
	if len(p.ended) > 0 {
		p.wrong = append(p.wrong, what+" after Gone")
	}
	if open && len(p.closing) > 0 {
		p.wrong = append(p.wrong, what+" after Closing")
	}
	p.mu.Unlock()
	return func() { p.inside.Store(false) }
}

func (p *Peer) blame(format string, args ...any) {
	p.mu.Lock()
	p.wrong = append(p.wrong, fmt.Sprintf(format, args...))
	p.mu.Unlock()
}

// note changes what is recorded and tells who waits.
func (p *Peer) note(f func()) {
	p.mu.Lock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
}

// await waits until the recorded facts satisfy ok.
func (p *Peer) await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		p.mu.Lock()
		done, changed := ok(), p.changed
		p.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			require.Fail(t, "waited in vain", what)
		}
	}
}

// Hello implements transport.Peer.
func (p *Peer) Hello(b []byte) {
	defer p.enter("Hello", true)()
	p.note(func() { p.hellos = append(p.hellos, string(b)) })
	if p.behave.Hello != nil {
		p.behave.Hello(p, b)
		return
	}
	p.Open()
}

// Open opens the session, or refuses an opening that does not parse.
func (p *Peer) Open() {
	p.mu.Lock()
	hello := p.hellos[0]
	p.mu.Unlock()
	var h straitv1.ClientHello
	if err := proto.Unmarshal([]byte(hello), &h); err != nil {
		p.Conn.Close(transport.Because(transport.ProtocolError, "CLIENT_HELLO does not parse: %v", err))
		return
	}
	p.Conn.Control(transport.ControlServerHello, serverHello)
}

var serverHello = func() []byte {
	b, err := proto.Marshal(&straitv1.ServerHello{
		Version: 1, SessionId: bytes.Repeat([]byte{7}, 16), MaxMessageBytes: 65536, MaxUnreliableBytes: 1100,
	})
	if err != nil {
		panic(err)
	}
	return b
}()

// Control implements transport.Peer.
func (p *Peer) Control(t transport.Control, payload []byte) error {
	defer p.enter("Control", true)()
	p.note(func() { p.controls = append(p.controls, string(payload)) })
	if p.behave.Control != nil {
		return p.behave.Control(t, payload)
	}
	var ack straitv1.Ack
	if err := proto.Unmarshal(payload, &ack); t == transport.ControlAck && err != nil {
		return fmt.Errorf("ACK does not parse: %w", err)
	}
	return nil
}

// Deliver implements transport.Peer.
func (p *Peer) Deliver(ms []transport.Message) int {
	defer p.enter("Deliver", true)()
	if len(ms) == 0 {
		p.blame("Deliver without messages")
	}
	n := len(ms)
	if p.behave.Take != nil {
		n = min(n, p.behave.Take(p, n))
	}
	p.note(func() {
		for _, m := range ms[:n] {
			p.received = append(p.received, Received{m.Delivery, m.Channel, m.Seq, string(m.Buf.B)})
		}
	})
	for _, m := range ms[:n] {
		if p.behave.Echo {
			p.push(m)
			continue
		}
		m.Buf.Release()
	}
	if p.behave.Echo && n > 0 {
		p.Conn.Wake()
	}
	return n
}

// push queues a message and takes its buffer; a queue that is full ends the
// connection, as a session does.
func (p *Peer) push(m transport.Message) bool {
	_, err := p.out.Push(m)
	if errors.Is(err, outbox.ErrFull) {
		p.Conn.Close(transport.Because(transport.TooSlow, "the queue is full"))
	}
	return err == nil
}

// Send queues a copy of payload and does not wake the connection.
func (p *Peer) Send(d transport.Delivery, channel uint8, payload string) bool {
	return p.push(transport.Message{Delivery: d, Channel: channel, Buf: p.pool.Copy([]byte(payload))})
}

// Channels implements transport.Peer.
func (p *Peer) Channels(dst []uint8) []uint8 { return p.out.Channels(dst) }

// Pull implements transport.Peer.
func (p *Peer) Pull(dst []transport.Message, d transport.Delivery, channel, budget int) []transport.Message {
	p.mu.Lock()
	if len(p.ended) > 0 {
		p.wrong = append(p.wrong, "Pull after Gone")
	}
	p.mu.Unlock()
	if budget <= 0 {
		p.blame("Pull with a budget of %d", budget)
	}
	if channel != transport.AnyChannel && channel != int(uint8(channel)) {
		p.blame("Pull of channel %d", channel)
	}
	before := len(dst)
	dst = p.out.Pull(dst, d, channel, budget)
	if len(dst) == before && p.behave.Dry != nil {
		p.behave.Dry(p, d)
	}
	return dst
}

// Closing implements transport.Peer.
func (p *Peer) Closing(r transport.Reason) {
	defer p.enter("Closing", true)()
	p.note(func() { p.closing = append(p.closing, r) })
}

// Gone implements transport.Peer.
func (p *Peer) Gone(r transport.Reason) {
	defer p.enter("Gone", false)()
	p.note(func() { p.ended = append(p.ended, r) })
	close(p.gone)
}

// AwaitMessages waits for n messages in all and returns them.
func (p *Peer) AwaitMessages(t testing.TB, n int) []Received {
	t.Helper()
	p.await(t, fmt.Sprintf("%d messages", n), func() bool { return len(p.received) >= n })
	return p.Received()
}

// Received returns the messages taken so far.
func (p *Peer) Received() []Received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Received(nil), p.received...)
}

// AwaitClosing waits for Closing and returns its reason.
func (p *Peer) AwaitClosing(t testing.TB) transport.Reason {
	t.Helper()
	p.await(t, "Closing", func() bool { return len(p.closing) > 0 })
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closing[0]
}

// AwaitGone waits for Gone and returns its reason.
func (p *Peer) AwaitGone(t testing.TB) transport.Reason {
	t.Helper()
	within(t.(*testing.T), p.gone, "Gone")
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended[0]
}

// isClosing reports whether Closing was told.
func (p *Peer) isClosing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.closing) > 0
}

// verify holds the whole life of a connection that has ended to the contract, and
// its methods to doing nothing from then on.
func (p *Peer) verify(t *testing.T) {
	for _, f := range []func(){
		p.Conn.Wake, p.Conn.Ping, p.Conn.Resume,
		func() { p.Conn.Close(transport.Because(transport.Kicked, "after the end")) },
		func() { p.Conn.Control(transport.ControlGoAway, nil) },
		func() { p.Conn.Path() }, func() { p.Conn.Max() },
	} {
		f()
	}
	if d := p.Conn.Datagrams(); d != nil {
		d.Wake()
		d.Ping()
		d.Path()
		d.Close(transport.Because(transport.Kicked, "after the end"))
		assert.GreaterOrEqual(t, d.Max(), leastMax)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	assert.Empty(t, p.wrong, "broken promises")
	assert.LessOrEqual(t, len(p.hellos), 1, "Hello comes once")
	assert.Len(t, p.closing, 1, "Closing comes once")
	assert.Len(t, p.ended, 1, "Gone comes once")
	assert.Equal(t, p.closing, p.ended, "Closing and Gone say the same")
}
