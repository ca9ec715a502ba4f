package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/straitv1"
)

// What game logic is told first, of the gateway and of a session.
func TestGatewayHelloAndOpened(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serve(t, "STRAIT_UPSTREAM="+game.url, "STRAIT_UPSTREAM_STREAMS=3")
	index := make(map[uint32]bool)
	for n := 1; n <= 3; n++ {
		h := game.attached(t, n).hello
		assert.EqualValues(t, 1, h.Version)
		assert.NotEmpty(t, h.Gateway)
		assert.Equal(t, game.attached(t, 1).hello.Gateway, h.Gateway)
		assert.EqualValues(t, 3, h.Streams)
		assert.Less(t, h.Stream, uint32(3))
		index[h.Stream] = true
	}
	assert.Len(t, index, 3, "each stream says which one it is")

	handles := make(map[uint64]bool)
	for range 12 {
		p := join(t, gw)
		e := game.announced(t, p)
		o := e.GetOpened()
		assert.Equal(t, p.local(), o.Remote)
		assert.Equal(t, straitv1.Transport_TRANSPORT_TCP, o.Transport)
		assert.Empty(t, o.Subject)
		assert.Empty(t, o.Route)
		assert.False(t, o.Again)
		assert.NotZero(t, e.Session)
		assert.False(t, handles[e.Session], "a handle is used once")
		handles[e.Session] = true
		p.plays()
		p.write(closing(cNormal, "next"))
		p.expectClose(cNormal)
		game.gone(t, e.Session)
	}
	// All events of a session travel on one stream, Opened first and Closed last.
	on, state := make(map[uint64]*stream), make(map[uint64]int)
	for _, e := range game.events.all() {
		if on[e.Session] == nil {
			on[e.Session] = e.on
		}
		assert.Same(t, on[e.Session], e.on)
		switch {
		case e.GetOpened() != nil:
			assert.Equal(t, 0, state[e.Session])
			state[e.Session] = 1
		case e.GetClosed() != nil:
			assert.Equal(t, 1, state[e.Session])
			state[e.Session] = 2
		default:
			assert.Equal(t, 1, state[e.Session])
		}
	}
	status, body := gw.get("/readyz")
	assert.Equal(t, http.StatusOK, status, body)
}

