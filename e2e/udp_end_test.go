package e2e

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/straitv1"
)

// A gateway that does not know a cid says so with the value that it gave with the
// offer, and only to what may be DATA.
func TestUDPReset(t *testing.T) {
	t.Parallel()
	gw := serveUDP(t)
	l, witness := bound(t, gw), bound(t, gw)
	l.p.lose()
	<-l.ended
	// Packets that were under way when the lane ended may be passed over in silence.
	var a arrival
	require.Eventually(t, func() (ok bool) {
		l.sock.send(l.seal(msg(0, 1, []byte("is anybody there?"))))
		a, ok = l.in.within(100*time.Millisecond, 0, resets)
		return ok
	}, patience, time.Millisecond, "DATA for a cid that is gone is answered with RESET")
	assert.Equal(t, byte0(0, uReset), a.raw[0])
	assert.Equal(t, l.terms().Cid, a.raw[1:9])
	assert.Equal(t, l.terms().ResetValue, a.raw[9:])
	assert.NotEqual(t, l.terms().ResetValue, witness.terms().ResetValue, "a reset value is of one cid")

	witness.fence()
	from := len(l.in.all())
	for n := range 30 {
		b := l.seal(msg(0, 0, []byte("is anybody there?")))
		l.sock.send(b[:n])
	}
	witness.fence()
	l.quiet(from, l.sock, nil)
}

// Gateways of one fleet share a key, and nobody can have a lane of one reset by
// asking another.
func TestUDPResetByAnotherGateway(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "fleet.key")
	require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("0123456789abcdef", 4)+"\n"), 0o600))
	one, two := serveUDP(t, "STRAIT_FLEET_KEY_FILE="+file), serveUDP(t, "STRAIT_FLEET_KEY_FILE="+file)
	l, witness := bound(t, one), bound(t, two)
	elsewhere := l.another()
	elsewhere.to = witness.gateway()
	elsewhere.send(l.greet(nil))
	elsewhere.send(l.seal(msg(0, 0, []byte("to the wrong one"))))
	a := l.in.await(t, "RESET by a gateway that does not know the cid", resets)
	assert.NotEqual(t, l.terms().ResetValue, a.raw[9:])
	witness.fence()
	l.quiet(0, elsewhere, resets)
	l.tell(msg(0, 1, []byte("to the right one")))
	l.hears([]byte("to the right one"))
}

// A lane that is silent for as long as ACCEPT said is unbound, and messages take
// the connection again.
func TestOutsideUDPSilence(t *testing.T) {
	t.Parallel()
	onlyThorough(t, "it waits for a silence that the gateway chooses")
	game := listenLogic(t)
	gw := serveUDP(t, game.env("STRAIT_IDLE_TIMEOUT=10m")...)
	l := bound(t, gw)
	s := game.announced(t, l.p)
	accept := l.in.all()[0].has(fAccept)
	silence := time.Duration(binary.BigEndian.Uint32(accept.body[8:])) * time.Millisecond
	l.mute.Store(true)
	l.sock.mute.Store(true)
	require.Less(t, silence, 5*time.Minute)
	<-time.After(silence + 2*time.Second)
	e := game.event(t, "LinkChanged to TCP", func(e event) bool {
		return e.Session == s.Session && e.GetLink().GetTransport() == straitv1.Transport_TRANSPORT_TCP
	})
	require.NotNil(t, e.GetLink())
	c := reply([]byte("by the connection"), s.Session)
	c.GetSend().Delivery = straitv1.Delivery_DELIVERY_UNRELIABLE
	s.on.command(t, c)
	assert.Nil(t, l.hears([]byte("by the connection")).on)
}

