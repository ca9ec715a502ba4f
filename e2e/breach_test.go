package e2e

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/straitv1"
)

// breach is one protocol error of WIRE.md section 2.
type breach struct {
	name string
	send []byte
	says string // what a person must find in the reason
}

// maxMessage is the default of STRAIT_MAX_MESSAGE_BYTES.
const maxMessage = 65536

// breaches before CLIENT_HELLO was sent.
var unopened = []breach{
	{"DATA first", data(0, []byte("x")), "DATA"},
	{"DATA_UNRELIABLE first", unreliable(0, 0, nil), "DATA_UNRELIABLE"},
	{"PING first", raw(tPing, make([]byte, 8)), "PING"},
	{"PONG first", raw(tPong, make([]byte, 12)), "PONG"},
	{"ACK first", raw(tAck, nil), "ACK"},
	{"CLOSE first", closing(0, "never mind"), "CLOSE"},
	{"SERVER_HELLO from a client", raw(tServerHello, nil), "SERVER_HELLO"},
	{"UDP_OFFER from a client", raw(tUDPOffer, nil), "UDP_OFFER"},
	{"GOAWAY from a client", raw(tGoAway, nil), "GOAWAY"},
	{"unknown type 0x00", raw(0x00, nil), "0x00"},
	{"unknown type 0x0B", raw(0x0b, nil), "0x0B"},
	{"CLIENT_HELLO above its limit, header alone", header(tClientHello, 16385), "16384"},
	{"CLIENT_HELLO that promises 16 MB", header(tClientHello, 1<<24-1), "16384"},
	{"CLIENT_HELLO that does not parse", raw(tClientHello, []byte{0xff, 0xff}), "CLIENT_HELLO"},
	{"CLIENT_HELLO with a string that is not UTF-8", raw(tClientHello, []byte{8, 1, 0x1a, 1, 0xff}), "CLIENT_HELLO"},
	{"DATA that promises 16 MB", header(tData, 1<<24-1), ""},
}

// breaches of a session.
var opened = []breach{
	{"a second CLIENT_HELLO", clientHello(), "CLIENT_HELLO"},
	{"SERVER_HELLO from a client", raw(tServerHello, nil), "SERVER_HELLO"},
	{"UDP_OFFER from a client", raw(tUDPOffer, nil), "UDP_OFFER"},
	{"GOAWAY from a client", message(tGoAway, &straitv1.GoAway{Code: cDraining}), "GOAWAY"},
	{"unknown type 0x00", raw(0x00, nil), "0x00"},
	{"unknown type 0x0B", raw(0x0b, nil), "0x0B"},
	{"unknown type 0x7F", raw(0x7f, []byte("?")), "0x7F"},
	{"PING of 0", raw(tPing, nil), "8"},
	{"PING of 7", raw(tPing, make([]byte, 7)), "8"},
	{"PING of 9", raw(tPing, make([]byte, 9)), "8"},
	{"PONG of 8", raw(tPong, make([]byte, 8)), "12"},
	{"PONG of 13", raw(tPong, make([]byte, 13)), "12"},
	{"DATA_UNRELIABLE of 0", raw(tDataUnreliable, nil), "2"},
	{"DATA_UNRELIABLE of 1", raw(tDataUnreliable, []byte{0}), "2"},
	{"DATA above its limit, header alone", header(tData, maxMessage+1), "65536"},
	{"DATA that promises 16 MB", header(tData, 1<<24-1), "65536"},
	{"DATA_UNRELIABLE above its limit, header alone", header(tDataUnreliable, maxMessage+3), "65538"},
	{"PING above the limit of control frames, header alone", header(tPing, 4097), "8"},
	{"ACK above the limit of control frames, header alone", header(tAck, 4097), "4096"},
	{"CLOSE above the limit of control frames, header alone", header(tClose, 4097), "4096"},
	{"a frame to be skipped above the limit, header alone", header(0x80, 4097), "4096"},
	{"a frame to be skipped that promises 16 MB", header(0xff, 1<<24-1), "4096"},
	{"ACK that does not parse", raw(tAck, []byte{0xff}), "ACK"},
	{"ACK without a resume token", message(tAck, &straitv1.Ack{Received: []*straitv1.ChannelPosition{{Count: 1}}}), "ACK"},
	{"CLOSE that does not parse", raw(tClose, []byte{0x12, 0x7f}), "CLOSE"},
}

