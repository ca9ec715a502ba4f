package transporttest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/transport"
)

// openSoon is an OpenTimeout that a handshake meets on a busy machine, too.
const openSoon = time.Second

var openingTests = []test{
	{"opens and echoes", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{Echo: true})
		before := time.Now()
		c, p := w.open()
		c.Echo(3, "hello")
		c.Echo(3, "")
		assert.Equal(t, w.endpoint.Kind, p.Conn.Kind())
		assert.GreaterOrEqual(t, p.Conn.Max(), 1100)
		heard := p.Conn.Path().Heard
		assert.False(t, heard.Before(before) || heard.After(time.Now()), "heard %v", heard)
	}},
	{"a byte at a time", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{Echo: true})
		c := w.dial()
		all := append([]byte(nil), clientHello...)
		all = wire.AppendFrame(all, wire.Data, 1, []byte("first"))
		all = wire.AppendUnreliable(all, 2, 77, []byte("second"))
		all = wire.AppendClose(all, 0, "bye", 0)
		for i := range all {
			c.Send(all[i : i+1])
		}
		p := w.peer()
		c.ServerHello()
		require.Equal(t, []Received{
			{transport.Reliable, 1, 0, "first"}, {transport.Unreliable, 2, 77, "second"},
		}, p.AwaitMessages(t, 2))
		c.ClosedAfter(transport.Normal, func(Frame) {})
	}},
	{"data right behind the hello waits for the answer", func(t *testing.T, new New) {
		asked := make(chan struct{})
		w := start(t, new, Behaviour{Hello: func(*Peer, []byte) { close(asked) }})
		c := w.dial()
		all := append([]byte(nil), clientHello...)
		for range 100 {
			all = wire.AppendFrame(all, wire.Data, 1, []byte("early"))
		}
		c.Send(all)
		p := w.peer()
		within(t, asked, "Hello")
		require.Empty(t, p.Received(), "messages of a client that is not authenticated")
		p.Open()
		c.ServerHello()
		require.Len(t, p.AwaitMessages(t, 100), 100)
	}},
	{"messages queued before the answer come after it", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{Hello: func(p *Peer, _ []byte) {
			p.Send(transport.Reliable, 1, "queued")
			p.Conn.Wake()
			p.Conn.Ping()
			p.Open()
		}})
		c := w.dial()
		c.Hello()
		c.ServerHello()
		seen := map[wire.Type]bool{}
		for range 2 {
			f, err := c.Read1()
			require.NoError(t, err)
			seen[f.Type] = true
		}
		assert.True(t, seen[wire.Ping] && seen[wire.Data], "%v", seen)
	}},
	{"refused by accept", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{Accept: func(transport.Conn) error {
			return transport.Reason{Code: transport.Overloaded, Text: "full", RetryAfter: 1500 * time.Millisecond}
		}})
		c := w.dial()
		c.Hello()
		c.Data(1, "eager")
		got := c.Closed(transport.Overloaded)
		assert.Equal(t, transport.Reason{Code: transport.Overloaded, Text: "full", RetryAfter: 1500 * time.Millisecond}, got)
	}},
	{"refused by accept without a reason", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{Accept: func(transport.Conn) error { return assert.AnError }})
		got := w.dial().Closed(transport.Internal)
		assert.NotContains(t, got.Text, assert.AnError.Error(), "the gateway's own business")
	}},
	{"refused by the session", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{Hello: func(p *Peer, _ []byte) {
			p.Conn.Close(transport.Because(transport.AuthFailed, "who are you?"))
			p.Conn.Control(transport.ControlServerHello, serverHello)
		}})
		c := w.dial()
		c.Hello()
		c.Data(1, "never looked at")
		assert.Equal(t, "who are you?", c.Closed(transport.AuthFailed).Text)
		p := w.peer()
		assert.Equal(t, transport.Because(transport.AuthFailed, "who are you?"), p.AwaitGone(t))
		assert.Empty(t, p.Received())
	}},
	{"closed inside accept", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{Accept: func(c transport.Conn) error {
			c.Wake()
			c.Ping()
			c.Close(transport.Because(transport.RateLimited, "too often"))
			return nil
		}})
		c := w.dial()
		c.Closed(transport.RateLimited)
		assert.Equal(t, transport.RateLimited, w.peer().AwaitGone(t).Code)
	}},
	{"timeout before the hello, and none once open", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{Echo: true}, func(s *Setup) { s.OpenTimeout = openSoon })
		open, _ := w.open()
		silent, partial := w.dial(), w.dial()
		partial.Send(clientHello[:len(clientHello)-1])
		silent.Closed(transport.Timeout)
		partial.Closed(transport.Timeout)
		for range 2 {
			assert.Equal(t, transport.Timeout, w.peer().AwaitGone(t).Code)
		}
		open.Echo(1, "still here")
	}},
	{"timeout before the answer", func(t *testing.T, new New) {
		w := start(t, new, Behaviour{Hello: func(*Peer, []byte) {}}, func(s *Setup) { s.OpenTimeout = openSoon })
		c := w.dial()
		c.Hello()
		c.Closed(transport.Timeout)
		p := w.peer()
		assert.Equal(t, transport.Timeout, p.AwaitGone(t).Code)
		p.Open() // too late
	}},
	{"the oldest opening makes room", func(t *testing.T, new New) {
		openings := transport.NewOpenings(2)
		w := start(t, new, Behaviour{Echo: true}, func(s *Setup) { s.Openings = openings })
		open, _ := w.open() // counts no more
		oldest := w.dial()
		victim := w.peer()
		newer := w.dial()
		w.peer()
		newest := w.dial()
		got := oldest.Closed(transport.Overloaded)
		assert.NotEmpty(t, got.Text)
		assert.Equal(t, transport.Overloaded, victim.AwaitGone(t).Code)
		for _, c := range []*Client{newer, newest} {
			c.Hello()
			c.ServerHello()
			c.Echo(1, "made it")
		}
		open.Echo(1, "not touched")
		unfinished, evicted := openings.Len()
		assert.Zero(t, unfinished)
		assert.EqualValues(t, 1, evicted)
	}},
}