// The lane ends with its connection, with packets of it in flight, and nothing of
// it reaches game logic behind Closed.
func TestUDPEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveUDP(t, game.env()...)
	witness := bound(t, gw)
	for round := range scaled(12) {
		l := bound(t, gw)
		session := game.announced(t, l.p).Session
		stop := l.streams()
		l.hears([]byte("in flight"))
		if round%2 == 0 {
			l.p.lose()
		} else {
			l.p.write(closing(cNormal, "bye"))
			l.frame(tClose)
		}
		game.gone(t, session)
		witness.fence()
		l.quiet(0, l.sock, func(arrival) bool { return true }) // all that was sent is read
		from := len(l.in.all())
		witness.fence()
		stop()
		witness.fence()
		l.quiet(from, l.sock, resets)
	}
	closed := make(map[uint64]bool)
	for _, e := range game.events.all() {
		assert.False(t, closed[e.Session], "an event behind Closed")
		closed[e.Session] = e.GetClosed() != nil
	}
}

// streams sends messages all the time, until stop.
func (l *lane) streams() (stop func()) {
	var sending sync.WaitGroup
	end := make(chan struct{})
	sending.Go(func() {
		pace := time.NewTicker(2 * time.Millisecond)
		defer pace.Stop()
		for i := uint16(0); ; i++ {
			select {
			case <-end:
				return
			case <-pace.C:
			}
			for range 20 {
				packet := l.seal(msg(1, i, []byte("in flight")))
				l.sock.sent.Add(int64(len(packet)))
				_, _ = l.sock.conn.WriteToUDPAddrPort(packet, l.sock.to)
			}
		}
	})
	stop = sync.OnceFunc(func() { close(end); sending.Wait() })
	l.t.Cleanup(stop)
	return stop
}

// A lane is lost while messages are queued that only fragments carry: they are gone,
// and the session goes on with those that its connection carries.
func TestUDPLostWithLongMessages(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveUDP(t, game.env()...)
	l := bound(t, gw)
	s := game.announced(t, l.p)
	says := func(payload []byte) *straitv1.Command {
		c := reply(payload, s.Session)
		c.GetSend().Delivery = straitv1.Delivery_DELIVERY_UNRELIABLE
		return c
	}
	long := func(i int) []byte { return append([]byte{byte(i)}, make([]byte, 4999)...) }
	s.on.command(t, says(long(0)))
	assert.NotNil(t, l.hears(long(0)).on)
	for i := range 200 {
		s.on.command(t, says(long(i)))
		if i == 50 {
			l.tell(laneClose(cNormal))
		}
	}
	game.event(t, "LinkChanged to TCP", func(e event) bool {
		return e.Session == s.Session && e.GetLink().GetTransport() == straitv1.Transport_TRANSPORT_TCP
	})
	s.on.command(t, says(long(1)), says([]byte("a short one")))
	assert.Nil(t, l.hears([]byte("a short one")).on)
	for _, heard := range l.said.all() {
		assert.True(t, heard.on != nil || len(heard.payload) <= int(l.p.hello.MaxUnreliableBytes), "%d bytes by the connection", len(heard.payload))
	}
	assert.Positive(t, gw.metric(drop("too_large")))
	l.plays()
}

// Who is sent away hears it on both lanes, behind what was said before; then his
// packets are answered by nothing.
func TestUDPKick(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveUDP(t, game.env("STRAIT_UDP_RETRY=off")...)
	witness, l := bound(t, gw), bound(t, gw)
	s := game.announced(t, l.p)
	from := len(l.in.all())
	c := reply([]byte("last words"), s.Session)
	c.GetSend().Delivery = straitv1.Delivery_DELIVERY_UNRELIABLE
	s.on.command(t, c, kick(s.Session, cKicked, "out"))
	l.frame(tClose)
	a, next := l.in.awaitFrom(t, from, "CLOSE on the lane", func(a arrival) bool { return a.has(fClose) != nil })
	assert.EqualValues(t, cKicked, binary.BigEndian.Uint16(a.has(fClose).body))
	assert.NotNil(t, l.hears([]byte("last words")).on)
	l.tell(msg(0, 0, []byte("why?")), lanePing("whatever"))
	l.sock.send(l.greet(nil))
	witness.fence()
	l.quiet(next, l.sock, nil)
	assert.Empty(t, game.payloads(s.Session))
}
