package backend_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/backend"
	"strait/proto/batch"
	"strait/proto/straitv1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSessionAndItsCommands(t *testing.T) {
	var seen *backend.Session
	_, addr := serve(t, backend.Funcs{
		OnOpened: func(s *backend.Session) {
			seen = s
			assert.NoError(t, s.Join("room"))
		},
		OnMessage: func(s *backend.Session, m backend.Message) {
			assert.NoError(t, s.Send(backend.Unreliable, 255, append([]byte("re: "), m.Payload...)))
			assert.NoError(t, s.Leave("room"))
			assert.NoError(t, s.Move("arena"))
			assert.NoError(t, s.Close(backend.Kicked, "enough"))
		},
	}, backend.Config{Name: "test", Routes: []string{"lobby", "arena"}})
	g, hello := attach(t, addr, "gw", 0)
	require.Equal(t, "test", hello.GetName())
	require.Equal(t, []string{"lobby", "arena"}, hello.GetRoutes())
	require.Equal(t, uint32(1), hello.GetVersion())
	g.opened(7, &straitv1.Opened{
		Subject: "me", Claims: map[string]string{"a": "b"}, Remote: "192.0.2.1:5", Transport: straitv1.Transport_TRANSPORT_QUIC, Route: "lobby",
	})
	g.message(7, "hello")
	g.message(8, "never opened")
	require.Equal(t, []command{
		{Kind: batch.CommandJoin, Sessions: []uint64{7}, Text: "room"},
		{Kind: batch.CommandSend, Sessions: []uint64{7}, Channel: 255, Unreliable: true, Text: "re: hello"},
		{Kind: batch.CommandLeave, Sessions: []uint64{7}, Text: "room"},
		{Kind: batch.CommandMove, Session: 7, Text: "arena"},
		{Kind: batch.CommandClose, Session: 7, Code: 8, Text: "enough"},
	}, g.ping(1))
	require.EqualValues(t, 7, seen.Handle())
	require.Equal(t, "gw", seen.Gateway())
	require.Equal(t, "00000000000000000000000000000007", seen.ID().String())
	require.Equal(t, "me", seen.Subject())
	require.Equal(t, map[string]string{"a": "b"}, seen.Claims())
	require.Equal(t, netip.MustParseAddrPort("192.0.2.1:5"), seen.Remote())
	require.Equal(t, backend.QUIC, seen.Transport())
	require.Equal(t, "quic", seen.Transport().String())
	require.Equal(t, "lobby", seen.Route())
	require.False(t, seen.Again())
}

func TestMessageAndLink(t *testing.T) {
	type event struct {
		m backend.Message
		l backend.Link
	}
	events := make(chan event, 2)
	var s *backend.Session
	_, addr := serve(t, backend.Funcs{
		OnOpened: func(o *backend.Session) { s = o },
		OnMessage: func(_ *backend.Session, m backend.Message) {
			m.Payload = append([]byte(nil), m.Payload...)
			events <- event{m: m}
		},
		OnLink: func(_ *backend.Session, l backend.Link) { events <- event{l: l} },
	}, backend.Config{})
	g, _ := attach(t, addr, "gw", 0)
	g.opened(1, &straitv1.Opened{Remote: "192.0.2.1:5", Transport: straitv1.Transport_TRANSPORT_TCP})
	g.out = batch.AppendMessage(g.out, 1, 9, true, 77, []byte("x"))
	var err error
	g.out, err = batch.AppendLink(g.out, 1, &straitv1.LinkChanged{
		Transport: straitv1.Transport_TRANSPORT_TCP_UDP, Remote: "192.0.2.2:6", RttUs: 1500, LossPpm: 7, JitterUs: 20, QueuedBytes: 9,
	})
	require.NoError(t, err)
	g.ping(1)
	require.Equal(t, backend.Message{Channel: 9, Delivery: backend.Unreliable, Sequence: 77, Payload: []byte("x")}, (<-events).m)
	want := backend.Link{
		Transport: backend.TCPUDP, Remote: netip.MustParseAddrPort("192.0.2.2:6"),
		RTT: 1500 * time.Microsecond, Jitter: 20 * time.Microsecond, LossPPM: 7, Queued: 9,
	}
	require.Equal(t, want, (<-events).l)
	require.Equal(t, want.Remote, s.Remote())
	require.Equal(t, want.Transport, s.Transport())
}

