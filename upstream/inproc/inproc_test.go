package inproc_test

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/transport"
	"strait/upstream"
	"strait/upstream/inproc"
	"strait/upstream/upstreamtest"
)

// logic runs the suite's game logic as a Handler.
type logic struct {
	upstreamtest.Logic
	g upstream.Gateway
}

type player struct {
	l *logic
	s upstream.Session
}

func (l *logic) Start(g upstream.Gateway) { l.g = g }

func (l *logic) Opened(s upstream.Session) {
	if l.Logic.Opened != nil {
		l.Logic.Opened(player{l, s})
	}
}

func (l *logic) Message(s upstream.Session, m transport.Message) {
	if l.Logic.Message != nil {
		l.Logic.Message(player{l, s}, upstreamtest.Received{Delivery: m.Delivery, Channel: m.Channel, Payload: string(m.Buf.B)})
	}
}

func (l *logic) Closed(s upstream.Session, r transport.Reason) {
	if l.Logic.Closed != nil {
		l.Logic.Closed(player{l, s}, r.Code, r.Text)
	}
}

func (l *logic) Link(s upstream.Session) {
	if l.Logic.Link != nil {
		l.Logic.Link(player{l, s}, s.Info().Kind, s.Info().Path.RTT)
	}
}

func (p player) Announced() upstream.Announcement { return *p.s.Announcement() }

func (p player) Send(d transport.Delivery, channel uint8, payload []byte) {
	_ = p.s.Send(transport.Message{Delivery: d, Channel: channel, Buf: p.l.g.Buffers().Copy(payload)})
}

func (p player) Close(code transport.Code, reason string) {
	p.s.Close(transport.Reason{Code: code, Text: reason})
}

func (p player) Join(group string)  { p.l.g.Join(p.s.Announcement().Route, group, p.s) }
func (p player) Leave(group string) { p.l.g.Leave(p.s.Announcement().Route, group, p.s) }

func TestContract(t *testing.T) {
	upstreamtest.Run(t, func(_ *testing.T, g *upstreamtest.Gateway, l upstreamtest.Logic) (upstream.Driver, upstreamtest.Publish) {
		d := inproc.New(&logic{Logic: l})
		g.Attach(d)
		return d, func(route, group string, m upstreamtest.Received, except ...upstreamtest.Player) {
			var handles []uint64
			for _, p := range except {
				handles = append(handles, p.(player).s.Handle())
			}
			g.Publish(route, group, transport.Message{
				Delivery: m.Delivery, Channel: m.Channel, Buf: g.Buffers().Copy([]byte(m.Payload)),
			}, handles)
		}
	})
}

func TestEchoSendsTheSameBuffer(t *testing.T) {
	g := upstreamtest.NewGateway(t, 1)
	d := inproc.Echo()
	g.Attach(d)
	s := g.Open(upstream.Announcement{})
	s.Say(transport.Unreliable, 3, "u")
	s.Say(transport.Reliable, 4, "r")
	require.Equal(t, upstreamtest.Received{Delivery: transport.Unreliable, Channel: 3, Payload: "u"}, s.Next())
	require.Equal(t, upstreamtest.Received{Delivery: transport.Reliable, Channel: 4, Payload: "r"}, s.Next())
	g.Settle()
	require.Zero(t, s.Info().InFlight)
	require.Equal(t, "echo", d.Status().Driver)
}

func TestEachSessionIsFlushedOnceABatch(t *testing.T) {
	g := upstreamtest.NewGateway(t, 1)
	d := inproc.Echo()
	g.Attach(d)
	a, b := g.Open(upstream.Announcement{}), g.Open(upstream.Announcement{})
	g.Settle()
	before := a.Flushes()
	var batch []upstream.Event
	for i := range 10 {
		s := a
		if i%2 == 1 {
			s = b
		}
		batch = append(batch, s.Event(transport.Reliable, 0, "x"))
	}
	d.Deliver(0, batch)
	require.Equal(t, before+1, a.Flushes())
	require.Equal(t, 5, a.Unread())
	require.Equal(t, 5, b.Unread())
}

func TestPanicClosesItsSessionAlone(t *testing.T) {
	g := upstreamtest.NewGateway(t, 1)
	closed := make(chan uint64, 1)
	var log bytes.Buffer
	d := inproc.New(&logic{Logic: upstreamtest.Logic{
		Message: func(p upstreamtest.Player, m upstreamtest.Received) {
			if m.Payload == "boom" {
				panic("a bug")
			}
			p.Send(m.Delivery, m.Channel, []byte(m.Payload))
		},
		Closed: func(p upstreamtest.Player, _ transport.Code, _ string) { closed <- p.(player).s.Handle() },
	}})
	d.Logger = slog.New(slog.NewTextHandler(&log, nil))
	g.Attach(d)
	a, b := g.Open(upstream.Announcement{}), g.Open(upstream.Announcement{})
	a.SayReliable("boom")
	b.SayReliable("fine")
	require.Equal(t, transport.Internal, a.Ended().Code)
	b.Expect("fine")
	select {
	case h := <-closed:
		require.Equal(t, a.Handle(), h)
	case <-time.After(upstreamtest.Patience):
		require.FailNow(t, "the handler was not told of the end")
	}
	g.Settle()
	require.Contains(t, log.String(), "a bug")
}

func BenchmarkEcho(b *testing.B) {
	g := upstreamtest.NewGateway(b, 1)
	d := inproc.Echo()
	g.Attach(d)
	s := g.Open(upstream.Announcement{})
	g.Settle()
	s.Discard()
	const size = 256
	batch := make([]upstream.Event, size)
	payload := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		for i := range batch {
			batch[i] = s.BytesEvent(transport.Reliable, 0, payload)
		}
		d.Deliver(0, batch)
	}
	b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "events/s")
}
