package transporttest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/transport"
)

// valve lets a peer take messages only while it is open, and says when the first
// was refused.
type valve struct {
	open    atomic.Bool
	once    sync.Once
	refused chan struct{}
}

func newValve() *valve { return &valve{refused: make(chan struct{})} }

func (v *valve) take(_ *Peer, n int) int {
	if v.open.Load() {
		return n
	}
	v.once.Do(func() { close(v.refused) })
	return 0
}

// refuse opens a session, sends ten messages and then more, and waits until the
// peer has refused.
func (v *valve) refuse(t *testing.T, new New, then []byte) (*Client, *Peer) {
	w := start(t, new, Behaviour{Take: v.take})
	c, p := w.open()
	var all []byte
	for i := range 10 {
		all = wire.AppendFrame(all, wire.Data, 1, fmt.Append(nil, i))
	}
	c.Send(append(all, then...))
	within(t, v.refused, "a refused message")
	return c, p
}

// resume lets the ten messages in and expects them.
func (v *valve) resume(t *testing.T, p *Peer) {
	t.Helper()
	require.Empty(t, p.Received())
	require.False(t, p.isClosing(), "the end overtook messages")
	v.open.Store(true)
	p.Conn.Resume()
	for i, m := range p.AwaitMessages(t, 10) {
		assert.Equal(t, fmt.Sprint(i), m.Payload)
	}
}

var refusingTests = []test{
	{"resumes", func(t *testing.T, new New) {
		v := newValve()
		c, p := v.refuse(t, new, ping(1))
		v.resume(t, p)
		c.Next(wire.Pong)
		c.Data(1, "on and on")
		assert.Equal(t, "on and on", p.AwaitMessages(t, 11)[10].Payload)
	}},
	{"goes on writing meanwhile", func(t *testing.T, new New) {
		v := newValve()
		c, p := v.refuse(t, new, nil)
		for range 5 {
			p.Send(transport.Reliable, 1, "for you")
			p.Conn.Wake()
			assert.Equal(t, "for you", string(c.Next(wire.Data).Payload))
		}
		v.resume(t, p)
	}},
	{"the client's CLOSE waits behind messages", func(t *testing.T, new New) {
		v := newValve()
		c, p := v.refuse(t, new, wire.AppendClose(nil, 0, "bye", 0))
		v.resume(t, p)
		c.Closed(transport.Normal)
		assert.True(t, p.AwaitGone(t).Remote)
	}},
	{"a breach waits behind messages", func(t *testing.T, new New) {
		v := newValve()
		c, p := v.refuse(t, new, wire.AppendFrame(nil, 0x7F, 0, nil))
		v.resume(t, p)
		c.Closed(transport.ProtocolError)
		assert.Equal(t, transport.ProtocolError, p.AwaitGone(t).Code)
	}},
	{"a control frame waits behind messages", func(t *testing.T, new New) {
		v := newValve()
		_, p := v.refuse(t, new, wire.AppendFrame(nil, wire.Ack, 0, nil))
		v.resume(t, p)
		p.await(t, "ACK", func() bool { return len(p.controls) == 1 })
	}},
	{"a link that breaks meanwhile loses nothing", func(t *testing.T, new New) {
		for _, reset := range []bool{false, true} {
			v := newValve()
			c, p := v.refuse(t, new, nil)
			if reset {
				// The bytes are with the gateway already only if it has read them: one
				// message was refused, what is behind it may go with the link.
				c.Reset()
				v.open.Store(true)
				p.Conn.Resume()
				assert.True(t, p.AwaitGone(t).Lost)
				for i, m := range p.Received() {
					assert.Equal(t, fmt.Sprint(i), m.Payload)
				}
				assert.NotEmpty(t, p.Received())
				continue
			}
			require.NoError(t, c.CloseWrite())
			v.resume(t, p)
			assert.True(t, p.AwaitGone(t).Lost)
		}
	}},
	{"Close ends a connection that nobody resumes", func(t *testing.T, new New) {
		v := newValve()
		c, p := v.refuse(t, new, nil)
		p.Conn.Close(kicked)
		c.Closed(transport.Kicked)
		assert.Equal(t, kicked, p.AwaitGone(t))
		assert.Empty(t, p.Received())
	}},
	{"at random", func(t *testing.T, new New) {
		const messages = 3000
		var resuming sync.WaitGroup
		var mu sync.Mutex
		r := rand.New(rand.NewPCG(3, 4))
		w := start(t, new, Behaviour{Echo: true, Take: func(p *Peer, n int) int {
			mu.Lock()
			k := r.IntN(n + 1)
			mu.Unlock()
			if k < n {
				resuming.Go(p.Conn.Resume) // before or after Deliver has returned
			}
			return k
		}})
		t.Cleanup(resuming.Wait)
		c, p := w.open()
		c.Sending(func() {
			var all []byte
			for i := range messages {
				all = wire.AppendFrame(all, wire.Data, uint8(i), fmt.Append(nil, i))
			}
			_, _ = c.Write(wire.AppendClose(all, 0, "bye", 0))
		})
		n := 0
		var next [256]int // order holds within a channel
		c.ClosedAfter(transport.Normal, func(f Frame) {
			require.Equal(t, fmt.Sprint(int(f.Channel)+256*next[f.Channel]), string(f.Payload))
			next[f.Channel]++
			n++
		})
		assert.Equal(t, messages, n)
		for i, m := range p.Received() {
			require.Equal(t, fmt.Sprint(i), m.Payload)
		}
	}},
}
