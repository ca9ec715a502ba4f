package e2e

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
)

// how names the sample that counts ends of QUIC connections.
func how(way string) string { return fmt.Sprintf("strait_quic_ends_total{how=%q}", way) }

// logsEnd awaits the log line of a session that was closed.
func (p *process) logsEnd(code, reason string, byClient bool) {
	p.t.Helper()
	p.logged("the end of a session with "+code, func(l string) bool {
		return strings.Contains(l, `msg="session closed"`) && strings.Contains(l, "code="+code+" ") &&
			strings.Contains(l, reason) && strings.Contains(l, fmt.Sprintf("by_client=%v", byClient))
	})
}

// What game logic says on any stream before it ends a session is delivered; its code
// is CLOSE's and the connection's, and everything ends with FIN.
func TestQUICCloseByGameLogic(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveQUIC(t, game.env("STRAIT_LOG_LEVEL=debug")...)
	p := joinQUIC(t, gw, quicSetup{})
	s := game.sees(t, p)
	var cs []*straitv1.Command
	for i := range 200 {
		c := reply(fmt.Appendf(nil, "%d", i), s.Session)
		c.GetSend().Channel = uint32(i % 20)
		cs = append(cs, c)
	}
	s.on.command(t, append(cs, kick(s.Session, cKicked, "cheating, round 3"), reply([]byte("too late"), s.Session))...)
	assert.Equal(t, "cheating, round 3", p.expectClose(cKicked).Reason)
	assert.Equal(t, "cheating, round 3", p.expectCode(cKicked).ErrorMessage)
	messages, fins := 0, 0
	for _, h := range p.in.all() {
		switch {
		case h.end != nil:
			assert.Equal(t, io.EOF, h.end, "channel %d", h.channel)
			fins++
		case h.typ == tData:
			messages++
		}
	}
	assert.Equal(t, 200, messages)
	assert.Equal(t, 20, fins, "FIN on all")
	assert.EqualValues(t, cKicked, game.gone(t, s.Session).Code)
	gw.logsEnd("KICKED", "cheating, round 3", false)
	gw.reaches(end("KICKED"), 1)
	gw.reaches(how("in_order"), 1)
	gw.falls("strait_quic_connections", 0)
}

// Who receives CLOSE sends what it has queued, then its own CLOSE; what the client sent
// before its CLOSE on other streams still counts, and nothing behind it.
func TestQUICCloseByTheClient(t *testing.T) {
	t.Parallel()
	game := listenLogic(t, playing(silent))
	gw := serveQUIC(t, game.env("STRAIT_LOG_LEVEL=debug")...)
	for range 5 {
		p := joinQUIC(t, gw, quicSetup{silent: true})
		s := game.sees(t, p)
		for round := 1; round <= 2; round++ {
			for channel := range byte(30) {
				p.say(channel, []byte{channel})
			}
			if round == 1 { // so that the streams are known: CLOSE may overtake what follows
				require.Eventually(t, func() bool { return len(game.payloads(s.Session)) == 30 }, patience, time.Millisecond)
			}
		}
		p.write(closing(cNormal, "bye for now"), data(0, []byte("one more thing")))
		p.finish()
		p.in.await(t, "CLOSE", func(h heard) bool { return h.typ == tClose })
		end := p.in.await(t, "FIN", func(h heard) bool { return h.way == onControl && h.end != nil })
		require.Equal(t, io.EOF, end.end)
		require.NoError(t, p.conn.CloseWithError(cNormal, "bye for now"))
		closed := game.gone(t, s.Session)
		assert.EqualValues(t, cNormal, closed.Code)
		assert.Equal(t, "bye for now", closed.Reason)
		assert.Len(t, game.payloads(s.Session), 60, "what was sent before CLOSE")
	}
	gw.logsEnd("NORMAL", "bye for now", true)
	gw.reaches(end("NORMAL"), 5)
	gw.reaches(how("in_order"), 5)

	// One who says CLOSE and then nothing more, not even the end, is gone after a moment.
	p := joinQUIC(t, gw, quicSetup{silent: true})
	p.write(closing(cNormal, "and waits"))
	p.expectClose(cNormal)
}

// CONNECTION_CLOSE without CLOSE: the application error code is section 9's, and its
// reason reaches the log, the metric and game logic.
func TestQUICConnectionClose(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveQUIC(t, game.env("STRAIT_LOG_LEVEL=debug")...)
	for _, c := range []struct {
		code   uint64
		reason string
		name   string
		counts string
	}{
		{cNormal, "left the match", "NORMAL", "NORMAL"},
		{cKicked, "thrown out by himself", "KICKED", "KICKED"},
		{cTooSlow, "his own words", "TOO_SLOW", "TOO_SLOW"},
		{1 << 40, "no code of the page", "", ""},
	} {
		t.Run(c.reason, func(t *testing.T) {
			p := joinQUIC(t, gw, quicSetup{})
			p.plays()
			s := game.sees(t, p)
			var before float64
			if c.counts != "" {
				before = gw.metric(end(c.counts))
			}
			require.NoError(t, p.conn.CloseWithError(quicgo.ApplicationErrorCode(c.code), c.reason))
			assert.Contains(t, game.gone(t, s.Session).Reason, c.reason)
			gw.logged("the end", func(l string) bool {
				return strings.Contains(l, "session closed") && strings.Contains(l, c.reason) && strings.Contains(l, "by_client=true") &&
					strings.Contains(l, "code="+c.name)
			})
			if c.counts != "" {
				gw.reaches(end(c.counts), before+1)
			}
		})
	}
	gw.falls("strait_quic_connections", 0)
}

