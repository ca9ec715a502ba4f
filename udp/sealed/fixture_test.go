package sealed_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/udp/sealed"
)

// noon is when the tests begin.
var noon = time.Unix(1_700_000_000, 0)

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

var home = addr("192.0.2.1:1000")

// seeded fills with the same bytes in each run.
func seeded(seed uint64) func([]byte) {
	r := rand.New(rand.NewPCG(seed, 7))
	return func(b []byte) {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
	}
}

// received is a message as a handler saw it.
type received struct {
	channel uint8
	seq     uint16
	text    string
}

// journal keeps messages.
type journal struct{ all []received }

func (j *journal) Message(channel uint8, seq uint16, m []byte) {
	j.all = append(j.all, received{channel, seq, string(m)})
}

func (j *journal) take() []received {
	out := j.all
	j.all = nil
	return out
}

// sent is a packet on its way.
type sent struct {
	to  netip.AddrPort // of the client's end
	pkt []byte
}

// pair is both ends of one lane and the secrets of the gateway.
type pair struct {
	t        testing.TB
	now      time.Time
	drops    *sealed.Counters
	clients  *sealed.Counters
	tokens   *sealed.Tokens
	resets   *sealed.Resets
	gateway  *sealed.Gateway
	lane     *sealed.Lane
	client   *sealed.Client
	session  sealed.SessionID
	cid      sealed.CID
	atLane   journal
	atClient journal
	from     netip.AddrPort // where the client's packets come from
}

type setup struct {
	gateway sealed.Config
	client  sealed.ClientConfig
	aead    sealed.AEAD
	seed    uint64
}

func newPair(t testing.TB, s setup) *pair {
	t.Helper()
	p := &pair{t: t, now: noon, drops: new(sealed.Counters), clients: new(sealed.Counters), from: home}
	random := seeded(s.seed)
	random(p.session[:])
	random(p.cid[:])
	var key [32]byte
	random(key[:])
	var err error
	p.tokens, err = sealed.NewTokens([][32]byte{key}, random)
	require.NoError(t, err)
	p.resets = sealed.NewResets(key)
	s.gateway.Rand, s.gateway.Counters, s.gateway.Tokens, s.gateway.Resets = random, p.drops, p.tokens, p.resets
	s.client.Rand, s.client.Counters = random, p.clients
	p.gateway, err = sealed.NewGateway(s.gateway)
	require.NoError(t, err)
	if s.aead == 0 {
		s.aead = sealed.AES128GCM
	}
	p.lane = p.gateway.Lane(p.session, p.cid, s.aead, p.now)
	p.client, err = sealed.NewClient(s.client, p.session, p.now)
	require.NoError(t, err)
	return p
}

// offer has the gateway make an offer and the client take it.
func (p *pair) offer() sealed.Offer {
	p.t.Helper()
	o, err := p.lane.Offer(home, p.now)
	require.NoError(p.t, err)
	require.NoError(p.t, p.client.Offer(o, p.now))
	return o
}

// toGateway hands the lane one packet as the reader of a socket would.
func (p *pair) toGateway(pkt []byte, from netip.AddrPort) sealed.Drop {
	b := append([]byte(nil), pkt...)
	t, ok := sealed.TypeOf(b)
	if !ok {
		return sealed.DropType
	}
	if t == sealed.TypeHello {
		h, drop := sealed.ParseHello(b)
		if drop != sealed.DropNone {
			return drop
		}
		c, ok := p.tokens.Open(h.Token)
		if !ok {
			return sealed.DropToken
		}
		return p.lane.Hello(h, c, from, p.now)
	}
	return p.lane.Receive(b, from, p.now, &p.atLane)
}

// toClient hands the client one packet.
func (p *pair) toClient(pkt []byte) sealed.Drop {
	return p.client.Receive(append([]byte(nil), pkt...), p.now, &p.atClient)
}

