package e2e

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// moveEvery is how often a bound lane moves, WIRE.md section 6.5, and a bit more.
const moveEvery = 1100 * time.Millisecond

// onBothKindsOfSockets runs f on one socket, and on several, of which a client who
// roams meets another one.
func onBothKindsOfSockets(t *testing.T, f func(t *testing.T, sockets ...string)) {
	t.Parallel()
	t.Run("one", func(t *testing.T) {
		t.Parallel()
		f(t)
	})
	if testing.Short() {
		return
	}
	t.Run("four, one packet at a time", func(t *testing.T) {
		t.Parallel()
		f(t, "STRAIT_UDP_SOCKETS=4", "STRAIT_UDP_BATCH=off")
	})
}

// saysFrom sends a message from a socket, large enough that its echo and a
// challenge are within the byte limit of 6.4, and returns where the echo arrived.
func (l *lane) saysFrom(s *socket, text string) *socket {
	l.t.Helper()
	payload := []byte(text + " " + fenceMark())
	s.send(l.seal(msg(30, 0, payload), make([]byte, 500)))
	heard := l.hears(payload)
	require.NotNil(l.t, heard.on, "%s: answered by the connection", text)
	return heard.on
}

// A new port is used at once, with a challenge beside the answer; moving is limited
// to once a second, but for the way back.
func TestUDPRoamingToANewPort(t *testing.T) { onBothKindsOfSockets(t, testRoamingToANewPort) }

func testRoamingToANewPort(t *testing.T, sockets ...string) {
	gw := serveUDP(t, sockets...)
	l := bound(t, gw)
	a, b, c := l.sock, l.another(), l.another()
	<-time.After(moveEvery)
	for attempt := 1; ; attempt++ {
		from := len(l.in.all())
		began := time.Now()
		require.Same(t, b, l.saysFrom(b, "from a new port"))
		l.in.awaitFrom(t, from, "a challenge to the new port", func(x arrival) bool { return x.on == b && x.has(fPathChallenge) != nil })
		l.sock = b
		l.fence() // behind the PATH_RESPONSE: b is proven
		early := l.saysFrom(c, "from another one too early")
		atA := l.saysFrom(a, "from the one before, too early")
		if time.Since(began) > 900*time.Millisecond && attempt < 5 { // this machine is slow
			a, b = b, a
			<-time.After(moveEvery)
			continue
		}
		assert.Same(t, b, early, "the lane moves at most once a second")
		assert.Same(t, b, atA, "the lane moves at most once a second")
		break
	}
	assert.Same(t, b, l.saysFrom(b, "where it is"))
	<-time.After(moveEvery)
	assert.Same(t, c, l.saysFrom(c, "from another one, later"))
	l.sock = c
	l.fence()
	assert.Same(t, c, l.saysFrom(c, "stays"))
	l.plays()
}

// What does not fit beside the challenge into what a new port has sent waits for its
// proof, and is not lost.
func TestUDPRoamingWithShortMessages(t *testing.T) {
	onBothKindsOfSockets(t, testRoamingWithShortMessages)
}

func testRoamingWithShortMessages(t *testing.T, sockets ...string) {
	l := bound(t, serveUDP(t, sockets...))
	for range 2 {
		<-time.After(moveEvery)
		l.sock = l.another()
		for i := range 3 {
			payload := []byte(fenceMark())
			l.sock.send(l.seal(msg(30, uint16(i), payload)))
			require.Same(t, l.sock, l.hears(payload).on)
		}
	}
	require.Zero(t, l.gw.metric("strait_udp_messages_lost_total"))
}

// A port that never answers a challenge has the lane for a second, within what it
// sent, and its owner has it back at once when he speaks.
func TestUDPRoamingWithoutProof(t *testing.T) { onBothKindsOfSockets(t, testRoamingWithoutProof) }

