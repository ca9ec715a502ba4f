package sealed_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/udp/sealed"
)

// "`reset_value` is a keyed hash of the cid; the client compares it in constant time."
func TestReset(t *testing.T) {
	p := newPair(t, setup{}).bind()
	unknown := p.up(1, "to a gateway that was restarted")
	cid := sealed.CID(unknown[1:9])
	good := sealed.AppendReset(nil, unknown, p.resets.Value(cid))
	require.Len(t, good, sealed.ResetLen)
	for i := 1; i < len(good); i++ {
		bad := append([]byte(nil), good...)
		bad[i]++
		require.Equal(t, sealed.DropReset, p.toClient(bad), "byte %d", i)
		require.True(t, p.client.Bound())
	}
	require.Equal(t, sealed.DropSize, p.toClient(good[:24]))
	require.Equal(t, sealed.DropReset, p.toClient(sealed.AppendReset(nil, unknown, sealed.NewResets([32]byte{9}).Value(cid))))
	require.Equal(t, sealed.DropNone, p.toClient(good))
	require.Equal(t, sealed.Unbound, p.client.State())
	require.Equal(t, sealed.CauseReset, p.client.Cause())
	require.Empty(t, p.fromClient(), "nothing to say to somebody who does not know the lane")
	require.Equal(t, sealed.DropUnbound, p.toClient(good))
}

// Silence after PINGs unbinds the lane at the client; the CLOSE that may still get
// through spares the gateway the wait.
func TestDeadLane(t *testing.T) {
	p := newPair(t, setup{}).bind()
	var pings int
	var end []byte
	p.pass(10*time.Second, func() {
		for _, b := range p.fromClient() {
			pings++
			end = b
		}
	})
	require.Equal(t, sealed.Unbound, p.client.State())
	require.Equal(t, sealed.CauseDead, p.client.Cause())
	require.Equal(t, 5, pings, "four PINGs and a CLOSE")
	require.Equal(t, sealed.DropNone, p.toGateway(end, home))
	require.False(t, p.lane.Bound())
	require.Equal(t, sealed.CauseRemote, p.lane.Cause())
	// It is found sooner where there is traffic.
	p = newPair(t, setup{}).bind()
	p.after(time.Second)
	at := p.now
	for p.client.Bound() {
		p.now = p.now.Add(50 * time.Millisecond)
		p.client.Tick(p.now)
		if p.client.Bound() {
			p.up(1, "x")
		}
	}
	require.LessOrEqual(t, p.now.Sub(at), 5100*time.Millisecond)
}

// While the gateway answers, the lane lives for as long as one likes, with messages or
// without.
func TestQuietLaneStaysBound(t *testing.T) {
	p := newPair(t, setup{gateway: sealed.Config{IdleTimeout: 2 * time.Second}}).bind()
	p.after(2 * time.Minute)
	require.True(t, p.client.Bound() && p.lane.Bound())
	p.talk(1)
}

// A new address of the client: it just goes on, from there.
func TestRebind(t *testing.T) {
	for _, to := range []string{"192.0.2.1:999", "203.0.113.1:1"} {
		p := newPair(t, setup{}).bind()
		p.from = addr(to)
		p.client.Rebind(p.now)
		p.settle()
		p.after(300 * time.Millisecond)
		require.Equal(t, addr(to), p.lane.Remote())
		p.after(10 * time.Second)
		require.Equal(t, addr(to), p.lane.Remote())
		p.talk(1)
	}
}

// CLOSE "closes this lane alone", from either end.
func TestClose(t *testing.T) {
	p := newPair(t, setup{}).bind()
	p.lane.Close(9, p.now)
	require.True(t, p.lane.Ended())
	require.False(t, p.lane.OfferDue())
	require.True(t, p.lane.Deadline().IsZero())
	_, err := p.lane.Offer(home, p.now)
	require.ErrorIs(t, err, sealed.ErrEnded)
	out := p.fromGateway()
	require.Len(t, out, 1)
	require.Equal(t, sealed.DropNone, p.toClient(out[0].pkt))
	require.Equal(t, sealed.CauseRemote, p.client.Cause())
	require.Empty(t, p.fromClient())

	p = newPair(t, setup{}).bind()
	late := p.up(1, "late")
	p.client.Close(0, p.now)
	require.False(t, p.client.Bound())
	for _, b := range p.fromClient() {
		require.Equal(t, sealed.DropNone, p.toGateway(b, home))
	}
	require.False(t, p.lane.Bound())
	require.Equal(t, sealed.DropEpoch, p.toGateway(late, home))
	require.False(t, p.lane.OfferDue())
	p.now = noon.Add(time.Minute)
	require.False(t, p.lane.Deadline().After(p.now))
	p.lane.Tick(p.now)
	require.True(t, p.lane.OfferDue())
	p.offer()
	p.settle()
	p.talk(1)

	p = newPair(t, setup{}) // closed before it was bound: nobody is told
	p.offer()
	p.fromClient()
	p.lane.Close(0, p.now)
	p.client.Close(0, p.now)
	require.Empty(t, p.fromGateway())
	require.Empty(t, p.fromClient())
}

