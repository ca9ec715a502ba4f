package transporttest

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/transport"
	"strait/transport/outbox"
)

var kicked = transport.Because(transport.Kicked, "for a reason")

var closingTests = []test{
	{"by the client", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{})
		c, p := w.open()
		for i := range 100 {
			p.Send(transport.Reliable, 1, fmt.Sprint(i))
		}
		c.Data(2, "last words")
		c.Send(wire.AppendClose(nil, uint32(transport.Superseded), "elsewhere", 700))
		n := 0
		c.ClosedAfter(transport.Normal, func(f Frame) {
			assert.Equal(t, fmt.Sprint(n), string(f.Payload))
			n++
		})
		assert.Equal(t, 100, n, "what was queued is sent first")
		want := transport.Reason{Code: transport.Superseded, Text: "elsewhere", Remote: true, RetryAfter: 700 * time.Millisecond}
		assert.Equal(t, want, p.AwaitGone(t))
		assert.Equal(t, []Received{{transport.Reliable, 2, 0, "last words"}}, p.Received())
	}},
	{"by the gateway after what is queued", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{})
		c, p := w.open()
		for i := range 500 {
			p.Send(transport.Reliable, 1, fmt.Sprint(i))
		}
		p.Conn.Close(kicked)
		n := 0
		got := c.ClosedAfter(transport.Kicked, func(f Frame) {
			require.Equal(t, fmt.Sprint(n), string(f.Payload))
			n++
		})
		assert.Equal(t, 500, n)
		assert.Equal(t, kicked.Text, got.Text)
		assert.Equal(t, kicked, p.AwaitGone(t))
	}},
	{"a message queued just before Close is never lost", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{})
		for range 30 {
			c, p := w.open()
			var racing sync.WaitGroup
			racing.Go(func() {
				for range 20 {
					p.Conn.Wake()
				}
			})
			p.Send(transport.Reliable, 1, "one")
			p.Conn.Wake()
			p.Send(transport.Reliable, 1, "two")
			p.Conn.Close(kicked)
			var got []string
			c.ClosedAfter(transport.Kicked, func(f Frame) { got = append(got, string(f.Payload)) })
			racing.Wait()
			require.Equal(t, []string{"one", "two"}, got)
		}
	}},
	{"the first reason counts", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{})
		c, p := w.open()
		p.Conn.Close(kicked)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() { p.Conn.Close(transport.Because(transport.Internal, "too late")) })
		}
		all.Wait()
		c.Closed(transport.Kicked)
		assert.Equal(t, kicked, p.AwaitGone(t))
	}},
	{"both at once", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{})
		for range 30 {
			c, p := w.open()
			var closing sync.WaitGroup
			closing.Go(func() { p.Conn.Close(kicked) })
			_, _ = c.Write(wire.AppendClose(nil, 0, "bye", 0))
			closing.Wait()
			for {
				if _, err := c.Read1(); err != nil {
					require.ErrorIs(t, err, io.EOF)
					break
				}
			}
			require.NoError(t, c.Close())
			r := p.AwaitGone(t)
			assert.True(t, r == kicked || r.Remote && r.Code == transport.Normal, "%v", r)
		}
	}},
	{"too slow gets nothing but the reason", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{Hello: func(p *Peer, _ []byte) {
			p.Send(transport.Reliable, 1, "not sent")
			p.Conn.Close(transport.Because(transport.TooSlow, "read faster"))
		}})
		c := w.dial()
		c.Hello()
		c.Closed(transport.TooSlow)
	}},
	{"a client that ends without CLOSE is lost", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{})
		for _, half := range []bool{false, true} {
			c, p := w.open()
			c.Data(1, "last words")
			if half {
				c.Send(clientHello[:4]) // in the middle of a frame
			}
			require.NoError(t, c.CloseWrite())
			r := p.AwaitGone(t)
			assert.True(t, r.Lost && !r.Remote && r.Code == transport.Normal, "%v", r)
			assert.NotEmpty(t, r.Text)
			require.Len(t, p.Received(), 1)
		}
	}},
	{"a broken link is lost", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{})
		c, p := w.open()
		c.Reset()
		r := p.AwaitGone(t)
		assert.True(t, r.Lost && !r.Remote && r.Code == transport.Normal, "%v", r)
	}},
	{"a link that breaks while opening", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{Hello: func(*Peer, []byte) {}})
		silent, asking := w.dial(), w.dial()
		asking.Hello()
		p, q := w.peer(), w.peer()
		silent.Reset()
		asking.Reset()
		// One of the two waits for an answer and not for input: the answer ends it.
		p.Conn.Close(kicked)
		q.Conn.Close(kicked)
		p.AwaitGone(t)
		q.AwaitGone(t)
	}},
	{"the reason arrives though the client goes on sending", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{}, func(s *Setup) { s.LingerBytes, s.Linger = 64<<20, 5*time.Second })
		c, p := w.open()
		c.Send(wire.AppendFrame(nil, wire.ServerHello, 0, nil))
		megabyte := make([]byte, 1<<20)
		for range 4 {
			c.Send(megabyte)
		}
		c.Closed(transport.ProtocolError)
		assert.Equal(t, transport.ProtocolError, p.AwaitGone(t).Code)
	}},
	{"more than is discarded does not destroy the reason", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{})
		c, p := w.open()
		c.Send(wire.AppendFrame(nil, wire.ServerHello, 0, nil))
		c.Sending(func() {
			megabyte := make([]byte, 1<<20)
			for {
				if _, err := c.Write(megabyte); err != nil {
					return
				}
			}
		})
		f, err := c.Read1()
		require.NoError(t, err)
		require.Equal(t, wire.Close, f.Type)
		assert.Equal(t, transport.ProtocolError, p.AwaitGone(t).Code)
	}},
	{"a client that never ends its side", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{}, func(s *Setup) { s.Linger = 200 * time.Millisecond })
		c, p := w.open()
		begun := time.Now()
		p.Conn.Close(kicked)
		c.Next(wire.Close)
		p.AwaitGone(t)
		assert.GreaterOrEqual(t, time.Since(begun), 200*time.Millisecond, "no time to read the reason")
	}},
	{"a client that stopped reading", func(t *testing.T, new New) {
		for _, code := range []transport.Code{transport.Kicked, transport.TooSlow} {
			w := start(t, new, Behaviour{Queue: outbox.Config{ReliableBytes: 256 << 10}}, func(s *Setup) { s.Linger = 200 * time.Millisecond })
			_, stuck := w.open()
			stuck.block(t)
			begun := time.Now()
			stuck.Conn.Close(transport.Because(code, "stuck"))
			assert.Equal(t, code, stuck.AwaitGone(t).Code)
			assert.Less(t, time.Since(begun), patience/2, "it was waited for without a limit")
		}
	}},
	{"a client that says goodbye and stopped reading", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{Queue: outbox.Config{ReliableBytes: 256 << 10}}, func(s *Setup) { s.Linger = 200 * time.Millisecond })
		c, p := w.open()
		p.block(t)
		begun := time.Now()
		c.Goodbye()
		assert.True(t, p.AwaitGone(t).Remote)
		assert.Less(t, time.Since(begun), patience/2, "it was waited for without a limit")
	}},
	{"nothing is delivered after Close though writing is stuck", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{Queue: outbox.Config{ReliableBytes: 256 << 10}}, func(s *Setup) { s.Linger = patience })
		c, p := w.open()
		p.block(t)
		begun := time.Now()
		p.Conn.Close(kicked)
		assert.Equal(t, kicked, p.AwaitClosing(t))
		assert.Less(t, time.Since(begun), patience/2, "Closing waits for nothing")
		c.Reset()
		assert.Equal(t, kicked, p.AwaitGone(t))
	}},
	{"a flood that nobody reads ends when the link does", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{Queue: outbox.Config{ReliableBytes: 256 << 10}})
		c, p := w.open()
		p.block(t)
		c.Reset()
		assert.True(t, p.AwaitGone(t).Lost)
	}},
	{"methods of a connection that has ended do nothing", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{})
		c, p := w.open()
		c.Goodbye()
		c.Closed(transport.Normal)
		p.AwaitGone(t)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { p.verify(t) })
		}
		all.Wait()
	}},
	{"of the listener", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{
			Take:  func(p *Peer, n int) int { return map[bool]int{true: 0, false: n}[p.has("stay")] },
			Queue: outbox.Config{ReliableBytes: 256 << 10},
		})
		idle, _ := w.open()
		opening := w.dial()
		w.peer()
		refused, p := w.open()
		refused.Data(1, "stay")
		p.AwaitMessages(t, 1)
		refused.Data(1, "refused")
		_, stuck := w.open()
		stuck.block(t)
		ended := make(chan error, 2)
		for range 2 {
			go func() { ended <- w.endpoint.Listener.Close() }()
		}
		for _, c := range []*Client{idle, opening, refused} {
			c.Closed(transport.Draining)
		}
		for range 2 {
			require.NoError(t, <-ended)
		}
		stuck.AwaitGone(t)
		assert.Equal(t, transport.Draining, p.AwaitGone(t).Code)
		_, err := w.endpoint.Dial()
		assert.Error(t, err)
	}},
	{"of the door alone", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{Echo: true})
		c, _ := w.open()
		w.endpoint.Listener.StopAccepting()
		w.endpoint.Listener.StopAccepting()
		err := <-w.served
		require.ErrorIs(t, err, net.ErrClosed)
		w.served <- err
		_, err = w.endpoint.Dial()
		assert.Error(t, err)
		c.Echo(1, "still here")
		assert.NotNil(t, w.endpoint.Listener.Addr())
	}},
}

// has reports whether a message was taken.
func (p *Peer) has(payload string) bool {
	for _, m := range p.Received() {
		if m.Payload == payload {
			return true
		}
	}
	return false
}