func TestBreachesOfTheProtocol(t *testing.T) { onBothPaths(t, testBreachesOfTheProtocol) }

func testBreachesOfTheProtocol(t *testing.T, path string) {
	gw := serve(t, path)
	other := accompany(t, gw)
	for _, stage := range []struct {
		name     string
		enter    func(testing.TB, *process) *player
		breaches []breach
	}{{"unopened", connect, unopened}, {"opened", join, opened}} {
		for _, b := range stage.breaches {
			t.Run(stage.name+"/"+b.name, func(t *testing.T) {
				p := stage.enter(t, gw)
				p.write(b.send)
				c := p.expectClose(cProtocolError)
				assert.Contains(t, c.Reason, b.says)
				assert.Greater(t, len(c.Reason), len("PROTOCOL_ERROR"), "nobody can act on %q", c.Reason)
				other.undisturbed(t)
			})
		}
	}
	gw.reaches(end("PROTOCOL_ERROR"), float64(len(opened)))
	gw.reaches(`strait_openings_total{code="PROTOCOL_ERROR"}`, float64(len(unopened)))
}

// What came before a breach counts, and what comes behind it is read and
// discarded, so that no reset destroys the CLOSE.
func TestBreachBetweenMessages(t *testing.T) { onBothPaths(t, testBreachBetweenMessages) }

func testBreachBetweenMessages(t *testing.T, path string) {
	gw := serve(t, path)
	game := listenLogic(t)
	behind := serve(t, game.env(path)...)
	for name, junk := range map[string][]byte{
		"nothing":       nil,
		"frames":        bytes.Repeat(data(1, []byte("too late")), 100),
		"a megabyte":    make([]byte, 1<<20),
		"another hello": clientHello(),
	} {
		t.Run(name, func(t *testing.T) {
			p := join(t, gw)
			sent := slices.Concat(header(tData, 1<<24-1), junk)
			written := make(chan error, 1)
			go func() { _, err := p.conn.Write(sent); written <- err }()
			c := p.closeFrame(p.expect(tClose))
			require.EqualValues(t, cProtocolError, c.Code)
			p.expectEnd()
			<-written // the gateway reads a part of it only, so that it may fail
		})
	}
	p := join(t, behind)
	p.write(data(1, []byte("before")), header(0x00, 5), []byte("after"), data(1, []byte("behind")))
	_, c := p.untilClose()
	require.EqualValues(t, cProtocolError, c.Code)
	p.expectEnd()
	closed := game.event(t, "Closed after a breach", func(e event) bool { return e.GetClosed() != nil })
	assert.EqualValues(t, cProtocolError, closed.GetClosed().Code)
	assert.Equal(t, []string{"before"}, game.payloads(closed.Session), "only what came before the breach reaches game logic")
}

// A breach is told to its author in time, not when the payload has arrived, and
// costs the process no memory: 16 MB promised by many at once.
func TestPromisesOf16MB(t *testing.T) {
	t.Parallel()
	gw := serve(t)
	other := accompany(t, gw)
	other.undisturbed(t)
	before := gw.resident()
	players := make([]*player, scaled(200))
	for i := range players {
		players[i] = join(t, gw)
	}
	for _, p := range players {
		p.write(header(tData, 1<<24-1))
	}
	for _, p := range players {
		p.expectClose(cProtocolError)
	}
	assert.Less(t, gw.resident()-before, len(players)<<20/2+(64<<20), "bytes of memory for promises of 16 MB each")
	other.undisturbed(t)
}
