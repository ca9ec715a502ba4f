package lane_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/transport"
	"strait/transport/lane"
	"strait/transport/outbox"
)

// t0 is when every test begins; the lane has no clock of its own.
var t0 = time.Unix(1_700_000_000, 0)

var errControl = errors.New("control frame refused")

// peer records what the lane tells it, in order.
type peer struct {
	t       testing.TB
	core    *lane.Core
	pool    *transport.Pool
	out     outbox.Queue
	told    []string
	hello   func()            // answers the opening
	refuse  func(i int) bool  // whether to refuse the i-th message now
	pulling func()            // runs once, when Pull has found no reliable message
	got     int               // messages taken
	reason  *transport.Reason // of Closing
}

// newLane returns a lane whose peer opens at once and takes everything. At the end
// of the test nothing may be left in its pool.
func newLane(t testing.TB, c lane.Config) (*lane.Core, *peer) {
	p := &peer{t: t, pool: transport.NewPool(0, nil)}
	p.out.Init(outbox.Config{ReliableBytes: 1 << 30})
	p.hello = func() {
		if c.Role == lane.Gateway {
			p.core.Control(transport.ControlServerHello, []byte("welcome"))
		}
	}
	c.Pool = p.pool
	p.core = lane.New(c, p)
	t.Cleanup(func() {
		p.core.End(transport.Reason{Text: "end of the test"})
		p.out.Drop()
		assert.Zero(t, p.pool.Live(), "buffers that nobody released")
		assert.NotNil(t, p.reason, "Closing")
	})
	return p.core, p
}

// gateway is an open lane of the gateway whose SERVER_HELLO has been written.
func gateway(t testing.TB, c lane.Config) (*lane.Core, *peer) {
	core, p := newLane(t, c)
	feed(t, core, frame(wire.ClientHello, 0, "hi"))
	require.Equal(t, frame(wire.ServerHello, 0, "welcome"), fill(core))
	p.told = nil
	return core, p
}

func (p *peer) tell(format string, args ...any) {
	if p.reason != nil {
		p.t.Errorf("%s after Closing", fmt.Sprintf(format, args...))
	}
	p.told = append(p.told, fmt.Sprintf(format, args...))
}

func (p *peer) Hello(b []byte) {
	p.tell("hello %s", b)
	p.hello()
}

func (p *peer) Control(t transport.Control, payload []byte) error {
	p.tell("control %d %s", t, payload)
	if string(payload) == "bad" {
		return errControl
	}
	return nil
}

func (p *peer) Deliver(ms []transport.Message) int {
	assert.NotEmpty(p.t, ms)
	for i, m := range ms {
		if p.refuse != nil && p.refuse(p.got) {
			return i
		}
		p.got++
		p.tell("%s %d #%d %s", m.Delivery, m.Channel, m.Seq, m.Buf.B)
		m.Buf.Release()
	}
	return len(ms)
}

func (p *peer) Channels(dst []uint8) []uint8 { return p.out.Channels(dst) }

func (p *peer) Pull(dst []transport.Message, d transport.Delivery, channel, budget int) []transport.Message {
	dst = p.out.Pull(dst, d, channel, budget)
	if f := p.pulling; f != nil && d == transport.Reliable && len(dst) == 0 {
		p.pulling = nil
		f()
	}
	return dst
}

func (p *peer) Closing(r transport.Reason) {
	if p.reason != nil {
		p.t.Error("Closing twice")
	}
	p.reason = &r
}

func (p *peer) Gone(transport.Reason) { p.t.Error("Gone is the transport's to say") }

func (p *peer) push(d transport.Delivery, channel uint8, payload string) {
	_, err := p.out.Push(transport.Message{Delivery: d, Channel: channel, Buf: p.pool.Copy([]byte(payload))})
	assert.NoError(p.t, err)
}

func frame(t wire.Type, channel uint8, payload string) []byte {
	return wire.AppendFrame(nil, t, channel, []byte(payload))
}

func join(frames ...[]byte) (all []byte) {
	for _, f := range frames {
		all = append(all, f...)
	}
	return all
}

// feed hands over all of b, which must be taken.
func feed(t testing.TB, c *lane.Core, b []byte) {
	t.Helper()
	n, err := c.Feed(b, t0)
	require.NoError(t, err)
	require.Equal(t, len(b), n)
}

// fill is everything that there is to write.
func fill(c *lane.Core) []byte {
	out, _ := fillAll(c, t0)
	return out
}

func fillAll(c *lane.Core, now time.Time) (out []byte, done bool) {
	for {
		before := len(out)
		out, done = c.Fill(out, 16384, now)
		if done || len(out) == before {
			return out, done
		}
	}
}

// closeFrame reads the CLOSE that out must be.
func closeFrame(t testing.TB, out []byte) (transport.Code, string) {
	t.Helper()
	h, ok := wire.ParseHeader(out)
	require.True(t, ok, "nothing to write")
	require.Equal(t, wire.Close, h.Type)
	require.Len(t, out, wire.HeaderLen+int(h.Length))
	code, text, _, err := wire.ParseClose(out[wire.HeaderLen:])
	require.NoError(t, err)
	return transport.Code(code), text
}
