package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/straitv1"
)

// Who receives CLOSE sends what it has queued, then its own CLOSE, then ends its
// side.
func TestCloseByTheClient(t *testing.T) { onBothPaths(t, testCloseByTheClient) }

func testCloseByTheClient(t *testing.T, path string) {
	game := listenLogic(t, playing(silent))
	gw := serve(t, game.env(path)...)
	p, witness := join(t, gw), join(t, gw)
	s, w := game.announced(t, p), game.announced(t, witness)

	// What the witness gets behind it proves that the player's replies are queued.
	var cs []*straitv1.Command
	for i := range 50 {
		cs = append(cs, reply(fmt.Appendf(nil, "%d", i), s.Session))
	}
	s.on.command(t, append(cs, reply([]byte("now"), w.Session))...)
	witness.expectData(0, []byte("now"))
	p.write(closing(cNormal, "bye"))
	for i := range 50 {
		p.expectData(0, fmt.Appendf(nil, "%d", i))
	}
	p.expectClose(cNormal)
	closed := game.gone(t, s.Session)
	assert.EqualValues(t, cNormal, closed.Code)
	assert.Equal(t, "bye", closed.Reason)
}

// Echoes that are under way when CLOSE arrives are sent as far as they are queued;
// whatever comes is in order, and the end is a clean one.
func TestCloseRightBehindData(t *testing.T) { onBothPaths(t, testCloseRightBehindData) }

func testCloseRightBehindData(t *testing.T, path string) {
	gw := serve(t, path)
	for range 10 {
		p := join(t, gw)
		var out []byte
		for i := range 200 {
			out = append(out, data(1, binary.BigEndian.AppendUint32(nil, uint32(i)))...)
		}
		p.write(out, closing(cNormal, "bye"))
		before, c := p.untilClose()
		assert.EqualValues(t, cNormal, c.Code)
		p.expectEnd()
		for i, f := range before {
			require.EqualValues(t, i, binary.BigEndian.Uint32(f.payload))
		}
	}
}

// Whatever a client gives as the code of its CLOSE, the end is a clean one and
// game logic hears of it.
func TestCloseWithAnyCode(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serve(t, game.env()...)
	for _, code := range []uint32{0, 8, 14, 15, 999, 1<<32 - 1} {
		p := join(t, gw)
		session := game.announced(t, p).Session
		p.write(closing(code, "because"))
		p.closeFrame(p.expect(tClose))
		p.expectEnd()
		game.gone(t, session)
	}
	for _, reason := range []string{"", string(bytes.Repeat([]byte("x"), 300))} {
		p := join(t, gw)
		session := game.announced(t, p).Session
		p.write(closing(cNormal, reason))
		p.closeFrame(p.expect(tClose))
		p.expectEnd()
		assert.LessOrEqual(t, len(game.gone(t, session).Reason), 256)
	}
}

// Frames behind the client's CLOSE are none: it was the last one in its direction.
func TestNothingCountsBehindClose(t *testing.T) { onBothPaths(t, testNothingCountsBehindClose) }

func testNothingCountsBehindClose(t *testing.T, path string) {
	game := listenLogic(t)
	gw := serve(t, game.env(path)...)
	p := join(t, gw)
	session := game.announced(t, p).Session
	p.write(closing(cNormal, "bye"), data(0, []byte("one more thing")), raw(0x00, nil))
	p.expectClose(cNormal)
	game.gone(t, session)
	assert.Empty(t, game.payloads(session))
}

// An end without CLOSE is a lost connection, and game logic hears of it.
func TestAbruptLoss(t *testing.T) { onBothPaths(t, testAbruptLoss) }

func testAbruptLoss(t *testing.T, path string) {
	game := listenLogic(t)
	gw := serve(t, game.env(path)...)
	other := accompany(t, gw)
	lose := map[string]func(*player){
		"reset":                      func(p *player) { p.lose() },
		"FIN":                        func(p *player) { p.conn.NetConn().Close() },
		"close_notify without CLOSE": func(p *player) { p.conn.Close() },
		"reset in a frame":           func(p *player) { p.write(header(tData, 1000)); p.lose() },
		"reset with input unread": func(p *player) {
			for range 50 {
				p.write(data(0, make([]byte, 1000)))
			}
			p.lose()
		},
	}
	for name, f := range lose {
		t.Run(name, func(t *testing.T) {
			p := join(t, gw)
			p.plays()
			session := game.announced(t, p).Session
			f(p)
			assert.NotEmpty(t, game.gone(t, session).Reason)
			other.undisturbed(t)
		})
	}
	gw.reaches(end("LOST"), float64(len(lose)))
}

// Game logic ends a session: what it sent before is delivered, the code and the
// reason are its own.
func TestCloseByGameLogic(t *testing.T) { onBothPaths(t, testCloseByGameLogic) }

func testCloseByGameLogic(t *testing.T, path string) {
	game := listenLogic(t)
	gw := serve(t, game.env(path)...)
	p := join(t, gw)
	s := game.announced(t, p)
	s.on.command(t, reply([]byte("last words"), s.Session), kick(s.Session, cKicked, "cheating, round 3"), reply([]byte("too late"), s.Session))
	p.expectData(0, []byte("last words"))
	assert.Equal(t, "cheating, round 3", p.expectClose(cKicked).Reason)
	gw.reaches(drop("session_closed"), 1)

	p = join(t, gw)
	s = game.announced(t, p)
	long := bytes.Repeat([]byte("é"), 400)
	s.on.command(t, kick(s.Session, cOverloaded, string(long)))
	c := p.expectClose(cOverloaded)
	assert.NotZero(t, c.RetryAfterMs, "when to come back")
	assert.True(t, bytes.HasPrefix(long, []byte(c.Reason)), "a long reason is cut between characters: %q", c.Reason)
}
