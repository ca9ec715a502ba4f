package sealed_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"strait/udp/sealed"
)

// discard takes messages and keeps none.
type discard struct{}

func (discard) Message(uint8, uint16, []byte) {}

// turn is one message of 64 bytes each way, with what rides along.
func turn(t testing.TB, p *pair, buf, message []byte) {
	var k sealed.Packet
	k.Start(buf, sealed.ToGateway)
	k.Message(1, 1, message)
	b, err := p.client.Seal(&k, p.now)
	if err != nil || p.lane.Receive(b, home, p.now, discard{}) != sealed.DropNone {
		t.Fatal(err)
	}
	k.Start(buf, sealed.ToClient)
	k.Message(1, 1, message)
	b, _, err = p.lane.Seal(&k, p.now)
	if err != nil || p.client.Receive(b, p.now, discard{}) != sealed.DropNone {
		t.Fatal(err)
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, a := range []sealed.AEAD{sealed.AES128GCM, sealed.ChaCha20Poly1305} {
		p := newPair(t, setup{aead: a}).bind()
		buf, ctl, message := make([]byte, sealed.MaxPacket), make([]byte, 0, sealed.MaxPacket), make([]byte, 64)
		require.Zero(t, testing.AllocsPerRun(1000, func() {
			p.now = p.now.Add(10_000_000) // 10 ms, so that PING and REPORT have their turn
			turn(t, p, buf, message)
			p.client.Ping()
			for {
				b, ok := p.client.Control(ctl, p.now)
				if !ok {
					break
				}
				p.lane.Receive(b, home, p.now, discard{})
			}
			for {
				b, _, ok := p.lane.Control(ctl, p.now)
				if !ok {
					break
				}
				p.client.Receive(b, p.now, discard{})
			}
			p.lane.Deadline()
			p.client.Deadline()
		}))
	}
}

// What a flood of HELLOs costs before a lane is found.
func TestCookiesAndTokensDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	p := newPair(t, setup{})
	p.offer()
	hello := p.fromClient()[0]
	cookies := sealed.NewCookies([32]byte{1})
	out := make([]byte, 0, sealed.MaxPacket)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		h, drop := sealed.ParseHello(hello)
		if drop != sealed.DropNone || cookies.Valid(h.Cookie, home, h.CID, p.now) {
			t.Fatal(drop)
		}
		sealed.AppendRetry(out, h, cookies.Make(home, h.CID, p.now))
		if _, ok := p.tokens.Open(h.Token); !ok {
			t.Fatal("token")
		}
		sealed.AppendReset(out, hello, p.resets.Value(h.CID))
	}))
}

// A lane that is bound takes at most 4 KiB, its ciphers included.
func TestLaneMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, a := range []sealed.AEAD{sealed.AES128GCM, sealed.ChaCha20Poly1305} {
		const n = 500
		p := newPair(t, setup{aead: a})
		lanes := make([]*sealed.Lane, n)
		offers := make([]sealed.Offer, n)
		heap := func() uint64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.GC()
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		empty := heap()
		for i := range lanes {
			lanes[i] = p.gateway.Lane(p.session, p.cid, a, p.now)
			o, err := lanes[i].Offer(home, p.now)
			require.NoError(t, err)
			o.Token = nil
			offers[i] = o
		}
		offered := heap()
		for i := range lanes {
			// The same offer twice would be one key twice: take the client along, but not
			// what it holds.
			p.lane = lanes[i]
			o := offers[i]
			o.Token = p.tokens.Seal(nil, sealed.Claims{Session: p.session, CID: p.cid, Epoch: o.Epoch, Expires: p.now.Add(1e9)})
			client, err := sealed.NewClient(sealed.ClientConfig{}, p.session, p.now)
			require.NoError(t, err)
			p.client = client
			require.NoError(t, client.Offer(o, p.now))
			p.settle()
			require.True(t, p.lane.Bound())
			p.talk(1)
		}
		bound := heap()
		t.Logf("%v: %d bytes offered, %d bound", a, (offered-empty)/n, (bound-empty)/n)
		require.Less(t, (bound-empty)/n, uint64(4096))
		runtime.KeepAlive(lanes)
	}
}
