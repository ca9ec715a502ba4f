package gateway_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"strait/gateway"
	"strait/proto/straitv1"
	"strait/transport"
	"strait/upstream"
)

func TestServerHelloCarriesTheOffer(t *testing.T) {
	d := newDuo(t, gateway.Config{Shards: 4})
	h := d.serverHello()
	o := anOffer(0)
	require.True(t, proto.Equal(&straitv1.UdpOffer{
		Address: ":7778", Cid: o.CID[:], Token: o.Token, Secret: o.Secret[:], Aead: 1, LifetimeMs: 30000, ResetValue: o.ResetValue[:],
	}, h.Udp), "%v", h.Udp)
	a := d.lane.attachment
	require.Equal(t, h.SessionId, a.Session[:])
	require.Equal(t, d.session.Shard(), a.Shard)
	require.Equal(t, "192.0.2.1:4000", a.Remote.String())
	require.Equal(t, []uint32{2, 1}, a.AEADs)
	require.EqualValues(t, 1, d.gw.Stats().Offers)
	require.Equal(t, transport.KindTCP, d.session.Info().Kind, "offered is not bound")
	require.Equal(t, [2]int64{1, 0}, d.kinds())
}

func TestWhoGetsNoOffer(t *testing.T) {
	o := &fakeOfferer{}
	g := start(t, gateway.Config{}, newLogic(), func(g *gateway.Gateway) { g.SetOfferer(o) })
	require.Nil(t, player(t, g).serverHello().Udp, "who did not ask")

	c := newConn(t, g)
	c.kind, c.datagrams = transport.KindQUIC, innerLane{Lane: c}
	require.NoError(t, c.join(g, wantUDP))
	require.Nil(t, c.serverHello().Udp, "who has datagrams")

	c = newConn(t, g)
	c.kind = transport.KindQUIC
	require.NoError(t, c.join(g, wantUDP))
	require.Nil(t, c.serverHello().Udp, "sealed UDP is for TLS/TCP")
	require.Empty(t, o.lanes)

	for i := range 20 {
		switch o.err = errors.New("no room"); {
		case i == 0:
			o.err = errors.New("no AEAD in common")
		case i > 4:
			o.err = fmt.Errorf("number %d", i) // such as nobody should return
		}
		c, err := join(t, g, wantUDP)
		require.NoError(t, err)
		require.Nil(t, c.serverHello().Udp)
		require.Equal(t, 1, c.say("the session goes on"))
	}
	st := g.Stats()
	require.Zero(t, st.Offers)
	require.EqualValues(t, 1, st.OffersRefused["no AEAD in common"])
	require.EqualValues(t, 4, st.OffersRefused["no room"])
	require.EqualValues(t, 20-5-6, st.OffersRefused["other"])
	require.Len(t, st.OffersRefused, 9)
}

func TestABoundLaneCarriesUnreliableMessages(t *testing.T) {
	d := newDuo(t, gateway.Config{})
	d.send("before")
	require.Equal(t, []string{"before"}, d.received(), "the connection stands in")
	require.Equal(t, gateway.MaxUnreliable, d.session.MaxUnreliable())

	d.lane.bind(true)
	require.Equal(t, 1, links(d.logic.await(t, func(es []event) bool { return links(es) == 1 })), "at once")
	require.Equal(t, transport.KindTCPUDP, d.session.Info().Kind)
	require.Equal(t, [2]int64{0, 1}, d.kinds())
	require.Equal(t, 16000, d.session.MaxUnreliable())

	d.setStuck(true)
	d.send("a", "b")
	d.fakeConn.Wake() // for whatever reason
	require.Empty(t, d.peer.Pull(nil, transport.Unreliable, transport.AnyChannel, 1<<20))
	require.Equal(t, []string{"before"}, d.received(), "not by the connection")
	d.setStuck(false)
	d.send(strings.Repeat("c", 5000))
	require.Equal(t, []string{"a", "b", strings.Repeat("c", 5000)}, d.lane.received(), "all of them, not the newest alone")

	require.NoError(t, d.session.Send(d.msg("reliable")))
	wakes := d.lane.wakes
	d.session.Flush()
	require.Equal(t, []string{"before", "reliable"}, d.received())
	require.Equal(t, wakes, d.lane.wakes, "a lane without work is left alone")
	require.EqualValues(t, 4, d.gw.Stats().Sent[transport.Unreliable].Messages)
	var tooLarge *transport.TooLargeError
	require.ErrorAs(t, d.session.Send(unreliable(d.gw.Pool(), strings.Repeat("x", 16001))[0]), &tooLarge)
}