// "PONG's delay lets a peer compute the network's RTT."
func TestRoundTrip(t *testing.T) {
	p := newPair(t, setup{}).bind()
	const way = 20 * time.Millisecond
	for range 30 {
		p.now = p.now.Add(time.Second)
		p.client.Ping()
		p.lane.Ping()
		up, down := p.fromClient(), p.fromGateway()
		p.now = p.now.Add(way)
		for _, b := range up {
			require.Equal(t, sealed.DropNone, p.toGateway(b, home))
		}
		for _, s := range down {
			require.Equal(t, sealed.DropNone, p.toClient(s.pkt))
		}
		p.now = p.now.Add(300 * time.Millisecond) // a slow peer is not a slow path
		up, down = p.fromClient(), p.fromGateway()
		p.now = p.now.Add(way)
		for _, b := range up {
			require.Equal(t, sealed.DropNone, p.toGateway(b, home))
		}
		for _, s := range down {
			require.Equal(t, sealed.DropNone, p.toClient(s.pkt))
		}
	}
	for _, path := range []sealed.Path{p.lane.Path(), p.client.Path()} {
		require.InDelta(t, float64(2*way), float64(path.RTT), float64(2*time.Millisecond))
		require.Less(t, path.Jitter, 5*time.Millisecond)
	}
}

// PONG answers with the PING's bytes: each PING's of a read, but not without end.
func TestPong(t *testing.T) {
	p, r := boundRaw(t, setup{})
	ask := func(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{0x05}, n) }
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(ask(77)...), home))
	p.now = p.now.Add(1500 * time.Microsecond)
	out := p.fromGateway()
	require.Len(t, out, 1)
	pong := r.open(out[0].pkt)[0x06]
	require.EqualValues(t, 77, binary.BigEndian.Uint64(pong))
	require.EqualValues(t, 1500, binary.BigEndian.Uint32(pong[8:]))
	var flood []byte
	for i := range uint64(100) {
		flood = append(flood, ask(i)...)
	}
	require.Equal(t, sealed.DropNone, p.toGateway(r.data(flood...), home))
	out = p.fromGateway()
	require.Len(t, out, 1)
	require.Len(t, out[0].pkt, 5+64*13+16)
	require.EqualValues(t, 36, p.drops.Get(sealed.DropRate))
	for i := range uint64(64) {
		require.Equal(t, sealed.DropNone, p.toGateway(r.data(ask(i)...), home))
	}
	require.Len(t, p.fromGateway(), 1, "as many datagrams as are read together")
	require.EqualValues(t, 36, p.drops.Get(sealed.DropRate))
}

// "REPORT, sent once a second while traffic flows, gives loss: 1 - Δcount/Δhighest."
func TestReport(t *testing.T) {
	p, r := boundRaw(t, setup{gateway: sealed.Config{PingEvery: time.Hour}})
	var at []time.Duration
	var last []byte
	for i := range 500 {
		p.now = noon.Add(time.Duration(i+1) * 10 * time.Millisecond)
		b := r.data(msg(uint16(i), "x")...)
		if i%4 != 0 {
			require.Equal(t, sealed.DropNone, p.toGateway(b, home))
		}
		for _, s := range p.fromGateway() {
			if f, ok := r.open(s.pkt)[0x15]; ok {
				at, last = append(at, p.now.Sub(noon)), f
			}
		}
	}
	require.Len(t, at, 5)
	for i := range at[1:] {
		require.InDelta(t, float64(time.Second), float64(at[i+1]-at[i]), float64(20*time.Millisecond))
	}
	highest, count := binary.BigEndian.Uint32(last), binary.BigEndian.Uint32(last[4:])
	require.InDelta(t, 0.75, float64(count)/float64(highest+1), 0.01)
	// No traffic, no REPORT but the last second's, though PINGs go.
	p.now = p.now.Add(time.Second)
	p.fromGateway()
	for range 50 {
		p.now = p.now.Add(100 * time.Millisecond)
		require.Equal(t, sealed.DropNone, p.toGateway(r.data(ping...), home))
		for _, s := range p.fromGateway() {
			require.NotContains(t, r.open(s.pkt), byte(0x15))
		}
	}

	report := func(highest, count uint32) {
		b := binary.BigEndian.AppendUint32([]byte{0x15}, highest)
		require.Equal(t, sealed.DropNone, p.toGateway(r.data(binary.BigEndian.AppendUint32(b, count)...), home))
	}
	for range 1000 {
		_, _, err := p.down(1, "x")
		require.NoError(t, err)
	}
	report(99, 100)
	require.Zero(t, p.lane.Path().Loss)
	for i := range uint32(30) {
		report(99+20*(i+1), 100+15*(i+1))
	}
	require.InDelta(t, 0.25, p.lane.Path().Loss, 0.01)
	report(1<<31, 5) // above what was sent
	report(50, 10)   // overtaken
	report(710, 1<<30)
	require.InDelta(t, 0.25, p.lane.Path().Loss, 0.01)
}

