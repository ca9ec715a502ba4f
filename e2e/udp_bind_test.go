package e2e

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/straitv1"
)

// Offer, HELLO, ACCEPT, challenge, echo: with both AEADs, on both ways of reading
// sockets.
func TestUDPBindAndEcho(t *testing.T) {
	t.Parallel()
	for _, setting := range [][]string{{"STRAIT_UDP_BATCH=on"}, {"STRAIT_UDP_BATCH=off", "STRAIT_UDP_SOCKETS=2", "STRAIT_TCP_LOOP=off"}} {
		t.Run(fmt.Sprint(setting), func(t *testing.T) {
			t.Parallel()
			gw := serveUDP(t, setting...)
			_, port, _ := cut(gw.capture("the UDP address", listeningUDP))
			cids := make(map[string]bool)
			for _, aead := range []uint32{aesGCM, chaCha} {
				l := offered(t, gw, aead)
				o := l.terms()
				assert.Len(t, o.Cid, 8)
				assert.False(t, cids[string(o.Cid)], "a cid is used once")
				cids[string(o.Cid)] = true
				assert.NotEmpty(t, o.Token)
				assert.LessOrEqual(t, len(o.Token), 256)
				assert.Len(t, o.Secret, 32)
				assert.Zero(t, o.Epoch)
				assert.Equal(t, aead, o.Aead)
				assert.EqualValues(t, 30000, o.LifetimeMs)
				assert.Len(t, o.ResetValue, 16)
				assert.Equal(t, port, fmt.Sprint(l.gateway().Port()), "the port that is offered")

				l.bind()
				a := l.in.all()[0]
				accept := a.has(fAccept)
				require.NotNil(t, accept, "the answer to a HELLO")
				assert.NotNil(t, a.has(fPathChallenge), "ACCEPT and PATH_CHALLENGE come together")
				at := time.UnixMicro(int64(binary.BigEndian.Uint64(accept.body)))
				assert.WithinDuration(t, time.Now(), at, time.Minute, "gateway time")
				assert.NotZero(t, binary.BigEndian.Uint32(accept.body[8:]), "silence after which the lane is unbound")

				most := make([]byte, l.p.hello.MaxUnreliableBytes)
				require.GreaterOrEqual(t, len(most), 1100)
				most[7] = byte(aead)
				for i, payload := range [][]byte{{}, []byte("hello"), most} {
					l.tell(msg(5, uint16(i), payload))
					heard := l.hears(payload)
					assert.Equal(t, said{l.sock, 5, uint16(i), payload, heard.pieces}, said{heard.on, heard.channel, heard.seq, append([]byte{}, heard.payload...), heard.pieces})
				}
				l.plays()
			}
		})
	}
}

func cut(address string) (host, port string, err error) {
	a, err := netip.ParseAddrPort(address)
	return a.Addr().String(), fmt.Sprint(a.Port()), err
}

// Who asks for no lane, or knows no cipher of the gateway, plays without; the
// client's order of ciphers decides, among those that the operator allows.
func TestUDPOffers(t *testing.T) {
	t.Parallel()
	both, one := serveUDP(t, "STRAIT_UDP_ADVERTISE=192.0.2.7:40123"), serveUDP(t, "STRAIT_UDP_AEADS=chacha20poly1305", "STRAIT_UDP_TOKEN_LIFETIME=17s")
	for _, c := range []struct {
		gw    *process
		takes []uint32
		gets  uint32
	}{
		{both, []uint32{chaCha, aesGCM}, chaCha}, {both, []uint32{aesGCM, chaCha}, aesGCM}, {both, []uint32{77, 0, 1 << 31, aesGCM}, aesGCM},
		{one, []uint32{aesGCM, chaCha}, chaCha}, {one, []uint32{aesGCM}, 0}, {both, []uint32{3}, 0},
	} {
		p := connect(t, c.gw)
		p.write(wantUDP(c.takes...))
		p.welcome()
		assert.Equal(t, c.gets, p.hello.Udp.GetAead(), "%v", c.takes)
		assert.Equal(t, c.gets != 0, p.hello.Udp != nil, "%v", c.takes)
		p.plays()
		if c.gets != 0 && c.gw == both {
			assert.Equal(t, "192.0.2.7:40123", p.hello.Udp.Address)
		}
		if c.gets != 0 && c.gw == one {
			assert.EqualValues(t, 17000, p.hello.Udp.LifetimeMs)
		}
	}
	p := connect(t, both)
	p.write(wantUDP())
	p.welcome()
	assert.Nil(t, p.hello.Udp, "no cipher in common")
	p = connect(t, both)
	p.write(message(tClientHello, &straitv1.ClientHello{Version: 1, UdpAeads: []uint32{aesGCM}}))
	p.welcome()
	assert.Nil(t, p.hello.Udp, "a lane was not asked for")
}