func TestAnUnboundLaneGivesBack(t *testing.T) {
	d := newDuo(t, gateway.Config{})
	d.lane.bind(true)
	d.setStuck(true)
	d.send("1", "2", "3", "4")
	other := unreliable(d.gw.Pool(), strings.Repeat("x", 1101))[0]
	other.Channel = 5
	require.NoError(t, d.session.Send(other))
	d.lane.bind(false)

	require.Equal(t, transport.KindTCP, d.session.Info().Kind)
	require.Equal(t, [2]int64{1, 0}, d.kinds())
	require.Equal(t, gateway.MaxUnreliable, d.session.MaxUnreliable())
	require.EqualValues(t, 3, d.drops(upstream.DropStale), "latest wins again")
	require.Equal(t, []string{"4"}, d.received(), "at once, and nothing too long")
	require.EqualValues(t, 1, d.drops(upstream.DropTooLarge))
	require.Zero(t, d.session.Info().Queued)
	d.logic.await(t, func(es []event) bool { return links(es) == 2 })

	require.Empty(t, d.lane.attachment.Peer.Pull(nil, 1<<20))
	d.send("5")
	require.Equal(t, []string{"4", "5"}, d.received())
	d.setStuck(false)
	d.lane.bind(true)
	d.send("6")
	require.Equal(t, []string{"6"}, d.lane.received())
	require.EqualValues(t, 4+2, d.gw.Stats().Sent[transport.Unreliable].Messages+d.drops(upstream.DropStale))
}

// What is queued when the lane is bound leaves by it.
func TestBindingTakesOverTheQueue(t *testing.T) {
	d := newDuo(t, gateway.Config{})
	d.fakeConn.mu.Lock()
	d.stuck = true
	d.fakeConn.mu.Unlock()
	d.send("queued")
	d.lane.bind(true)
	require.Equal(t, []string{"queued"}, d.lane.received())
}

func TestLaneMessagesReachGameLogic(t *testing.T) {
	d := newDuo(t, gateway.Config{QueueSize: 128})
	d.lane.say(d.gw.Pool(), "a", "b")
	require.Equal(t, []string{"a", "b"}, bodies(d.logic.await(t, count(3)), d.session))
	d.logic.mu.Lock()
	d.logic.hold = true
	d.logic.mu.Unlock()
	for range 40 {
		d.lane.say(d.gw.Pool(), "flood")
	}
	require.EqualValues(t, 40-16, d.drops(upstream.DropInboundFull), "the rules are those of every lane")
}

// A lane may know its client before the opening is complete.
func TestWhatComesBeforeTheSessionIsOpen(t *testing.T) {
	l := newLogic()
	o := &fakeOfferer{}
	g := start(t, gateway.Config{}, l, func(g *gateway.Gateway) { g.SetOfferer(o) })
	o.during = func(a transport.Attachment) {
		a.Peer.Bound(true)
		a.Peer.Deliver(unreliable(g.Pool(), "too", "early"))
		a.Peer.Offer(anOffer(1))
		a.Peer.Offer(anOffer(2))
		assert.Empty(t, a.Peer.Pull(nil, 1000))
	}
	c, err := join(t, g, wantUDP)
	require.NoError(t, err)
	require.EqualValues(t, 2, g.Stats().Drops[upstream.DropInboundFull])
	require.Equal(t, []transport.Control{transport.ControlServerHello, transport.ControlUDPOffer}, c.controls)
	require.EqualValues(t, 2, udpOffer(t, c, 1).Epoch, "the newest")
	es := l.await(t, count(2))
	require.Equal(t, upstream.Opened, es[0].kind)
	require.Equal(t, upstream.Link, es[1].kind)
	require.Equal(t, transport.KindTCPUDP, es[0].session.Info().Kind)
}

func udpOffer(t *testing.T, c *fakeConn, i int) *straitv1.UdpOffer {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Equal(t, transport.ControlUDPOffer, c.controls[i])
	var o straitv1.UdpOffer
	require.NoError(t, proto.Unmarshal(c.payloads[i], &o))
	return &o
}

func TestFreshOffers(t *testing.T) {
	d := newDuo(t, gateway.Config{})
	d.lane.attachment.Peer.Offer(anOffer(7))
	o := udpOffer(t, d.fakeConn, 1)
	require.EqualValues(t, 7, o.Epoch)
	require.Equal(t, []byte("token"), o.Token)
	require.EqualValues(t, 2, d.gw.Stats().Offers)
	d.lose()
	d.lane.attachment.Peer.Offer(anOffer(8))
	require.Len(t, d.controls, 2)
	require.EqualValues(t, 2, d.gw.Stats().Offers)
}
