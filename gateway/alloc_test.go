package gateway_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"strait/gateway"
	"strait/transport"
)

// reusingLane pulls into one slice for ever.
type reusingLane struct {
	*fakeLane
	ms []transport.Message
}

func (l *reusingLane) Wake() {
	l.ms = l.attachment.Peer.Pull(l.ms[:0], 1200)
	for _, m := range l.ms {
		m.Buf.Release()
	}
}

type reusingOfferer struct{ *fakeOfferer }

func (o reusingOfferer) Offer(a transport.Attachment) (transport.Lane, transport.Offer, error) {
	l, offer, err := o.fakeOfferer.Offer(a)
	return &reusingLane{fakeLane: l.(*fakeLane)}, offer, err
}

// A message to a bound lane: queued, flushed and pulled.
func TestABoundLaneDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget on purpose")
	}
	d, send := boundLane(t)
	send()
	require.Zero(t, testing.AllocsPerRun(200, send))
	require.EqualValues(t, 202, d.gw.Stats().Sent[transport.Unreliable].Messages)
}

func boundLane(t *testing.T) (d duo, send func()) {
	l, o := newLogic(), reusingOfferer{&fakeOfferer{}}
	g := start(t, gateway.Config{}, l, func(g *gateway.Gateway) { g.SetOfferer(o) })
	d = duo{gw: g, logic: l, offerer: o.fakeOfferer}.join(t)
	d.lane.bind(true)
	payload := make([]byte, 64)
	return d, func() {
		_ = d.session.Send(transport.Message{Delivery: transport.Unreliable, Buf: g.Pool().Copy(payload)})
		d.session.Flush()
	}
}

// One unreliable message of 64 bytes queued, flushed and pulled by a bound lane.
func BenchmarkBoundLane64(b *testing.B) {
	t := &testing.T{}
	d, send := boundLane(t)
	defer d.gw.Shutdown(context.Background())
	b.ReportAllocs()
	for b.Loop() {
		send()
	}
}
