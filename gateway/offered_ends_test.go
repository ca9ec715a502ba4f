package gateway_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/gateway"
	"strait/transport"
	"strait/upstream"
)

func TestTheLaneEndsWithItsConnection(t *testing.T) {
	for name, end := range map[string]func(duo){
		"by game logic": func(d duo) { d.session.Close(transport.Because(transport.Kicked, "out")) },
		"lost":          func(d duo) { d.lose() },
		"closed by the client": func(d duo) {
			d.end(transport.Reason{Code: transport.Normal, Remote: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDuo(t, gateway.Config{})
			d.lane.bind(true)
			require.Equal(t, [2]int64{0, 1}, d.kinds())
			d.setStuck(true)
			d.send("never pulled")
			end(d)
			require.Eventually(t, func() bool { return len(d.lane.reasons()) > 0 }, 10*time.Second, time.Millisecond)
			require.Eventually(t, func() bool { return d.kinds() == [2]int64{} }, 10*time.Second, time.Millisecond)
			require.Len(t, d.lane.reasons(), 1)
			d.lane.say(d.gw.Pool(), "late", "later")
			require.EqualValues(t, 2, d.drops(upstream.DropAfterClose))
			require.EqualValues(t, 1, d.drops(upstream.DropSessionClosed))
			d.lane.bind(false)
			d.lane.bind(true)
			require.Equal(t, [2]int64{}, d.kinds(), "the end is the end")
		})
	}
}

// What game logic said last leaves by the lane, too.
func TestCloseWakesTheLane(t *testing.T) {
	d := newDuo(t, gateway.Config{})
	d.lane.bind(true)
	require.NoError(t, d.session.Send(unreliable(d.gw.Pool(), "goodbye")[0]))
	d.session.Close(transport.Because(transport.Kicked, "out"))
	require.Equal(t, []string{"goodbye"}, d.lane.received())
}

func TestALaneWhoseSessionNeverOpens(t *testing.T) {
	o := &fakeOfferer{}
	g := start(t, gateway.Config{}, newLogic(), func(g *gateway.Gateway) { g.SetOfferer(o) })
	c := newConn(t, g)
	o.during = func(transport.Attachment) { c.lose() } // while it is being opened
	require.NoError(t, c.join(g, wantUDP))
	lane := o.lanes[0]
	require.Len(t, lane.reasons(), 1)
	lane.bind(true)
	lane.say(g.Pool(), "to nobody")
	require.EqualValues(t, 1, g.Stats().Drops[upstream.DropAfterClose])
	require.Zero(t, g.Stats().Sessions[transport.KindTCPUDP])
	require.Zero(t, g.Stats().Sessions[transport.KindTCP])
}

func TestTheOffererIsClosedInOrder(t *testing.T) {
	j := &journal{}
	l := &journalLogic{logic: newLogic(), j: j}
	o := &journalOfferer{fakeOfferer: &fakeOfferer{}, j: j}
	g := start(t, gateway.Config{}, l, func(g *gateway.Gateway) { g.SetOfferer(o) })
	g.Listen(&journalListener{j: j, stop: make(chan struct{})}, nil)
	_, err := join(t, g, wantUDP)
	require.NoError(t, err)
	o.lanes[0].bind(true)
	g.Shutdown(context.Background())
	require.Equal(t, []string{
		"stop accepting", "barrier", "close lane", "close listener", "close offerer", "barrier", "close driver",
	}, j.what)
}

type journalOfferer struct {
	*fakeOfferer
	j *journal
}

func (o *journalOfferer) Offer(a transport.Attachment) (transport.Lane, transport.Offer, error) {
	l, offer, err := o.fakeOfferer.Offer(a)
	return journalLane{l, o.j}, offer, err
}

func (o *journalOfferer) Close() error {
	o.j.add("close offerer")
	return o.fakeOfferer.Close()
}

type journalLane struct {
	transport.Lane
	j *journal
}

func (l journalLane) Close(r transport.Reason) {
	l.j.add("close lane")
	l.Lane.Close(r)
}

func TestAGatewayThatNeverStartedClosesTheOfferer(t *testing.T) {
	o := &fakeOfferer{}
	g, err := gateway.New(gateway.Config{}, newLogic())
	require.NoError(t, err)
	g.SetOfferer(o)
	g.Shutdown(context.Background())
	require.Equal(t, 1, o.closes)
}

// Everything at once: what is queued is sent by one lane or the other or counted,
// the gauges come out even, and no buffer is left.
func TestLaneRaces(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	d := newDuo(t, gateway.Config{Shards: 2, MaxSessions: 1000})
	d.lose()
	sent := 0
	var lanes []duo
	for round := range rounds {
		d := d.join(t)
		lanes = append(lanes, d)
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				for i := range 50 {
					d.send(fmt.Sprint(i), strings.Repeat("x", 1200))
					d.session.Info()
				}
			})
			sent += 100
		}
		all.Go(func() {
			for i := range 20 {
				d.lane.bind(i%2 == 0)
			}
		})
		all.Go(func() {
			for range 50 {
				d.lane.say(d.gw.Pool(), "in")
				d.lane.attachment.Peer.Offer(anOffer(1))
			}
		})
		all.Go(func() {
			for range 50 {
				d.say("in")
			}
		})
		all.Go(func() {
			if round%3 == 0 {
				d.session.Close(transport.Because(transport.Kicked, "in the middle"))
			}
		})
		all.Go(func() {
			if round%3 == 1 {
				d.lose()
			}
		})
		all.Wait()
		if round%3 == 2 {
			d.lose()
		}
	}
	require.Eventually(t, func() bool { return d.kinds() == [2]int64{} }, 10*time.Second, time.Millisecond)
	st := d.gw.Stats()
	dropped := st.Drops[upstream.DropStale] + st.Drops[upstream.DropTooLarge] + st.Drops[upstream.DropSessionClosed]
	require.EqualValues(t, sent, st.Sent[transport.Unreliable].Messages+dropped)
	for _, d := range lanes {
		require.Len(t, d.lane.reasons(), 1)
	}
}