func TestAcknowledgeAndPong(t *testing.T) {
	j := newJournal()
	_, addr := serve(t, j, backend.Config{Acknowledge: true})
	g, _ := attach(t, addr, "gw", 0)
	g.opened(1, &straitv1.Opened{})
	g.message(1, "x")
	g.flush()
	var acked uint64
	g.until(func(b logicBatch) bool { acked = max(acked, b.Acked); return acked == 2 })
	require.Equal(t, []string{"opened", "message x"}, j.await(t, 2))

	// The pong of a gateway that acknowledges comes with the acknowledgement of its
	// own batch.
	g.out = batch.AppendPing(nil, 99)
	g.flush()
	g.until(func(b logicBatch) bool {
		if b.Pong != 0 {
			require.Equal(t, logicBatch{Pong: 99, Acked: 3}, b)
		}
		return b.Pong == 99
	})

	plain := newJournal()
	_, addr = serve(t, plain, backend.Config{})
	g, _ = attach(t, addr, "gw", 0)
	g.out = batch.AppendPing(nil, 5)
	g.flush()
	require.Equal(t, logicBatch{Pong: 5}, g.next())
}

func TestAnnouncedAgainOnAnotherStream(t *testing.T) {
	j := newJournal()
	j.respond = func(s *backend.Session, m backend.Message) { _ = s.Send(m.Delivery, m.Channel, m.Payload) }
	_, addr := serve(t, j, backend.Config{Grace: time.Minute})
	a, _ := attach(t, addr, "gw", 0)
	b, _ := attach(t, addr, "gw", 1)
	a.opened(1, &straitv1.Opened{})
	a.ping(1)
	s := j.session(1)
	s.SetValue("score 3")
	require.NoError(t, a.conn.Close())
	require.Eventually(t, func() bool {
		return errors.Is(s.Send(backend.Reliable, 0, nil), backend.ErrDetached)
	}, patience, time.Millisecond)

	b.opened(1, &straitv1.Opened{Again: true, Remote: "192.0.2.9:9"})
	b.message(1, "here")
	require.Equal(t, []command{{Kind: batch.CommandSend, Sessions: []uint64{1}, Channel: 3, Text: "here"}}, b.ping(1))
	require.Same(t, s, j.session(1))
	require.True(t, s.Again())
	require.Equal(t, "score 3", s.Value())
	require.Equal(t, "192.0.2.9:9", s.Remote().String())

	b.out = batch.AppendClosed(nil, 1, 4, "went away")
	b.ping(2)
	require.Equal(t, []string{"opened", "again", "message here", "closed IDLE went away"}, j.await(t, 4))
	require.ErrorIs(t, s.Send(backend.Reliable, 0, nil), backend.ErrSessionClosed)
	require.ErrorIs(t, s.Close(backend.Normal, ""), net.ErrClosed)
}

func TestTakenOverBeforeTheOldStreamEnds(t *testing.T) {
	j := newJournal()
	_, addr := serve(t, j, backend.Config{})
	a, _ := attach(t, addr, "gw", 0)
	b, _ := attach(t, addr, "gw", 1)
	a.opened(1, &straitv1.Opened{})
	a.ping(1)
	b.opened(1, &straitv1.Opened{Again: true})
	b.ping(1)
	a.message(1, "from a zombie")
	a.out = batch.AppendClosed(a.out, 1, 0, "from a zombie")
	a.ping(2)
	b.message(1, "x")
	b.ping(2)
	require.Equal(t, []string{"opened", "again", "message x"}, j.await(t, 3))
}

func TestAnotherGatewayOrProcessIsAnotherSession(t *testing.T) {
	j := newJournal()
	_, addr := serve(t, j, backend.Config{})
	a, _ := attach(t, addr, "gw", 0)
	a.opened(1, &straitv1.Opened{})
	a.ping(1)
	first := j.session(1)
	other, _ := attach(t, addr, "gw 2", 0)
	other.opened(1, &straitv1.Opened{Again: true})
	other.ping(1)
	require.NotSame(t, first, j.session(1))
	// Handles begin anew with the gateway's process.
	b, _ := attach(t, addr, "gw", 1)
	b.opened(1, &straitv1.Opened{Again: true, SessionId: make([]byte, 16)})
	b.ping(1)
	require.NotSame(t, first, j.session(1))
	require.Equal(t, []string{"opened", "again", "again"}, j.await(t, 3))
}

