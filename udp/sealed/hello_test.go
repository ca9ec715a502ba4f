package sealed_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/udp/sealed"
)

// "The client sends HELLO at 0, 250, 500, 1000 and 2000 ms, each with a new packet
// number, until ACCEPT; the series has failed 1 s after the last."
func TestHelloSeries(t *testing.T) {
	p := newPair(t, setup{})
	p.offer()
	var at []time.Duration
	var numbers []uint32
	for p.client.State() == sealed.Opening {
		p.client.Tick(p.now)
		for _, b := range p.fromClient() {
			at = append(at, p.now.Sub(noon))
			numbers = append(numbers, binary.BigEndian.Uint32(b[35:]))
			require.Len(t, b, sealed.MaxPacket)
			require.True(t, bytes.Equal(b[11:35], make([]byte, 24)), "the cookie is zero unless answering a RETRY")
		}
		p.now = p.client.Deadline()
		if p.client.State() == sealed.Opening {
			p.client.Tick(p.now)
		}
	}
	ms := time.Millisecond
	require.Equal(t, []time.Duration{0, 250 * ms, 500 * ms, 1000 * ms, 2000 * ms}, at)
	require.Equal(t, []uint32{0, 1, 2, 3, 4}, numbers)
	require.Equal(t, sealed.CauseFailed, p.client.Cause())
	require.Equal(t, sealed.Unbound, p.client.State())
	require.True(t, p.client.Deadline().IsZero() || p.client.Deadline().After(p.now))
	// "each [offer] starts a new series of HELLOs"
	p.now = noon.Add(60 * time.Second)
	p.lane.Tick(p.now)
	require.True(t, p.lane.OfferDue())
	o := p.offer()
	require.EqualValues(t, 1, o.Epoch)
	p.settle()
	require.True(t, p.lane.Bound() && p.client.Bound())
	p.talk(1)
}

// "A RETRY is answered at once, once a series."
func TestRetry(t *testing.T) {
	p := newPair(t, setup{})
	p.offer()
	cookies := sealed.NewCookies([32]byte{1})
	first := p.fromClient()[0]
	h, drop := sealed.ParseHello(first)
	require.Equal(t, sealed.DropNone, drop)
	require.False(t, cookies.Valid(h.Cookie, home, h.CID, p.now))
	retry := sealed.AppendRetry(nil, h, cookies.Make(home, h.CID, p.now))
	require.Len(t, retry, sealed.RetryLen)

	other := append([]byte(nil), retry...)
	other[3]++
	require.Equal(t, sealed.DropRetry, p.toClient(other), "for another lane")
	other = append([]byte(nil), retry...)
	other[0] ^= 8
	require.Equal(t, sealed.DropRetry, p.toClient(other), "for another epoch")
	require.Equal(t, sealed.DropSize, p.toClient(retry[:32]))
	require.Empty(t, p.fromClient())

	require.Equal(t, sealed.DropNone, p.toClient(retry))
	again := p.fromClient()
	require.Len(t, again, 1)
	h, drop = sealed.ParseHello(again[0])
	require.Equal(t, sealed.DropNone, drop)
	require.True(t, cookies.Valid(h.Cookie, home, h.CID, p.now))
	require.EqualValues(t, 1, binary.BigEndian.Uint32(again[0][35:]), "a new packet number")
	require.Equal(t, sealed.DropRetry, p.toClient(retry), "once a series")
	require.Empty(t, p.fromClient())

	// The rest of the series carries the cookie too.
	p.now = p.now.Add(250 * time.Millisecond)
	next := p.fromClient()
	require.Len(t, next, 1)
	require.Equal(t, again[0][11:35], next[0][11:35])
	require.Equal(t, sealed.DropNone, p.toGateway(next[0], home))
	p.settle()
	require.True(t, p.lane.Bound())
	require.Equal(t, sealed.DropRetry, p.toClient(retry), "nobody waits for it")
}

// Cookies are bound to address, port, cid and time.
func TestCookies(t *testing.T) {
	c := sealed.NewCookies([32]byte{1})
	cid := sealed.CID{1, 2, 3}
	k := c.Make(home, cid, noon)
	require.True(t, c.Valid(k[:], home, cid, noon))
	require.True(t, c.Valid(k[:], home, cid, noon.Add(5*time.Second-1)))
	require.False(t, c.Valid(k[:], home, cid, noon.Add(10*time.Second)))
	require.False(t, c.Valid(k[:], addr("192.0.2.1:1001"), cid, noon))
	require.False(t, c.Valid(k[:], addr("192.0.2.2:1000"), cid, noon))
	require.False(t, c.Valid(k[:], home, sealed.CID{1, 2, 4}, noon))
	require.False(t, c.Valid(make([]byte, 24), home, cid, noon))
	require.False(t, c.Valid(nil, home, cid, noon))
	require.False(t, sealed.NewCookies([32]byte{2}).Valid(k[:], home, cid, noon))
}