func testRoamingWithoutProof(t *testing.T, sockets ...string) {
	game := listenLogic(t)
	gw := serveUDP(t, game.env(sockets...)...)
	l, back := bound(t, gw), bound(t, gw)
	s := game.announced(t, l.p)
	<-time.After(moveEvery)

	thief := l.another()
	thief.mute.Store(true)
	require.Same(t, thief, l.saysFrom(thief, "a stolen packet"))
	moved := time.Now()
	// Game logic goes on; the thief gets no more than he gave (held by arrived).
	for range 20 {
		c := reply(make([]byte, 900), s.Session)
		c.GetSend().Delivery = 1
		s.on.command(t, c)
	}
	<-time.After(time.Until(moved.Add(1300 * time.Millisecond)))
	c := reply([]byte("whose lane is it?"), s.Session)
	c.GetSend().Delivery = 1
	s.on.command(t, c)
	assert.Same(t, l.sock, l.hears([]byte("whose lane is it?")).on, "without PATH_RESPONSE the lane returns")

	for attempt := 1; ; attempt++ {
		other := back.another()
		other.mute.Store(true)
		began := time.Now()
		require.Same(t, other, back.saysFrom(other, "a stolen packet"))
		assert.Same(t, back.sock, back.saysFrom(back.sock, "mine"), "back to the last proven address at once")
		if time.Since(began) < 900*time.Millisecond || attempt == 5 {
			break
		}
		<-time.After(moveEvery) // this machine is slow: the lane may have returned by itself
	}
	l.fence()
	back.fence()
}

// Only a packet with a new highest number moves the lane.
func TestUDPRoamingByAnOldPacket(t *testing.T) { onBothKindsOfSockets(t, testRoamingByAnOldPacket) }

func testRoamingByAnOldPacket(t *testing.T, sockets ...string) {
	gw := serveUDP(t, sockets...)
	l := bound(t, gw)
	<-time.After(moveEvery)
	late := l.seal(msg(1, 0, []byte("late")), make([]byte, 500))
	again := l.seal(msg(1, 1, []byte("twice")), make([]byte, 500))
	l.sock.send(again)
	l.hears([]byte("twice"))
	other := l.another()
	from := len(l.in.all())
	other.send(late)
	assert.Same(t, l.sock, l.hears([]byte("late")).on, "an old packet counts, and moves nothing")
	other.send(again)
	l.fence()
	l.quiet(from, other, nil)
	assert.Equal(t, 1, l.times([]byte("twice")))
}

// A new IP address is challenged first; the old address serves meanwhile.
func TestUDPRoamingToANewAddress(t *testing.T) { onBothKindsOfSockets(t, testRoamingToANewAddress) }

func testRoamingToANewAddress(t *testing.T, sockets ...string) {
	gw := serveUDP(t, sockets...)
	l := bound(t, gw)
	home := l.sock
	roamsToNewAddress(t, l, home, l.open(netip.MustParseAddr("127.0.0.2")))
}

// roamsToNewAddress moves a lane to a socket on another IP address.
func roamsToNewAddress(t *testing.T, l *lane, home, away *socket) {
	t.Helper()
	<-time.After(moveEvery)
	away.mute.Store(true)
	from := len(l.in.all())
	for range 3 {
		assert.Same(t, home, l.saysFrom(away, "from an address without proof"))
	}
	challenge, _ := l.in.awaitFrom(t, from, "a challenge to the new address", func(x arrival) bool { return x.on == away && x.has(fPathChallenge) != nil })
	l.fence()
	for _, x := range l.in.all()[from:] {
		if x.on == away {
			assert.Nil(t, x.has(fMsg), "a message to an address without proof")
		}
	}
	// A response to what was never asked, and one from the wrong place, prove nothing.
	away.send(l.seal(pathResponse([]byte("guessing")), make([]byte, 500)))
	home.send(l.seal(pathResponse(challenge.has(fPathChallenge).body)))
	assert.Same(t, home, l.saysFrom(home, "after wrong responses"))

	<-time.After(moveEvery)
	away.mute.Store(false)
	l.sock = away
	deadline := time.Now().Add(patience)
	for l.saysFrom(away, "from the new address") != away {
		require.True(t, time.Now().Before(deadline), "the lane never moves to the address that answers challenges")
		<-time.After(100 * time.Millisecond)
	}
	l.fence()
	assert.Same(t, away, l.saysFrom(away, "stays"))
	l.plays()
}