// Absurd commands are counted and harm nobody; those around them in the batch are
// carried out.
func TestAbsurdCommands(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serve(t, game.env("STRAIT_MAX_MESSAGE_BYTES=20000")...)
	other := accompany(t, gw)
	p := join(t, gw)
	s := game.announced(t, p)
	send := func(change func(*straitv1.Send)) *straitv1.Command {
		c := reply([]byte("absurd"), s.Session)
		change(c.GetSend())
		return c
	}
	for _, c := range []struct {
		name, reason string
		command      *straitv1.Command
	}{
		{"an unknown session", "unknown_session", reply([]byte("?"), 1<<60)},
		{"closing an unknown session", "unknown_session", kick(1<<61, cNormal, "?")},
		{"an unknown session in a group", "unknown_session", joinGroup("g", 1<<62)},
		{"moving an unknown session", "unknown_session", move(1<<63, "r")},
		{"channel 999", "bad_channel", send(func(m *straitv1.Send) { m.Channel = 999 })},
		{"channel 256", "bad_channel", send(func(m *straitv1.Send) { m.Channel = 256 })},
		{"an unknown delivery", "bad_delivery", send(func(m *straitv1.Send) { m.Delivery = 7 })},
		{"a payload above the limit", "too_large", send(func(m *straitv1.Send) { m.Payload = make([]byte, 20001) })},
		{"an unreliable payload above the limit", "too_large", send(func(m *straitv1.Send) {
			m.Payload, m.Delivery = make([]byte, p.hello.MaxUnreliableBytes+1), straitv1.Delivery_DELIVERY_UNRELIABLE
		})},
		{"a move to the route it is on", "", move(s.Session, "")},
		{"publishing to a group that does not exist", "", publish("nobody", "?")},
		{"leaving a group one is not in", "", leaveGroup("nobody", s.Session)},
		{"a command without a kind", "", &straitv1.Command{}},
		{"a send without sessions", "", reply([]byte("?"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := 0.0
			if c.reason != "" {
				before = gw.metric(drop(c.reason))
			}
			s.on.command(t, c.command, reply([]byte("next"), s.Session))
			p.expectData(0, []byte("next"))
			if c.reason != "" {
				assert.Equal(t, before+1, gw.metric(drop(c.reason)))
			}
			other.undisturbed(t)
		})
	}
	t.Run("a close code out of range", func(t *testing.T) {
		for _, code := range []uint32{15, 999, 1<<32 - 1} {
			p := join(t, gw)
			s := game.announced(t, p)
			s.on.command(t, kick(s.Session, code, "away"))
			p.expectClose(cKicked)
		}
		gw.reaches(drop("bad_code"), 3)
	})
	t.Run("payloads at their limits", func(t *testing.T) {
		s.on.command(t, send(func(m *straitv1.Send) { m.Payload = make([]byte, 20000) }),
			send(func(m *straitv1.Send) { m.Channel, m.Payload = 255, nil }))
		p.expectData(0, make([]byte, 20000))
		p.expectData(255, nil)
	})
	other.undisturbed(t)
	assert.Equal(t, 1, game.streams.count(func(*stream) bool { return true }), "the stream goes on")
}

// A batch that is none ends its stream, with a log line that says why; the
// sessions are announced again on the next one and nobody is thrown out.
func TestBatchesThatEndAStream(t *testing.T) {
	t.Parallel()
	long := make([]byte, 5<<20)
	for name, c := range map[string]struct {
		write []byte
		says  string
	}{
		"5 MiB":            {append([]byte{0, 0x50, 0, 0}, long...), "4194304"},
		"4 GiB":            {[]byte{0xff, 0xff, 0xff, 0xff}, "4194304"},
		"garbage":          {[]byte{0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff}, ""},
		"a cut command":    {[]byte{0, 0, 0, 3, 0x12, 0x40, 0x0a}, ""},
		"a pong too early": {[]byte{0, 0, 0, 3, 0x18, 0xff, 0x7f}, "pong"},
		"an ack too early": {[]byte{0, 0, 0, 3, 0x20, 0xff, 0x7f}, "acked"},
		"dies mid-batch":   {[]byte{0, 0, 1, 0, 0x12, 0x40}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			game := listenLogic(t)
			gw := serve(t, game.env()...)
			p := join(t, gw)
			p.plays()
			first := game.announced(t, p)
			_ = first.on.write(c.write) // the gateway need not read all of it
			if name == "dies mid-batch" {
				first.on.cut()
			}
			again := game.again(t, p)
			assert.Equal(t, first.Session, again.Session, "the handle stays")
			assert.NotSame(t, first.on, again.on)
			<-first.on.ended
			p.plays()
			gw.logged("a log line about the stream", func(l string) bool {
				return strings.Contains(l, "stream lost") && strings.Contains(l, game.url) && strings.Contains(l, c.says)
			})
		})
	}
}