// The first key seals, all open.
func TestTokens(t *testing.T) {
	old, err := sealed.NewTokens([][32]byte{{1}}, nil)
	require.NoError(t, err)
	both, err := sealed.NewTokens([][32]byte{{2}, {1}}, nil)
	require.NoError(t, err)
	c := sealed.Claims{
		Session: sealed.SessionID{1}, CID: sealed.CID{2}, Epoch: 200, Expires: noon.Add(30 * time.Second),
		Remote: addr("[2001:db8::1]:77"),
	}
	for _, remote := range []string{"[2001:db8::1]:77", "192.0.2.9:1"} {
		c.Remote = addr(remote)
		token := old.Seal(nil, c)
		require.LessOrEqual(t, len(token), sealed.MaxToken)
		require.NotEqual(t, token, old.Seal(nil, c), "a nonce is used once")
		got, ok := both.Open(token)
		require.True(t, ok)
		require.True(t, c.Expires.Equal(got.Expires))
		got.Expires = c.Expires
		require.Equal(t, c, got)
		_, ok = old.Open(both.Seal(nil, c))
		require.False(t, ok)
		for i := range token {
			token[i] ^= 1
			_, ok = both.Open(token)
			require.False(t, ok, "byte %d", i)
			token[i] ^= 1
		}
		_, ok = both.Open(token[:len(token)-1])
		require.False(t, ok)
	}
	_, err = sealed.NewTokens(nil, nil)
	require.Error(t, err)
}

// "The gateway checks, cheapest first: exact size, version, (under load) cookie, token,
// expiry, epoch, AEAD proof."
func TestHelloChecks(t *testing.T) {
	p, r := rawPair(t, setup{})
	good := r.hello()
	change := func(f func(b []byte) []byte) []byte { return f(append([]byte(nil), good...)) }
	for _, c := range []struct {
		why  sealed.Drop
		what []byte
	}{
		{sealed.DropSize, good[:1199]},
		{sealed.DropSize, append(append([]byte(nil), good...), 0)},
		{sealed.DropSize, good[:1]},
		{sealed.DropVersion, change(func(b []byte) []byte { b[10] = 2; return b })},
		{sealed.DropHello, change(func(b []byte) []byte { b[39], b[40] = 0, 0; return b })},
		{sealed.DropHello, change(func(b []byte) []byte { b[39], b[40] = 1, 1; return b })},
		{sealed.DropHello, change(func(b []byte) []byte { b[39], b[40] = 255, 255; return b })},
		{sealed.DropToken, change(func(b []byte) []byte { b[41]++; return b })},
		{sealed.DropToken, change(func(b []byte) []byte { b[1]++; return b })},
		{sealed.DropEpoch, change(func(b []byte) []byte { b[0] ^= 8; return b })},
		{sealed.DropAuth, change(func(b []byte) []byte { b[38]++; return b })},
		{sealed.DropAuth, change(func(b []byte) []byte { b[1199]++; return b })},
		{sealed.DropAuth, change(func(b []byte) []byte { b[11]++; return b })},
		{sealed.DropHello, r.helloWith(make([]byte, 24), 1)},
	} {
		require.Equal(t, c.why, p.toGateway(c.what, home))
		require.Empty(t, p.fromGateway(), "%v is not answered", c.why)
	}
	require.Equal(t, sealed.DropNone, p.toGateway(good, home))
	require.Len(t, p.fromGateway(), 1)
	require.Equal(t, sealed.DropReplay, p.toGateway(good, home))
	require.Empty(t, p.fromGateway())

	// A token of another session, another lane or another epoch.
	for _, c := range []sealed.Claims{
		{Session: sealed.SessionID{1}, CID: p.cid}, {Session: p.session, CID: sealed.CID{1}},
	} {
		h, _ := sealed.ParseHello(r.hello())
		c.Expires = p.now.Add(time.Hour)
		require.Equal(t, sealed.DropToken, p.lane.Hello(h, c, home, p.now))
	}
	h, _ := sealed.ParseHello(r.hello())
	require.Equal(t, sealed.DropEpoch, p.lane.Hello(h, sealed.Claims{Session: p.session, CID: p.cid, Epoch: 2, Expires: p.now.Add(time.Hour)}, home, p.now))
	require.EqualValues(t, 4, p.drops.Get(sealed.DropAuth)+p.drops.Get(sealed.DropReplay))
}

// "The token is bound, until its first use, to lifetime_ms. The first valid HELLO uses
// it; later valid HELLOs of that lane and epoch are answered again, also after the
// lifetime."
func TestTokenLifetime(t *testing.T) {
	p, r := rawPair(t, setup{})
	p.now = noon.Add(30 * time.Second)
	require.Equal(t, sealed.DropExpired, p.toGateway(r.hello(), home))

	p, r = rawPair(t, setup{})
	p.now = noon.Add(30*time.Second - time.Microsecond)
	require.Equal(t, sealed.DropNone, p.toGateway(r.hello(), home))
	require.Contains(t, r.open(p.fromGateway()[0].pkt), byte(0x12))
	p.now = noon.Add(40 * time.Second)
	require.Equal(t, sealed.DropNone, p.toGateway(r.hello(), home))
	require.Contains(t, r.open(p.fromGateway()[0].pkt), byte(0x12))
}