func TestLostSessionIsClosedAfterTheGraceTime(t *testing.T) {
	j := newJournal()
	_, addr := serve(t, j, backend.Config{Grace: 20 * time.Millisecond})
	g, _ := attach(t, addr, "gw", 0)
	g.opened(1, &straitv1.Opened{})
	g.ping(1)
	require.NoError(t, g.conn.Close())
	require.Equal(t, []string{"opened", "lost"}, j.await(t, 2))
	require.ErrorIs(t, j.session(1).Send(backend.Reliable, 0, nil), backend.ErrSessionClosed)

	// Who comes back too late is somebody new.
	late := j.session(1)
	g, _ = attach(t, addr, "gw", 0)
	g.opened(1, &straitv1.Opened{Again: true})
	g.ping(1)
	require.NotSame(t, late, j.session(1))
}

func TestPublish(t *testing.T) {
	j := newJournal()
	srv, addr := serve(t, j, backend.Config{Routes: []string{"lobby"}})
	require.ErrorIs(t, srv.Publish("lobby", "room", backend.Reliable, 1, nil), backend.ErrNoGateway)
	a1, _ := attach(t, addr, "a", 1)
	a0, _ := attach(t, addr, "a", 0)
	b0, _ := attach(t, addr, "b", 0)
	a0.opened(1, &straitv1.Opened{})
	a0.ping(1)
	s := j.session(1)
	require.NoError(t, srv.Publish("lobby", "room", backend.Unreliable, 9, []byte("x"), s))
	require.Equal(t, []command{{
		Kind: batch.CommandPublish, Group: "room", Channel: 9, Unreliable: true, Text: "x", Except: []uint64{1},
	}}, a0.next().Commands)
	require.Equal(t, []command{{
		Kind: batch.CommandPublish, Group: "room", Channel: 9, Unreliable: true, Text: "x",
	}}, b0.next().Commands)
	require.Empty(t, a1.ping(2), "once to each gateway")

	var refused *backend.ArgumentError
	require.ErrorAs(t, srv.Publish("arena", "room", backend.Reliable, 1, nil), &refused)
	require.ErrorAs(t, srv.Publish("lobby", "\xff", backend.Reliable, 1, nil), &refused)
	require.ErrorAs(t, srv.Publish("lobby", "room", 2, 1, nil), &refused)
}

func TestDrain(t *testing.T) {
	srv, addr := serve(t, backend.Funcs{}, backend.Config{Name: "n"})
	a, hello := attach(t, addr, "a", 0)
	require.False(t, hello.GetDraining())
	srv.Drain(true)
	h := a.next().Hello
	require.True(t, h.GetDraining())
	require.Equal(t, "n", h.GetName())
	_, hello = attach(t, addr, "b", 0)
	require.True(t, hello.GetDraining())
	srv.Drain(false)
	require.False(t, a.next().Hello.GetDraining())
}

func TestCommandsThatAreRefused(t *testing.T) {
	j := newJournal()
	_, addr := serve(t, j, backend.Config{BufferBytes: 1 << 20})
	g, _ := attach(t, addr, "gw", 0)
	g.opened(1, &straitv1.Opened{})
	g.ping(1)
	s := j.session(1)
	var argument *backend.ArgumentError
	for _, err := range []error{
		s.Send(2, 0, nil), s.Close(15, ""), s.Close(backend.Normal, "\xff"), s.Join("\xff"), s.Leave("\xff"), s.Move("\xff"),
	} {
		require.ErrorAs(t, err, &argument)
	}
	var tooLarge *backend.TooLargeError
	require.ErrorAs(t, s.Send(backend.Reliable, 0, make([]byte, batch.MaxBatch)), &tooLarge)

	// The gateway does not read: bounded, and nothing blocks.
	var full *backend.FullError
	sent := 0
	for !errors.As(s.Send(backend.Reliable, 0, make([]byte, 100<<10)), &full) {
		sent++
		require.Less(t, sent, 1000)
	}
	require.Equal(t, 1<<20, full.Limit)
	require.LessOrEqual(t, full.Queued, full.Limit)
	// Once it reads, all that was taken arrives, and there is room again.
	require.Len(t, g.ping(2), sent)
	require.NoError(t, s.Send(backend.Reliable, 0, []byte("more")))
	require.Equal(t, "more", g.next().Commands[0].Text)
}