// fromGateway is what the gateway has to send by itself.
func (p *pair) fromGateway() (out []sent) {
	for {
		b, to, ok := p.lane.Control(make([]byte, 0, sealed.MaxPacket), p.now)
		if !ok {
			return out
		}
		require.NotEmpty(p.t, b)
		require.LessOrEqual(p.t, len(b), sealed.MaxPacket)
		out = append(out, sent{to, b})
		require.Less(p.t, len(out), 100, "Control does not end")
	}
}

// fromClient likewise.
func (p *pair) fromClient() (out [][]byte) {
	for {
		b, ok := p.client.Control(make([]byte, 0, sealed.MaxPacket), p.now)
		if !ok {
			return out
		}
		require.NotEmpty(p.t, b)
		require.LessOrEqual(p.t, len(b), sealed.MaxPacket)
		out = append(out, b)
		require.Less(p.t, len(out), 100, "Control does not end")
	}
}

// settle carries control packets both ways, without delay or loss, until there are
// none.
func (p *pair) settle() {
	p.t.Helper()
	for range 100 {
		up, down := p.fromClient(), p.fromGateway()
		if len(up)+len(down) == 0 {
			return
		}
		for _, b := range up {
			require.Equal(p.t, sealed.DropNone, p.toGateway(b, p.from))
		}
		for _, s := range down {
			if s.to == p.from {
				require.Equal(p.t, sealed.DropNone, p.toClient(s.pkt))
			}
		}
	}
	p.t.Fatal("the two ends do not come to rest")
}

// bind brings the lane up.
func (p *pair) bind() *pair {
	p.t.Helper()
	p.offer()
	p.settle()
	require.True(p.t, p.client.Bound() && p.lane.Bound())
	return p
}

// after lets time pass at both ends, with their control packets, in steps of at most
// 50 ms.
func (p *pair) after(d time.Duration) {
	p.t.Helper()
	p.pass(d, p.settle)
}

// pass lets time pass, with each before every step.
func (p *pair) pass(d time.Duration, each func()) {
	end := p.now.Add(d)
	for {
		p.lane.Tick(p.now)
		p.client.Tick(p.now)
		each()
		if !p.now.Before(end) {
			return
		}
		p.now = p.now.Add(min(end.Sub(p.now), 50*time.Millisecond))
	}
}

// up is a packet of the client with one message.
func (p *pair) up(seq uint16, text string) []byte {
	p.t.Helper()
	var k sealed.Packet
	k.Start(make([]byte, sealed.MaxPacket), sealed.ToGateway)
	require.True(p.t, k.Message(1, seq, []byte(text)))
	b, err := p.client.Seal(&k, p.now)
	require.NoError(p.t, err)
	return b
}

// down is a packet of the gateway with one message.
func (p *pair) down(seq uint16, text string) ([]byte, netip.AddrPort, error) {
	p.t.Helper()
	var k sealed.Packet
	k.Start(make([]byte, sealed.MaxPacket), sealed.ToClient)
	require.True(p.t, k.Message(1, seq, []byte(text)))
	return p.lane.Seal(&k, p.now)
}

// talk sends one message each way, which arrive.
func (p *pair) talk(seq uint16) {
	p.t.Helper()
	text := fmt.Sprint("m", seq)
	require.Equal(p.t, sealed.DropNone, p.toGateway(p.up(seq, text), p.from))
	require.Equal(p.t, []received{{1, seq, text}}, p.atLane.take())
	b, to, err := p.down(seq, text)
	require.NoError(p.t, err)
	require.Equal(p.t, p.from, to)
	require.Equal(p.t, sealed.DropNone, p.toClient(b))
	require.Equal(p.t, []received{{1, seq, text}}, p.atClient.take())
}

func number(pkt []byte, d sealed.Direction) uint32 {
	if d == sealed.ToClient {
		return binary.BigEndian.Uint32(pkt[1:])
	}
	return binary.BigEndian.Uint32(pkt[9:])
}