// "It answers that address with DATA holding ACCEPT and PATH_CHALLENGE", and "the
// challenge is repeated every 250 ms while the client is active".
func TestChallengeIsRepeated(t *testing.T) {
	p, r := rawPair(t, setup{gateway: sealed.Config{IdleTimeout: 20 * time.Second}})
	require.Equal(t, sealed.DropNone, p.toGateway(r.hello(), home))
	out := p.fromGateway()
	require.Len(t, out, 1)
	f := r.open(out[0].pkt)
	require.EqualValues(t, p.now.UnixMicro(), binary.BigEndian.Uint64(f[0x12]))
	require.EqualValues(t, 20000, binary.BigEndian.Uint32(f[0x12][8:]))
	first := f[0x13]
	require.Len(t, first, 8)
	at := []time.Duration{250 * time.Millisecond}
	p.now = noon.Add(at[0])
	out = p.fromGateway()
	require.Len(t, out, 1)
	require.Contains(t, r.open(out[0].pkt), byte(0x12), "the first ACCEPT may be lost")
	require.Equal(t, first, r.open(out[0].pkt)[0x13])
	for d := at[0]; d < 10*time.Second; d += 10 * time.Millisecond {
		p.now = noon.Add(d)
		for range p.challengesTo(r, home) {
			at = append(at, d)
		}
	}
	require.Len(t, at, 11, "until 3 s after the last packet")
	for i, d := range at {
		require.Equal(t, time.Duration(i+1)*250*time.Millisecond, d)
	}
	// A packet brings it back.
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(ping...), home))
	require.Equal(t, [][]byte{first}, p.challengesTo(r, home), "an answer to any of them counts")
	require.False(t, p.lane.Bound())
	r.pn++
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(append([]byte{0x14}, make([]byte, 8)...)...), home))
	require.False(t, p.lane.Bound(), "a wrong answer")
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(append([]byte{0x14}, first...)...), addr("192.0.2.1:2")))
	require.False(t, p.lane.Bound(), "from elsewhere")
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(append([]byte{0x14}, first...)...), home))
	require.True(t, p.lane.Bound())
}

func (p *pair) challengesTo(r *raw, to interface{ String() string }) (out [][]byte) {
	for _, s := range p.fromGateway() {
		require.Equal(p.t, to.String(), s.to.String())
		if c, ok := r.open(s.pkt)[0x13]; ok {
			out = append(out, c)
		}
	}
	return out
}

// "Until the first PATH_RESPONSE of a lane each authenticated HELLO with a new highest
// packet number moves it at once."
func TestHelloMovesAnUnprovenLane(t *testing.T) {
	p, r := rawPair(t, setup{})
	late := r.hello()
	a, b := addr("192.0.2.1:1"), addr("198.51.100.7:2")
	require.Equal(t, sealed.DropNone, p.toGateway(r.hello(), a))
	require.Len(t, p.challengesTo(r, a), 1)
	require.Equal(t, sealed.DropNone, p.toGateway(r.hello(), b))
	require.Equal(t, b, p.lane.Remote())
	require.Len(t, p.challengesTo(r, b), 1)
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(msg(1, "x")...), a))
	require.Equal(t, b, p.lane.Remote(), "DATA does not move it")
	require.Equal(t, sealed.DropNone, p.toGateway(late, a))
	require.Equal(t, b, p.lane.Remote(), "nor an old HELLO")
	out := p.fromGateway()
	require.Len(t, out, 1)
	require.Equal(t, a, out[0].to, "but that is answered")
	require.NotContains(t, r.open(out[0].pkt), byte(0x13))
	p.now = p.now.Add(250 * time.Millisecond)
	r.prove(p, b)
	require.True(t, p.lane.Bound())
	require.Equal(t, sealed.DropNone, p.toGateway(r.hello(), a))
	require.Equal(t, b, p.lane.Remote(), "a lane that is bound takes its time")
}

// "To an address that has not answered a challenge the gateway never sends more bytes
// than it received from it."
func TestUnprovenAddressGetsNoMoreThanItSent(t *testing.T) {
	p, r := rawPair(t, setup{})
	got, gave := 0, 0
	for i := range 400 {
		switch {
		case i == 0:
			b := r.hello()
			gave += len(b)
			require.Equal(t, sealed.DropNone, p.toGateway(b, home))
		case i > 200: // PINGs ask for more than they bring
			b := r.data(bytes.Repeat(append(ping, append([]byte{0x13}, make([]byte, 8)...)...), 4)...)
			gave += len(b)
			require.Equal(t, sealed.DropNone, p.toGateway(b, home))
		default:
			b := r.data(pad...)
			gave += len(b)
			require.Equal(t, sealed.DropNone, p.toGateway(b, home))
		}
		p.now = p.now.Add(250 * time.Millisecond)
		for _, s := range p.fromGateway() {
			require.Equal(t, home, s.to)
			got += len(s.pkt)
		}
		require.LessOrEqual(t, got, gave)
	}
	require.Greater(t, got, 1200)
}
