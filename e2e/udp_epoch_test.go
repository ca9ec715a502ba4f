package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rotates makes the gateway offer the next epoch, by leaving packet numbers out up
// to where it has to. What is sealed from now on is of the new epoch.
func (l *lane) rotates() {
	l.t.Helper()
	from := len(l.stream.all())
	l.skip(1<<22 - 1000)
	old := l.terms()
	deadline := time.Now().Add(patience)
	for {
		l.fence() // 1000 packets are left for this
		if _, ok := l.stream.within(50*time.Millisecond, from, func(f frame) bool { return f.typ == tUDPOffer }); ok {
			break
		}
		require.True(l.t, time.Now().Before(deadline), "no offer of a new epoch near 2^22 packets")
	}
	o := l.terms()
	assert.Equal(l.t, (old.Epoch+1)%256, o.Epoch, "the next epoch")
	assert.Equal(l.t, old.Cid, o.Cid, "the same cid")
	assert.NotEqual(l.t, old.Secret, o.Secret, "a fresh secret")
	assert.Equal(l.t, old.Aead, o.Aead)
}

// sealOld is seal with the epoch before the newest.
func (l *lane) sealOld(frames []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.epochs[1-l.newest.keys.epoch&1]
	e.sent++
	return e.keys.up(l.offer.Cid, e.sent-1, frames)
}

// Rotation under load: no message is lost or doubled, the gateway follows with the
// first packet of the new epoch, and the old one counts for 3 s more.
func TestUDPRotation(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveUDP(t, game.env()...)
	l := bound(t, gw, chaCha)
	session := game.announced(t, l.p).Session
	var want []string
	play := func(n int) {
		for range n {
			text := fmt.Sprintf("message %d", len(want))
			l.tell(msg(1, uint16(len(want)), []byte(text)))
			want = append(want, text)
			if len(want)%20 == 0 {
				l.fence() // so that no socket's buffer overflows
			}
		}
	}
	<-time.After(moveEvery) // here, because what follows has the 3 s of the old epoch
	play(200)
	l.rotates()
	from := len(l.in.all())
	play(200)
	after, _ := l.in.awaitFrom(t, from, "DATA of the new epoch", func(a arrival) bool { return a.kind == uData && a.epoch == 1 })
	assert.Zero(t, after.number, "packet numbers restart")
	l.sock.send(l.sealOld(msg(2, 0, []byte("of the old epoch, in time"))))
	assert.Equal(t, l.sock, l.hears([]byte("of the old epoch, in time")).on)
	elsewhere := l.another()
	elsewhere.send(l.sealOld(append(msg(2, 1, []byte("of the old epoch, elsewhere")), make([]byte, 500)...)))
	assert.Same(t, l.sock, l.hears([]byte("of the old epoch, elsewhere")).on, "a packet of the old epoch moves the lane")
	<-time.After(3500 * time.Millisecond)
	l.sock.send(l.sealOld(msg(2, 2, []byte("of the old epoch, too late"))))
	play(200)
	for _, w := range want {
		l.hears([]byte(w))
	}
	seen := make(map[string]int)
	for _, p := range game.payloads(session) {
		seen[p]++
	}
	for _, w := range want {
		require.Equal(t, 1, seen[w], "%s reached game logic", w)
		require.Equal(t, 1, l.times([]byte(w)), "%s came back", w)
	}
	assert.Zero(t, seen["of the old epoch, too late"])
	late := false
	for _, a := range l.in.all()[from:] {
		late = late || a.epoch == 1
		assert.False(t, late && a.kind == uData && a.epoch == 0, "DATA of the old epoch behind the new one")
	}
	l.rotates() // and once more
	play(50)
	l.hears([]byte(want[len(want)-1]))
}

// A lane whose client never follows is closed rather than used beyond 2^22 packets,
// and a packet number near 2^32, the turn of what the wire carries, is no way to have
// a message delivered twice.
func TestUDPPacketNumberLimits(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveUDP(t, game.env()...)
	witness := bound(t, gw)
	for _, numbers := range [][]uint64{
		{1<<22 - 1, 1 << 22, 1<<22 + 1},
		{1<<31 - 1, 1<<32 - 2, 1<<32 - 1, 1 << 32, 1<<32 + 1, 1<<32 + 5},
		{1<<32 - 1, 1 << 32}, // nearest to a small one, because none is below 0
		{1 << 40, 1<<63 + 1, 1<<64 - 1},
	} {
		l := bound(t, gw)
		session := game.announced(t, l.p).Session
		k, o := l.newest.keys, l.terms()
		early := l.seal(msg(1, 0, []byte("early")))
		l.sock.send(early)
		l.hears([]byte("early"))
		var sent [][]byte
		for _, n := range numbers {
			b := k.up(o.Cid, n, msg(1, 0, fmt.Appendf(nil, "number %d", n)))
			sent = append(sent, b)
			l.sock.send(b)
			witness.fence()
		}
		for _, b := range append(sent, early) { // replays
			l.sock.send(b)
		}
		witness.fence()
		l.p.write(unreliable(1, 1, []byte("how is it?")))
		l.hears([]byte("how is it?"))
		seen := make(map[string]int)
		for _, p := range game.payloads(session) {
			seen[p]++
			assert.Equal(t, 1, seen[p], "%s is delivered once", p)
		}
		if numbers[len(numbers)-1] == 1<<32+5 { // each less than half a turn behind the next
			assert.Len(t, seen, 2+len(numbers), "the numbers go on behind the turn")
		}
		l.plays() // whatever became of the lane, the session lives
	}
}

