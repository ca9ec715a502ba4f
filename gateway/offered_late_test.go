package gateway_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"strait/gateway"
	"strait/proto/straitv1"
	"strait/transport"
)

var errFull = fmt.Errorf("lanes: %w", transport.ErrLanesFull)

// without is a player for whom there was no room for a lane.
func without(t *testing.T, why error) duo {
	t.Helper()
	l, o := newLogic(), &fakeOfferer{err: why}
	g := start(t, gateway.Config{IdleTimeout: time.Hour}, l, func(g *gateway.Gateway) { g.SetOfferer(o) })
	c, err := join(t, g, wantUDP)
	require.NoError(t, err)
	require.Nil(t, c.serverHello().Udp)
	return duo{fakeConn: c, gw: g, logic: l, offerer: o, session: l.await(t, count(1))[0].session}
}

// offers are the UDP_OFFERs that the client got after SERVER_HELLO.
func (d duo) offers() (all []*straitv1.UdpOffer) {
	synctest.Wait()
	d.fakeConn.mu.Lock()
	defer d.fakeConn.mu.Unlock()
	for i, c := range d.controls {
		if c != transport.ControlUDPOffer {
			continue
		}
		var o straitv1.UdpOffer
		require.NoError(d.t, proto.Unmarshal(d.payloads[i], &o))
		all = append(all, &o)
	}
	return all
}

func (d duo) asked() int {
	synctest.Wait()
	d.offerer.mu.Lock()
	defer d.offerer.mu.Unlock()
	return d.offerer.asked
}

// Who found no room for a lane is given one when there is, and it is as good as any.
func TestALaneWhenThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := without(t, errFull)
		d.send("by the connection")
		time.Sleep(59 * time.Second)
		require.Equal(t, 1, d.asked(), "at most every 60 s")
		time.Sleep(62 * time.Second)
		require.Equal(t, 3, d.asked())
		require.Empty(t, d.offers())
		require.EqualValues(t, 1, d.gw.Stats().OffersRefused[errFull.Error()], "one session, however often it is tried")

		d.offerer.become(nil, nil)
		time.Sleep(62 * time.Second)
		o := anOffer(0)
		got := d.offers()
		require.Len(t, got, 1)
		require.Equal(t, o.CID[:], got[0].Cid)
		require.EqualValues(t, 1, d.gw.Stats().Offers)
		time.Sleep(10 * time.Minute)
		require.Equal(t, 4, d.asked(), "the rest is the lane's to do")

		d.lane = d.offerer.lanes[0]
		id := d.session.ID()
		require.Equal(t, id, d.lane.attachment.Session)
		require.Equal(t, []uint32{2, 1}, d.lane.attachment.AEADs)
		require.Equal(t, [2]int64{1, 0}, d.kinds())
		d.lane.bind(true)
		require.Equal(t, 1, d.links())
		require.Equal(t, [2]int64{0, 1}, d.kinds())
		d.send("by the lane")
		require.Equal(t, []string{"by the lane"}, d.lane.received())
		require.Equal(t, []string{"by the connection"}, d.received())

		d.lose()
		synctest.Wait()
		require.Len(t, d.lane.reasons(), 1, "it ends with its connection")
		require.Equal(t, [2]int64{0, 0}, d.kinds())
	})
}

// Only want of room passes.
func TestALaneThatWillNeverBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := without(t, errors.New("no AEAD in common"))
		d.offerer.become(nil, nil)
		time.Sleep(5 * time.Minute)
		require.Equal(t, 1, d.asked())

		d = without(t, errFull)
		d.offerer.become(errors.New("closed"), nil)
		time.Sleep(5 * time.Minute)
		require.Equal(t, 2, d.asked())
		require.Empty(t, d.offers())
	})
}

// A session that ends while it is given its lane does not leave that behind.
func TestALaneForASessionThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := without(t, errFull)
		d.offerer.become(nil, func(transport.Attachment) { d.lose() })
		time.Sleep(62 * time.Second)
		require.Empty(t, d.offers())
		require.Len(t, d.offerer.lanes, 1)
		require.Len(t, d.offerer.lanes[0].reasons(), 1)
		require.Equal(t, [2]int64{0, 0}, d.kinds())
	})
}