// A HELLO whose answer was lost is answered again, and so is one after the token's
// lifetime if the token was used within it; an unused token expires.
func TestUDPTokenLifetime(t *testing.T) {
	t.Parallel()
	gw := serveUDP(t, "STRAIT_UDP_TOKEN_LIFETIME=3s")
	used, late := bound(t, gw), offered(t, gw)
	expired := time.After(time.Duration(late.terms().LifetimeMs)*time.Millisecond + 300*time.Millisecond)
	from := len(used.in.all())
	used.sock.send(used.greet(nil))
	a, ok := used.in.within(patience, from, accepts(used.sock))
	require.True(t, ok, "a second HELLO is answered, too")
	require.NotNil(t, a.has(fPathChallenge), "a HELLO is answered with ACCEPT and PATH_CHALLENGE")

	<-expired
	from = len(used.in.all())
	used.sock.send(used.greet(nil))
	_, ok = used.in.within(patience, from, accepts(used.sock))
	require.True(t, ok, "a HELLO after the lifetime, of a token that was used within it")
	for range 3 {
		late.sock.send(late.greet(nil))
	}
	used.fence()
	late.quiet(0, late.sock, resets)
	late.plays()
	used.tell(msg(0, 0, []byte("still bound")))
	used.hears([]byte("still bound"))
}

// Where an address must prove itself first, RETRY is all that it gets, and a
// cookie is good for one address alone.
func TestUDPRetry(t *testing.T) {
	t.Parallel()
	gw := serveUDP(t, "STRAIT_UDP_RETRY=always")
	l, witness := offered(t, gw), offered(t, gw)
	retry := func(l *lane, s *socket) []byte {
		from := len(l.in.all())
		s.send(l.greet(nil))
		a, ok := l.in.within(patience, from, func(a arrival) bool { return a.on == s })
		require.True(t, ok, "HELLO is not answered")
		require.EqualValues(t, uRetry, a.kind, "a HELLO without a cookie gets RETRY")
		require.Equal(t, byte0(byte(l.terms().Epoch), uRetry), a.raw[0])
		require.Equal(t, l.terms().Cid, a.raw[1:9])
		return a.raw[9:]
	}
	witness.sock.send(witness.greet(retry(witness, witness.sock)))
	witness.in.await(t, "ACCEPT", accepts(witness.sock))
	witness.settled()

	cookie, other := retry(l, l.sock), l.another()
	require.NotEqual(t, make([]byte, 24), cookie)
	require.NotEqual(t, cookie, retry(l, other), "each address has its cookie")
	from := len(l.in.all())
	other.send(l.greet(cookie)) // of another address
	forged := slices.Clone(cookie)
	forged[len(forged)-1] ^= 1
	l.sock.send(l.greet(forged))
	witness.fence()
	for _, s := range []*socket{l.sock, other} {
		l.quiet(from, s, func(a arrival) bool { return a.kind == uRetry })
	}
	// Not well-formed: no RETRY either.
	from = len(l.in.all())
	o, k := l.terms(), l.newest.keys
	for _, b := range [][]byte{
		k.helloOf(1, helloBytes-1, o.Cid, o.Token, nil, 50, time.Now()),
		k.helloOf(1, helloBytes+1, o.Cid, o.Token, nil, 51, time.Now()),
		k.helloOf(2, helloBytes, o.Cid, o.Token, nil, 52, time.Now()),
		k.helloOf(1, helloBytes, o.Cid, nil, nil, 53, time.Now()),
		k.helloOf(1, helloBytes, o.Cid, make([]byte, 257), nil, 54, time.Now()),
		append(k.helloOf(1, 1000, o.Cid, make([]byte, 970), nil, 55, time.Now()), make([]byte, helloBytes)...)[:helloBytes],
	} {
		l.sock.send(b)
	}
	witness.fence()
	l.quiet(from, l.sock, resets)

	l.sock.send(l.greet(cookie))
	_, ok := l.in.within(patience, from, accepts(l.sock))
	require.True(t, ok, "the right cookie from the right address")
	l.settled()
	l.tell(msg(0, 0, []byte("in")))
	l.hears([]byte("in"))

	off := bound(t, serveUDP(t, "STRAIT_UDP_RETRY=off"))
	assert.EqualValues(t, uData, off.in.all()[0].kind, "nobody is asked for a cookie")
}

