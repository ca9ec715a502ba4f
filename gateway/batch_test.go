package gateway_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/gateway"
	"strait/transport"
)

func TestBatches(t *testing.T) {
	d := newDuo(t, gateway.Config{Shards: 1, MaxSessions: 1000})
	balanced := func() bool { return d.offerer.corks.Load() == d.offerer.uncorks.Load() }
	var inside []bool
	d.lane.bind(true)
	d.offerer.onWake = func() { inside = append(inside, d.offerer.corks.Load() > d.offerer.uncorks.Load()) }
	publish := func() {
		d.logic.gw.Publish("", "all", unreliable(d.gw.Pool(), "to all")[0], nil)
	}
	d.logic.gw.Join("", "all", d.session)
	publish()
	require.Equal(t, []bool{true}, inside, "a publish is a batch")
	require.True(t, balanced())

	for range 299 { // more than a caller spreads himself, and than one turn
		c := player(t, d.gw)
		id := c.serverHello().SessionId
		d.logic.await(t, func(es []event) bool {
			e := es[len(es)-1]
			if got := e.session.ID(); string(got[:]) != string(id) {
				return false
			}
			d.logic.gw.Join("", "all", e.session)
			return true
		})
	}
	had := d.offerer.corks.Load()
	publish()
	require.Eventually(t, func() bool { return len(d.lane.received()) == 2 && balanced() }, 10*time.Second, time.Millisecond)
	require.GreaterOrEqual(t, d.offerer.corks.Load()-had, int64(3), "the caller and two turns of the worker")
	require.Equal(t, []bool{true, true}, inside)

	d.session.Close(transport.Reason{})
	publish() // what is refused is an error inside
	require.Eventually(t, balanced, 10*time.Second, time.Millisecond)
}

func TestABatchEndsWithAPanic(t *testing.T) {
	d := newDuo(t, gateway.Config{})
	d.lane.bind(true)
	d.logic.gw.Join("", "all", d.session)
	d.offerer.onWake = func() { panic("a lane's fault") }
	require.PanicsWithValue(t, "a lane's fault", func() {
		d.logic.gw.Publish("", "all", unreliable(d.gw.Pool(), "x")[0], nil)
	})
	require.Equal(t, d.offerer.corks.Load(), d.offerer.uncorks.Load())
	d.offerer.onWake = nil
}