// An offer that cannot be is refused and changes nothing.
func TestOfferIsChecked(t *testing.T) {
	p := newPair(t, setup{}).bind()
	o, err := p.lane.Offer(home, p.now)
	require.NoError(t, err)
	for _, bad := range []func(*sealed.Offer){
		func(o *sealed.Offer) { o.AEAD = 0 },
		func(o *sealed.Offer) { o.AEAD = 3 },
		func(o *sealed.Offer) { o.Token = nil },
		func(o *sealed.Offer) { o.Token = make([]byte, 257) },
	} {
		b := o
		bad(&b)
		require.Error(t, p.client.Offer(b, p.now))
	}
	p.talk(1)
	// "After a resume comes a new offer with a new cid."
	p.cid[0]++
	p.lane = p.gateway.Lane(p.session, p.cid, sealed.ChaCha20Poly1305, p.now)
	p.offer()
	require.Equal(t, sealed.Opening, p.client.State())
	p.settle()
	p.talk(2)
}

// "No common AEAD, no offer", in the client's order of preference.
func TestChoose(t *testing.T) {
	for _, c := range []struct {
		client  []uint32
		allowed []sealed.AEAD
		want    sealed.AEAD
		ok      bool
	}{
		{[]uint32{2, 1}, nil, sealed.ChaCha20Poly1305, true},
		{[]uint32{1, 2}, nil, sealed.AES128GCM, true},
		{[]uint32{2, 1}, []sealed.AEAD{sealed.AES128GCM}, sealed.AES128GCM, true},
		{[]uint32{0, 3, 257, 2}, nil, sealed.ChaCha20Poly1305, true},
		{[]uint32{2}, []sealed.AEAD{sealed.AES128GCM}, 0, false},
		{nil, nil, 0, false},
	} {
		got, ok := sealed.Choose(c.client, c.allowed...)
		require.Equal(t, c.ok, ok)
		if ok {
			require.Equal(t, c.want, got)
		}
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	p := newPair(t, setup{})
	good := sealed.Config{Tokens: p.tokens, Resets: p.resets}
	require.NoError(t, good.Validate())
	for want, bad := range map[string]func(*sealed.Config){
		"Tokens":          func(c *sealed.Config) { c.Tokens = nil },
		"IdleTimeout":     func(c *sealed.Config) { c.IdleTimeout = time.Millisecond },
		"TokenLifetime":   func(c *sealed.Config) { c.TokenLifetime = -1 },
		"OfferEvery":      func(c *sealed.Config) { c.OfferEvery = time.Second },
		"PingEvery":       func(c *sealed.Config) { c.PingEvery = -1 },
		"EpochPackets":    func(c *sealed.Config) { c.EpochPackets = 1<<22 + 1 },
		"EpochAge":        func(c *sealed.Config) { c.EpochAge = time.Hour },
		"MaxMessage":      func(c *sealed.Config) { c.MaxMessage = -1 },
		"ReassemblyBytes": func(c *sealed.Config) { c.ReassemblyBytes = -1 },
	} {
		c := good
		bad(&c)
		require.ErrorContains(t, c.Validate(), want)
		_, err := sealed.NewGateway(c)
		require.Error(t, err)
	}
	_, err := sealed.NewClient(sealed.ClientConfig{PingEvery: -1}, p.session, noon)
	require.ErrorContains(t, err, "PingEvery")
	_, err = sealed.NewClient(sealed.ClientConfig{DeadAfter: -1}, p.session, noon)
	require.ErrorContains(t, err, "DeadAfter")
}

// Every value has a name of its own.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for d := range sealed.Drops {
		name := sealed.Drop(d).String()
		require.False(t, name == "" || name == "unknown" || seen[name], name)
		seen[name] = true
	}
	require.Equal(t, "unknown", sealed.Drop(sealed.Drops).String())
	require.Equal(t, "exhausted", sealed.CauseExhausted.String())
	require.Equal(t, "bound", sealed.Bound.String())
}