// Game logic is told that the session has a lane, and when it has none any more.
// The sequences of unreliable messages are shared by both ways.
func TestUDPLinkChangedAndFallback(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveUDP(t, game.env()...)
	l := offered(t, gw)
	session := game.announced(t, l.p)
	assert.Equal(t, straitv1.Transport_TRANSPORT_TCP, session.GetOpened().Transport)
	seq := uint16(0)
	says := func(byLane bool, payload string) {
		t.Helper()
		if byLane {
			l.tell(msg(3, seq, []byte(payload)))
		} else {
			l.p.write(unreliable(3, seq, []byte(payload)))
		}
		heard := l.hears([]byte(payload))
		assert.Equal(t, byLane, heard.on != nil, "%s: by the lane", payload)
		assert.Equal(t, seq, heard.seq, "%s: its sequence", payload)
		assert.Equal(t, byte(3), heard.channel)
		seq++
	}
	changes := func(to straitv1.Transport, from int) {
		t.Helper()
		e, _ := game.events.awaitFrom(t, from, "LinkChanged to "+to.String(), func(e event) bool {
			return e.Session == session.Session && e.GetLink().GetTransport() == to
		})
		_, err := netip.ParseAddrPort(e.GetLink().Remote)
		assert.NoError(t, err, "the remote of LinkChanged")
	}
	says(false, "before the offer was used")
	from := len(game.events.all())
	l.bind()
	changes(straitv1.Transport_TRANSPORT_TCP_UDP, from)
	says(true, "bound")
	l.p.write(unreliable(3, seq, []byte("by the connection nevertheless")))
	seq++
	assert.NotNil(t, l.hears([]byte("by the connection nevertheless")).on, "answers take the lane")

	from = len(game.events.all())
	l.tell(laneClose(cNormal))
	changes(straitv1.Transport_TRANSPORT_TCP, from)
	says(false, "without the lane")
	l.quiet(0, l.sock, func(arrival) bool { return true }) // all that was sent before is read
	at := len(l.in.all())
	l.tell(msg(3, seq, []byte("into the closed lane")))
	says(false, "once more")
	assert.NotContains(t, game.payloads(session.Session), "into the closed lane")
	for _, a := range l.in.all()[at:] {
		assert.NotEqualValues(t, uData, a.kind, "DATA on a closed lane")
	}
	l.plays()
	for _, e := range game.events.all() {
		if m := e.GetMessage(); m != nil && m.Channel == 3 {
			assert.Equal(t, straitv1.Delivery_DELIVERY_UNRELIABLE, m.Delivery)
		}
	}
}

// IPv6 carries a lane like IPv4, and a socket for both shows IPv4 as such.
func TestUDPIPv6(t *testing.T) {
	t.Parallel()
	needsIPv6(t)
	game := listenLogic(t)
	gw := serve(t, game.env("STRAIT_TCP_ADDR=[::1]:0", "STRAIT_UDP_ADDR=[::1]:0", "STRAIT_UDP_RETRY=always")...)
	l := offered(t, gw)
	l.sock.send(l.greet(nil))
	retry := l.in.await(t, "RETRY", func(a arrival) bool { return a.kind == uRetry })
	l.sock.send(l.greet(retry.raw[9:]))
	l.in.await(t, "ACCEPT", accepts(l.sock))
	l.settled()
	l.tell(msg(0, 0, []byte("six")))
	assert.True(t, l.hears([]byte("six")).on.local().Addr().Is6())
	l.sock = l.another()
	l.saysFrom(l.sock, "six, elsewhere")

	game = listenLogic(t)
	gw = serve(t, game.env("STRAIT_TCP_ADDR=[::]:0", "STRAIT_UDP_ADDR=[::]:0")...)
	_, port, err := cut(gw.addr)
	require.NoError(t, err)
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		gw.addr = host + ":" + port
		l := bound(t, gw)
		l.tell(msg(0, 0, []byte(host)))
		l.hears([]byte(host))
		session := game.announced(t, l.p).Session
		e := game.event(t, "LinkChanged", func(e event) bool { return e.Session == session && e.GetLink() != nil })
		remote, err := netip.ParseAddrPort(e.GetLink().Remote)
		require.NoError(t, err)
		assert.Equal(t, l.sock.local().Addr(), remote.Addr(), "never ::ffff:127.0.0.1")
	}
}
