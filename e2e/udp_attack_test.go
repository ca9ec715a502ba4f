package e2e

import (
	"crypto/rand"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// otherCid allows RESET for a cid other than the lane's own.
func (l *lane) otherCid(a arrival) bool {
	return a.kind == uReset && string(a.raw[1:9]) != string(l.terms().Cid)
}

// A token that was seen on the wire is of no use without the secret that travelled
// in TLS, and does its owner no harm.
func TestUDPStolenToken(t *testing.T) {
	t.Parallel()
	gw := serveUDP(t, "STRAIT_UDP_RETRY=off")
	witness := bound(t, gw)
	victim, mallory := offered(t, gw), offered(t, gw)
	v, m := victim.terms(), mallory.terms()
	guess, err := deriveKeys(v.Aead, make([]byte, 32), victim.p.hello.SessionId, 0)
	require.NoError(t, err)
	mixed, err := deriveKeys(v.Aead, m.Secret, victim.p.hello.SessionId, 0)
	require.NoError(t, err)
	evil := mallory.another()
	now := time.Now()
	for _, b := range [][]byte{
		guess.hello(v.Cid, v.Token, nil, 0, now),
		guess.hello(v.Cid, v.Token, nil, 1<<20, now),
		mixed.hello(v.Cid, v.Token, nil, 0, now),
		mallory.newest.keys.hello(v.Cid, v.Token, nil, 1, now), // his own keys
		mallory.newest.keys.hello(m.Cid, v.Token, nil, 2, now), // his cid, another's token
		mallory.newest.keys.hello(v.Cid, m.Token, nil, 3, now), // another's cid, his token
		mallory.newest.keys.hello(m.Cid, v.Token[:len(v.Token)-1], nil, 4, now),
		mallory.newest.keys.hello(m.Cid, append(slices.Clone(m.Token), 0), nil, 5, now),
		victim.newest.keys.hello(m.Cid, m.Token, nil, 6, now),
	} {
		evil.send(b)
	}
	witness.fence()
	mallory.quiet(0, evil, nil)
	for _, l := range []*lane{victim, mallory} { // neither token was spent
		l.bind()
		l.tell(msg(0, 0, []byte("mine")))
		assert.Same(t, l.sock, l.hears([]byte("mine")).on)
	}
}

// Somebody in the middle holds a HELLO back and sends it from his own address
// first: the next one of its author takes the lane, and what the thief got is not
// more than he gave.
func TestUDPRacedHello(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveUDP(t, game.env("STRAIT_UDP_RETRY=off")...)
	l, witness := offered(t, gw), bound(t, gw)
	thief := l.another()
	thief.mute.Store(true)
	stolen := l.greet(nil)
	thief.send(stolen)
	l.in.await(t, "ACCEPT to a HELLO that is authentic", accepts(thief))
	from := len(l.in.all())
	for range 3 {
		l.sock.send(stolen) // as delayed by the thief, a replay now
		thief.send(stolen)
	}
	witness.fence()
	l.quiet(from, l.sock, nil)
	l.bind()
	l.tell(msg(0, 0, []byte("mine")))
	assert.Same(t, l.sock, l.hears([]byte("mine")).on)
	from = len(l.in.all())
	thief.send(stolen)
	l.fence()
	l.quiet(from, thief, nil)
}

// A HELLO in the name of a victim: until its address has answered a challenge it
// gets no more bytes than it is said to have sent, whatever game logic has to say.
func TestUDPVictimOfHellos(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveUDP(t, game.env("STRAIT_UDP_RETRY=off")...)
	l := offered(t, gw)
	l.mute.Store(true) // the victim did not ask for anything
	s := game.announced(t, l.p)
	for i, gap := range []time.Duration{0, 250, 250, 500} {
		<-time.After(gap * time.Millisecond)
		l.sock.send(l.greet(nil))
		for j := range 20 {
			c := reply(fmt.Appendf(make([]byte, 1000), "%d %d", i, j), s.Session)
			c.GetSend().Delivery = 1
			s.on.command(t, c)
		}
	}
	l.in.await(t, "ACCEPT", accepts(l.sock))
	<-time.After(300 * time.Millisecond) // time to break the limit in
	l.plays()
	challenges := l.in.count(func(a arrival) bool { return a.has(fPathChallenge) != nil })
	assert.GreaterOrEqual(t, challenges, 2, "the challenge is repeated")
	assert.LessOrEqual(t, l.sock.received.Load(), l.sock.sent.Load())
	for _, heard := range l.said.all() {
		assert.Nil(t, heard.on, "an unreliable message by a lane that is not bound")
	}
	assert.NotEmpty(t, l.said.all(), "until the lane is bound they go by the connection")
}

// One bit is enough: in any byte of a HELLO or of DATA.
func TestUDPBitFlips(t *testing.T) {
	t.Parallel()
	for _, aead := range []uint32{aesGCM, chaCha} {
		t.Run(fmt.Sprint("aead ", aead), func(t *testing.T) {
			t.Parallel()
			game := listenLogic(t)
			gw := serveUDP(t, game.env("STRAIT_UDP_RETRY=off")...)
			l, witness := offered(t, gw, aead), bound(t, gw)
			session := game.announced(t, l.p).Session
			flip := func(packet []byte, bit int) {
				spoiled := slices.Clone(packet)
				spoiled[bit/8] ^= 1 << (bit % 8)
				l.sock.send(spoiled)
				if bit%50 == 0 {
					witness.fence()
				}
			}
			hello := l.greet(nil)
			for i := range hello {
				flip(hello, 8*i+i%8)
			}
			witness.fence()
			l.quiet(0, l.sock, l.otherCid)
			l.sock.send(hello)
			l.in.await(t, "ACCEPT for what was not changed", accepts(l.sock))
			l.settled()

			from := len(l.in.all())
			packet := l.seal(msg(1, 0, []byte("flip me")), lanePing("whatever"))
			for bit := range 8 * len(packet) {
				flip(packet, bit)
			}
			witness.fence()
			l.quiet(from, l.sock, func(a arrival) bool { return l.otherCid(a) || a.has(fReport) != nil })
			l.sock.send(packet)
			l.hears([]byte("flip me"))
			assert.Equal(t, []string{"flip me"}, game.payloads(session))
		})
	}
}

// Packets of a wrong size are nothing, even if they are sealed.
func TestUDPTruncatedAndOversized(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveUDP(t, game.env("STRAIT_UDP_RETRY=off")...)
	l, witness := offered(t, gw), bound(t, gw)
	session := game.announced(t, l.p).Session
	o, k := l.terms(), l.newest.keys
	hello := l.greet(nil)
	for n := 0; n < len(hello); n += 1 + n/40 {
		l.sock.send(hello[:n])
	}
	l.sock.send(hello[:helloBytes-1])
	l.sock.send(append(slices.Clone(hello), 0))
	l.skip(10)
	for i, b := range [][]byte{
		k.helloOf(1, helloBytes-1, o.Cid, o.Token, nil, 1, time.Now()), k.helloOf(1, helloBytes+1, o.Cid, o.Token, nil, 2, time.Now()),
		k.helloOf(1, 300, o.Cid, o.Token, nil, 3, time.Now()), k.helloOf(1, 9000, o.Cid, o.Token, nil, 4, time.Now()),
		k.helloOf(0, helloBytes, o.Cid, o.Token, nil, 5, time.Now()), k.helloOf(2, helloBytes, o.Cid, o.Token, nil, 6, time.Now()),
		k.helloOf(1, helloBytes, o.Cid, nil, nil, 7, time.Now()), k.helloOf(1, helloBytes, o.Cid, make([]byte, 257), nil, 8, time.Now()),
	} {
		l.sock.send(b)
		if i == 3 {
			witness.fence()
		}
	}
	witness.fence()
	l.quiet(0, l.sock, resets)
	assert.Zero(t, l.in.count(resets), "RESET for a cid that is known")
	l.bind()

	from := len(l.in.all())
	packet := l.seal(msg(1, 0, []byte("cut me")), lanePing("whatever"))
	for n := range packet {
		l.sock.send(packet[:n])
	}
	l.sock.send(append(slices.Clone(packet), 0))
	for _, n := range []int{helloBytes + 1, 1500, 9000, 60000} {
		l.sock.send(l.seal(msg(1, 1, []byte("oversized")), lanePing("whatever"), make([]byte, n-13-16-12-9-3)))
		witness.fence()
	}
	l.quiet(from, l.sock, func(a arrival) bool { return a.has(fReport) != nil })
	l.sock.send(packet)
	l.hears([]byte("cut me"))
	full := l.seal(msg(1, 2, []byte("as long as it may be")), make([]byte, helloBytes-13-16-6-20))
	require.Len(t, full, helloBytes)
	l.sock.send(full)
	l.hears([]byte("as long as it may be"))
	assert.Equal(t, []string{"cut me", "as long as it may be"}, game.payloads(session))
}

// Who scans for cids learns nothing, and cannot make the gateway send.
func TestUDPScanningForCids(t *testing.T) {
	t.Parallel()
	gw := serveUDP(t)
	l := bound(t, gw)
	scanner := l.another()
	scanner.mute.Store(true)
	n := scaled(20000)
	packet := make([]byte, 30)
	began := time.Now()
	for i := range n {
		_, _ = rand.Read(packet)
		packet[0] = byte0(byte(i), uData)
		scanner.send(packet)
		if i%200 == 199 {
			l.fence()
		}
	}
	l.fence()
	l.quiet(0, scanner, resets)
	got := l.in.count(resets)
	assert.Greater(t, got, 0, "the first ones are told")
	// A thousand a second, and a quarter of that at once.
	assert.LessOrEqual(t, got, 251+int(1000*time.Since(began).Seconds()), "RESETs are rate-limited")
	assert.LessOrEqual(t, scanner.received.Load(), scanner.sent.Load())
	values := make(map[string]bool)
	for _, a := range l.in.all() {
		if a.kind == uReset {
			assert.False(t, values[string(a.raw[9:])], "two cids with one reset value")
			values[string(a.raw[9:])] = true
		}
	}
	assert.Len(t, gw.sessions(), 1)
}

// What only a gateway sends, and what nobody does, is nothing to it: even with the
// right reset value, which its client knows.
func TestUDPForgedPackets(t *testing.T) {
	t.Parallel()
	gw := serveUDP(t)
	l := bound(t, gw)
	o := l.terms()
	from := len(l.in.all())
	other := l.another()
	reset := append(append([]byte{byte0(0, uReset)}, o.Cid...), o.ResetValue...)
	retry := append(append([]byte{byte0(0, uRetry)}, o.Cid...), make([]byte, 24)...)
	good := l.newest.keys.up(o.Cid, 1<<20, msg(1, 0, []byte("forged")))
	down := l.newest.keys.down(o.Cid, 1<<20, msg(1, 0, []byte("reflected")))
	packets := [][]byte{reset, append(reset, make([]byte, 30)...), retry, down, l.newest.keys.up(o.Cid, 1<<20, laneClose(0))[:30]}
	for b := range 256 {
		if byte(b) != good[0] {
			p := slices.Clone(good)
			p[0] = byte(b)
			packets = append(packets, p)
		}
	}
	for _, p := range packets {
		other.send(p)
		l.sock.send(p)
	}
	l.fence()
	l.quiet(from, other, l.otherCid)
	assert.Zero(t, l.times([]byte("forged"))+l.times([]byte("reflected")))
	assert.Same(t, l.sock, l.saysFrom(l.sock, "as if nothing had been"))
}