func TestConcurrentSendersKeepTheirOrder(t *testing.T) {
	j := newJournal()
	_, addr := serve(t, j, backend.Config{})
	g, _ := attach(t, addr, "gw", 0)
	const senders, messages = 8, 500
	for h := range uint64(senders) {
		g.opened(h+1, &straitv1.Opened{})
	}
	g.ping(1)
	var wg sync.WaitGroup
	for h := range uint64(senders) {
		s := j.session(h + 1)
		wg.Go(func() {
			for i := range messages {
				if !assert.NoError(t, s.Send(backend.Reliable, 0, binary.BigEndian.AppendUint32(nil, uint32(i)))) {
					return
				}
			}
		})
	}
	next := make(map[uint64]uint32)
	for total := 0; total < senders*messages; {
		for _, c := range g.next().Commands {
			require.Equal(t, next[c.Sessions[0]], binary.BigEndian.Uint32([]byte(c.Text)))
			next[c.Sessions[0]]++
			total++
		}
	}
	wg.Wait()
}

func TestStreamsThatAreRefused(t *testing.T) {
	_, addr := serve(t, backend.Funcs{}, backend.Config{})
	for name, send := range map[string]func(g *gateway){
		"another version": func(g *gateway) { g.hello("gw", 0, 2); g.flush() },
		"no hello":        func(g *gateway) { g.out = batch.AppendPing(nil, 1); g.flush() },
		"garbage":         func(g *gateway) { g.out = []byte{0xff}; g.flush() },
		"too long":        func(g *gateway) { _, _ = g.conn.Write([]byte{0xff, 0xff, 0xff, 0xff}) },
		"garbage later": func(g *gateway) {
			g.hello("gw", 0, 1)
			g.flush()
			require.NotNil(g.t, g.next().Hello)
			g.out = []byte{0x12, 0x7f}
			g.flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := dial(t, addr)
			send(g)
			_, err := g.read()
			require.True(t, errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET), "%v", err)
		})
	}
}

func TestCloseSendsWhatIsQueuedAndClosesEverySession(t *testing.T) {
	j := newJournal()
	srv, addr := serve(t, j, backend.Config{})
	g, _ := attach(t, addr, "gw", 0)
	g.opened(1, &straitv1.Opened{})
	g.ping(1)
	s := j.session(1)
	const messages = 100
	for range messages {
		require.NoError(t, s.Send(backend.Reliable, 0, make([]byte, 10000)))
	}
	closed := make(chan error, 1)
	go func() { closed <- srv.Close() }()
	total := 0
	for {
		b, err := g.read()
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
		total += len(b.Commands)
	}
	require.Equal(t, messages, total)
	require.NoError(t, g.conn.Close())
	require.NoError(t, <-closed)
	require.Equal(t, []string{"opened", "lost"}, j.await(t, 2))
	require.NoError(t, srv.Close())
}

func TestServe(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s.sock")
	// A file that a process left which died.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	require.NoError(t, err)
	stale.SetUnlinkOnClose(false)
	require.NoError(t, stale.Close())

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- backend.Serve(ctx, "link+unix://"+path, backend.Funcs{}, backend.Config{Logger: quiet()})
	}()
	require.Eventually(t, func() bool {
		c, err := net.Dial("unix", path)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, patience, time.Millisecond)
	// One that is alive is left alone.
	err = backend.Serve(ctx, "link+unix://"+path, backend.Funcs{}, backend.Config{Logger: quiet()})
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	cancel()
	require.NoError(t, <-done)

	require.NoError(t, backend.Serve(ctx, "127.0.0.1:0", backend.Funcs{}, backend.Config{Logger: quiet()}), "ctx was done before")
	for _, addr := range []string{"http://a:1", "link://", "link://a:1/path", "link+unix://rel/path", "link+tls://127.0.0.1:0"} {
		var argument *backend.ArgumentError
		require.ErrorAs(t, backend.Serve(t.Context(), addr, backend.Funcs{}, backend.Config{}), &argument, addr)
	}
}

func TestConfigIsRefused(t *testing.T) {
	for _, c := range []backend.Config{
		{BufferBytes: -1}, {BufferBytes: 1000}, {Grace: -1}, {Name: "\xff"}, {Routes: []string{"\xff"}},
	} {
		_, err := backend.New(backend.Funcs{}, c)
		var argument *backend.ArgumentError
		require.ErrorAs(t, err, &argument)
	}
	_, err := backend.New(nil, backend.Config{})
	require.Error(t, err)
}