// LogicHello of another version ends the stream with a log line that tells both
// versions, and readiness says so, too.
func TestLogicHelloOfAnotherVersion(t *testing.T) {
	t.Parallel()
	game := listenLogic(t, func(g *logic) { g.greet = &straitv1.LogicHello{Version: 7, Name: "of the future"} })
	gw := serve(t, game.env("STRAIT_UPSTREAM_GRACE=300ms")...)
	gw.logged("a log line about the version", func(l string) bool {
		return strings.Contains(l, "of the future") && strings.Contains(l, "version 7") && strings.Contains(l, "version 1")
	})
	gw.polls(func() bool {
		status, why := gw.get("/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(why, "version 7")
	}, "/readyz does not tell why")
	p := join(t, gw)
	before, c := p.untilClose()
	assert.Empty(t, before)
	assert.EqualValues(t, cUpstreamLost, c.Code)
}

// A zombie cannot speak: commands count only from the stream that a session is on.
func TestCommandsFromAnotherStream(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serve(t, "STRAIT_UPSTREAM="+game.url, "STRAIT_UPSTREAM_STREAMS=2")
	game.attached(t, 2)
	p := join(t, gw)
	p.plays()
	s := game.announced(t, p)
	wrong := game.attached(t, 1)
	if wrong == s.on {
		wrong = game.attached(t, 2)
	}
	wrong.command(t, reply([]byte("spoof"), s.Session), kick(s.Session, cKicked, "spoof"), move(s.Session, "spoof"), joinGroup("g", s.Session))
	gw.reaches(drop("not_current"), 4)
	p.plays()
}

// Groups fan out at the edge: publish reaches the members but those excepted.
func TestGroups(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serve(t, game.env()...)
	const n = 100 // more than one turn of a fan-out
	players, handles := make([]*player, n), make([]uint64, n)
	var on *stream
	for i := range players {
		players[i] = join(t, gw)
		e := game.announced(t, players[i])
		handles[i], on = e.Session, e.on
	}
	on.command(t, joinGroup("all", handles...), joinGroup("even", handles[0], handles[2]), joinGroup("even", handles[2], handles[4]),
		publish("all", "one"), publish("all", "two", handles[3], handles[5], 1<<60), publish("even", "even"),
		leaveGroup("all", handles[0], handles[0]), publish("all", "three"), publish("none", "nobody"),
		reply([]byte("end"), handles...))
	for i, p := range players {
		want := []string{"one"}
		if i != 3 && i != 5 {
			want = append(want, "two")
		}
		if i == 0 || i == 2 || i == 4 {
			want = append(want, "even")
		}
		if i != 0 {
			want = append(want, "three")
		}
		for _, w := range want {
			p.expectData(1, []byte(w))
		}
		p.expectData(0, []byte("end"))
	}
	assert.EqualValues(t, 2, gw.metric("strait_groups"))

	// Who is gone is in no group, and an unreliable publish is one.
	players[0].write(closing(cNormal, "bye"))
	players[0].expectClose(cNormal)
	game.gone(t, handles[0])
	c := publish("even", "state")
	c.GetPublish().Delivery = straitv1.Delivery_DELIVERY_UNRELIABLE
	on.command(t, c)
	for _, i := range []int{2, 4} {
		assert.Equal(t, "\x00\x00state", string(players[i].expect(tDataUnreliable).payload))
	}
	on.command(t, leaveGroup("even", handles[2], handles[4]), leaveGroup("all", handles...))
	gw.falls("strait_groups", 0)
}

// Move hands a session over: Closed here, Opened there, nothing to the player. He
// leaves the groups of his old route.
func TestMoveBetweenRoutes(t *testing.T) {
	t.Parallel()
	lobby, match := listenLogic(t, routes("", "lobby")), listenLogic(t, routes("match"))
	gw := serve(t, "STRAIT_UPSTREAM="+lobby.url+","+match.url, "STRAIT_UPSTREAM_STREAMS=1")
	lobby.attached(t, 1)
	match.attached(t, 1)
	p := join(t, gw)
	p.plays()
	s := lobby.announced(t, p)
	s.on.command(t, joinGroup("chat", s.Session), move(s.Session, "nowhere"))
	gw.reaches(drop("no_route"), 1)
	p.plays()

	s.on.command(t, move(s.Session, "match"))
	there := match.announced(t, p)
	assert.Equal(t, "match", there.GetOpened().Route)
	assert.Equal(t, s.Session, there.Session)
	lobby.gone(t, s.Session)
	p.write(data(3, []byte("to the match")))
	p.expectData(3, []byte("to the match"))
	assert.Equal(t, []string{"to the match"}, match.payloads(s.Session))

	// The lobby has no say any more, and its groups do not reach him.
	s.on.command(t, reply([]byte("late"), s.Session), publish("chat", "late"))
	gw.reaches(drop("not_current"), 1)
	there.on.command(t, reply([]byte("welcome"), s.Session))
	p.expectData(0, []byte("welcome"))
	p.plays()
}

// Groups belong to a route: the same name in another one is another group.
func TestGroupsBelongToRoutes(t *testing.T) {
	t.Parallel()
	red, blue := listenLogic(t, routes("red")), listenLogic(t, routes("blue"))
	gw := serve(t, "STRAIT_UPSTREAM="+red.url+","+blue.url, "STRAIT_UPSTREAM_STREAMS=1", "STRAIT_CLIENT_ROUTE=on")
	red.attached(t, 1)
	blue.attached(t, 1)
	r, b := joinRoute(t, gw, "red"), joinRoute(t, gw, "blue")
	sr, sb := red.announced(t, r), blue.announced(t, b)
	sb.on.command(t, joinGroup("team", sb.Session), reply([]byte("joined"), sb.Session))
	b.expectData(0, []byte("joined"))
	sr.on.command(t, joinGroup("team", sr.Session), publish("team", "red only"), reply([]byte("end"), sr.Session))
	r.expectData(1, []byte("red only"))
	r.expectData(0, []byte("end"))
	sb.on.command(t, publish("team", "blue only"))
	b.expectData(1, []byte("blue only"))
}

// A client may name its route only where the operator lets it.
func TestClientRoute(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{"off": "", "on": "arena-7"} {
		game := listenLogic(t)
		gw := serve(t, game.env("STRAIT_CLIENT_ROUTE="+setting)...)
		p := joinRoute(t, gw, "arena-7")
		assert.Equal(t, want, game.announced(t, p).GetOpened().Route, setting)
		assert.Equal(t, want, gw.sessions()[0].Route)
		p.plays()

		p = connect(t, gw)
		p.write(message(tClientHello, &straitv1.ClientHello{Version: 1, Route: strings.Repeat("r", 257)}))
		if setting == "on" {
			assert.Contains(t, p.expectClose(cProtocolError).Reason, "256")
		} else {
			p.welcome()
		}
	}
}

// A backend that drains gets no new sessions and keeps its own.
func TestDrainingBackend(t *testing.T) {
	t.Parallel()
	a, b := listenLogic(t), listenLogic(t)
	gw := serve(t, "STRAIT_UPSTREAM="+a.url+","+b.url, "STRAIT_UPSTREAM_STREAMS=1")
	a.attached(t, 1)
	b.attached(t, 1)
	onA := joinUntil(t, gw, a)
	s := a.announced(t, onA)
	require.NoError(t, s.on.send(&straitv1.LogicBatch{Hello: &straitv1.LogicHello{Version: 1, Name: "a", Draining: true}}))
	gw.reaches(fmt.Sprintf("strait_upstream_streams{backend=%q,state=%q}", a.url, "draining"), 1)
	for range 12 {
		p := join(t, gw)
		b.announced(t, p)
		p.plays()
	}
	onA.plays()
	status, _ := gw.get("/readyz")
	assert.Equal(t, http.StatusOK, status)
	require.NoError(t, b.attached(t, 1).send(&straitv1.LogicBatch{Hello: &straitv1.LogicHello{Version: 1, Name: "b", Draining: true}}))
	gw.polls(func() bool {
		status, why := gw.get("/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(why, "draining")
	}, "/readyz does not say that every backend drains")
	onA.plays()
}

// joinUntil joins players until one is on a backend, and returns him.
func joinUntil(t testing.TB, gw *process, g *logic) *player {
	t.Helper()
	for range 64 {
		p := join(t, gw)
		p.plays()
		if g.events.count(p.opens) > 0 {
			return p
		}
	}
	require.FailNow(t, "64 players, and none of them on "+g.url)
	return nil
}