// An offer that is stuck in a connection that stalls takes its time to arrive:
// until the client has begun the new epoch the old one counts.
func TestOutsideUDPRotationThatTakesItsTime(t *testing.T) {
	t.Parallel()
	onlyThorough(t, "it takes 20 s")
	gw := serveUDP(t)
	l := bound(t, gw)
	l.rotates()
	pace := time.NewTicker(200 * time.Millisecond)
	defer pace.Stop()
	for began, i := time.Now(), uint16(0); time.Since(began) < 20*time.Second; i++ {
		text := fmt.Appendf(nil, "old epoch %d", i)
		l.sock.send(l.sealOld(msg(1, i, text)))
		_, ok := l.said.within(2*time.Second, 0, func(s said) bool { return string(s.payload) == string(text) && s.on != nil })
		require.True(t, ok, "%v after the offer the old epoch does not count any more", time.Since(began).Round(time.Second))
		<-pace.C
	}
	l.saysFrom(l.sock, "new epoch")
}

// A client that goes on with an epoch for more than 2^22 packets loses his lane, and
// nothing else.
func TestOutsideUDPExhaustedEpoch(t *testing.T) {
	t.Parallel()
	onlyThorough(t, "it sends 4 million packets")
	game := listenLogic(t)
	gw := serveUDP(t, game.env()...)
	witness, l := bound(t, gw), bound(t, gw)
	session := game.announced(t, l.p).Session
	k, o := l.newest.keys, l.terms()
	const limit = 1 << 22
	offered := false
	for n := uint64(100); n < limit+limit/50; n++ {
		l.sock.send(k.up(o.Cid, n, []byte{fPad}))
		if n%500 == 0 {
			witness.fenceThroughFlood(t)
			if offered = offered || l.stream.count(func(f frame) bool { return f.typ == tUDPOffer }) > 0; n > limit-100 {
				require.True(t, offered, "no offer before 2^22 packets")
			}
		}
	}
	l.sock.send(k.up(o.Cid, 2*limit, msg(1, 0, []byte("beyond"))))
	witness.fence()
	l.p.write(unreliable(1, 1, []byte("how is it?")))
	assert.Nil(t, l.hears([]byte("how is it?")).on, "the lane goes on beyond 2^22 packets")
	assert.NotContains(t, game.payloads(session), "beyond")
	l.plays()
}

// A lane that is unbound, for whatever reason, gets a fresh offer, at most one every
// 60 s, and can be bound with it.
func TestOutsideUDPFreshOffer(t *testing.T) {
	t.Parallel()
	onlyThorough(t, "it takes more than a minute")
	game := listenLogic(t)
	gw := serveUDP(t, game.env("STRAIT_IDLE_TIMEOUT=5m")...)
	for name, leave := range map[string]func(*lane){
		"never bound": func(*lane) {},
		"closed":      func(l *lane) { l.bind(); l.tell(laneClose(cNormal)) },
		"silent":      func(l *lane) { l.bind(); l.sock.mute.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := offered(t, gw)
			began, secret := time.Now(), l.terms().Secret
			leave(l)
			_, ok := l.stream.within(100*time.Second, 0, func(f frame) bool { return f.typ == tUDPOffer })
			require.True(t, ok, "no fresh offer")
			require.GreaterOrEqual(t, time.Since(began), 59*time.Second, "an offer at most every 60 s")
			assert.NotEqual(t, secret, l.terms().Secret)
			assert.EqualValues(t, 1, l.terms().Epoch)

			l.sock.mute.Store(false)
			from := len(l.in.all())
			l.sock.send(l.greet(nil))
			a, ok := l.in.within(patience, from, accepts(l.sock))
			require.True(t, ok, "no ACCEPT")
			require.NotNil(t, a.has(fPathChallenge), "a HELLO is answered with ACCEPT and PATH_CHALLENGE")
			l.fence()
			l.tell(msg(0, 0, []byte("once more")))
			assert.Same(t, l.sock, l.hears([]byte("once more")).on)
			assert.Equal(t, 2, l.offers, "offers in a minute")
		})
	}
}

// Who found no room for a lane when he came is offered one a minute later.
func TestOutsideUDPFirstOfferWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	onlyThorough(t, "it takes more than a minute")
	gw := serveUDP(t, "STRAIT_MAX_SESSIONS=1", "STRAIT_IDLE_TIMEOUT=5m")
	var l *lane
	for range 20 {
		// A cid is kept for a while after its lane: those who come and go use them up.
		if l = asking(t, gw); l.p.hello.Udp == nil {
			break
		}
		require.NoError(t, l.p.conn.Close())
		gw.falls(`strait_sessions{transport="tcp"}`, 0)
	}
	require.Nil(t, l.p.hello.Udp, "no end of cids")
	_, ok := l.stream.within(100*time.Second, 0, func(f frame) bool { return f.typ == tUDPOffer })
	require.True(t, ok, "no offer")
	l.sock = l.open(netip.MustParseAddr("127.0.0.1"))
	l.bind()
	l.tell(msg(0, 0, []byte("at last")))
	assert.Same(t, l.sock, l.hears([]byte("at last")).on)
}