// A client that ends its control stream without CLOSE, one that falls silent, and one
// whose process has died are lost, and game logic hears of it.
func TestQUICLoss(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveQUIC(t, game.env("STRAIT_QUIC_IDLE_TIMEOUT=3s", "STRAIT_IDLE_TIMEOUT=20s")...)
	other := accompanyQUIC(t, gw)
	p := joinQUIC(t, gw, quicSetup{})
	session := game.sees(t, p).Session
	p.finish()
	assert.NotEmpty(t, game.gone(t, session).Reason)
	p.ended()

	p = joinQUIC(t, gw, quicSetup{})
	p.plays()
	session = game.sees(t, p).Session
	p.vanish()
	assert.NotEmpty(t, game.gone(t, session).Reason)
	gw.reaches(end("LOST"), 2)
	gw.reaches(how("lost"), 2)
	gw.falls("strait_quic_connections", 1)
	other.undisturbed(t)
}

// Shutdown: GOAWAY, the session goes on, nobody new gets in, then CLOSE DRAINING behind
// everything that was answered.
func TestQUICDrain(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveQUIC(t, game.env("STRAIT_DRAIN_TIMEOUT=6s")...)
	players := make([]*quicPlayer, 4)
	for i := range players {
		players[i] = joinQUIC(t, gw, quicSetup{})
		players[i].plays()
	}
	late := connectQUIC(t, gw, quicSetup{})
	late.write(clientHello()[:3])
	gw.signal(syscall.SIGTERM)
	sent := make([]int, len(players))
	for i, p := range players {
		h := p.expect("GOAWAY", func(h heard) bool { return h.typ == tGoAway })
		g := new(straitv1.GoAway)
		require.NoError(t, proto.Unmarshal(h.payload, g))
		assert.EqualValues(t, cDraining, g.Code)
		assert.EqualValues(t, 6000, g.DeadlineMs)
		p.plays()
		for channel := range byte(10) {
			p.say(channel, []byte("the last"))
			sent[i]++
		}
	}
	late.answer(clientHello()[3:]) // unless it was refused already
	late.expectClose(cDraining)
	_, err := dialQUIC(t, gw, quicSetup{})
	var refused *quicgo.TransportError
	if assert.ErrorAs(t, err, &refused, "a handshake while draining") {
		assert.Equal(t, quicgo.ConnectionRefused, refused.ErrorCode)
	}
	gw.reaches(`strait_quic_handshake_refusals_total{reason="closed"}`, 1)
	for i, p := range players {
		p.expectClose(cDraining)
		assert.Equal(t, sent[i], p.in.count(func(h heard) bool { return h.typ == tData && string(h.payload) == "the last" }))
	}
	assert.Equal(t, 0, gw.wait())
}

// A second CLIENT_HELLO, VERSION and a full house: refused with CLOSE and its code.
func TestQUICRefusals(t *testing.T) {
	t.Parallel()
	gw := serveQUIC(t, "STRAIT_MAX_SESSIONS=1")
	p := connectQUIC(t, gw, quicSetup{})
	p.write(message(tClientHello, &straitv1.ClientHello{Version: 2}))
	p.expectClose(cVersion)

	first := joinQUIC(t, gw, quicSetup{})
	p = connectQUIC(t, gw, quicSetup{})
	p.write(clientHello())
	c := p.expectClose(cOverloaded)
	assert.NotZero(t, c.RetryAfterMs)
	first.plays()
}

// Who does not say hello in time is told TIMEOUT, with and without a control stream;
// who comes when too many are opening makes the oldest go.
func TestQUICOpeningDeadline(t *testing.T) {
	t.Parallel()
	gw := serveQUIC(t, "STRAIT_OPEN_TIMEOUT=3s") // which handshakes on a busy machine meet
	other := accompanyQUIC(t, gw)
	began := time.Now()
	p := connectQUIC(t, gw, quicSetup{})
	p.write(clientHello()[:5])
	idle, err := dialQUIC(t, gw, quicSetup{}) // has no control stream
	require.NoError(t, err)
	p.expectClose(cTimeout)
	idle.expectCode(cTimeout)
	assert.Greater(t, time.Since(began), 2900*time.Millisecond)
	other.undisturbed(t)

	gw = serveQUIC(t, "STRAIT_OPEN_TIMEOUT=1m", "STRAIT_MAX_HANDSHAKES=8")
	other = accompanyQUIC(t, gw)
	oldest := connectQUIC(t, gw, quicSetup{})
	oldest.write(clientHello()[:5])
	for range 8 {
		connectQUIC(t, gw, quicSetup{})
	}
	assert.NotZero(t, oldest.expectClose(cOverloaded).RetryAfterMs, "when to come back")
	gw.reaches("strait_evicted_openings_total", 1)
	joinQUIC(t, gw, quicSetup{}).plays()
	other.undisturbed(t)
}
