package gateway_test

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"strait/gateway"
	"strait/proto/straitv1"
	"strait/transport"
	"strait/upstream"
)

// fakeOfferer makes lanes whose client is the test.
type fakeOfferer struct {
	// during runs inside Offer, before it returns; nil does nothing.
	during func(transport.Attachment)
	onWake func() // runs inside a lane's Wake
	err    error

	mu     sync.Mutex
	lanes  []*fakeLane
	asked  int
	closes int

	corks, uncorks atomic.Int64
}

func (o *fakeOfferer) Offer(a transport.Attachment) (transport.Lane, transport.Offer, error) {
	o.mu.Lock()
	o.asked++
	err, during := o.err, o.during
	o.mu.Unlock()
	if err != nil {
		return nil, transport.Offer{}, err
	}
	if during != nil {
		during(a)
	}
	l := &fakeLane{of: o, attachment: a, max: 16000}
	o.mu.Lock()
	o.lanes = append(o.lanes, l)
	o.mu.Unlock()
	return l, anOffer(0), nil
}

// become makes Offer fail with err, or run during; both may be nil.
func (o *fakeOfferer) become(err error, during func(transport.Attachment)) {
	o.mu.Lock()
	o.err, o.during = err, during
	o.mu.Unlock()
}

func (o *fakeOfferer) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closes++
	return nil
}

func (o *fakeOfferer) Cork()   { o.corks.Add(1) }
func (o *fakeOfferer) Uncork() { o.uncorks.Add(1) }

func anOffer(epoch uint8) transport.Offer {
	return transport.Offer{
		Address: ":7778", CID: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, Token: []byte("token"), Secret: [32]byte{9, 31: 7},
		Epoch: epoch, AEAD: 1, Lifetime: 30 * time.Second, ResetValue: [16]byte{15: 3},
	}
}

// fakeLane pulls what there is whenever it is woken, unless it is stuck.
type fakeLane struct {
	of         *fakeOfferer
	attachment transport.Attachment
	max        int

	mu     sync.Mutex
	path   transport.Path
	bodies []string
	stuck  bool
	wakes  int
	pings  int
	closed []transport.Reason
}

func (l *fakeLane) Wake() {
	if l.of.onWake != nil {
		l.of.onWake()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wakes++
	if l.stuck {
		return
	}
	for {
		ms := l.attachment.Peer.Pull(nil, 1<<20)
		if len(ms) == 0 {
			return
		}
		for _, m := range ms {
			l.bodies = append(l.bodies, string(m.Buf.B))
			m.Buf.Release()
		}
	}
}

func (l *fakeLane) Max() int { return l.max }

func (l *fakeLane) Path() transport.Path {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.path
}

func (l *fakeLane) setPath(f func(*transport.Path)) {
	l.mu.Lock()
	f(&l.path)
	l.mu.Unlock()
}

func (l *fakeLane) Ping() { l.mu.Lock(); l.pings++; l.mu.Unlock() }

func (l *fakeLane) Close(r transport.Reason) {
	l.mu.Lock()
	l.closed = append(l.closed, r)
	l.mu.Unlock()
}

func (l *fakeLane) received() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.bodies...)
}

func (l *fakeLane) reasons() []transport.Reason {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]transport.Reason(nil), l.closed...)
}

func (l *fakeLane) bind(on bool) { l.attachment.Peer.Bound(on) }

// say delivers unreliable messages.
func (l *fakeLane) say(pool *transport.Pool, bodies ...string) {
	l.attachment.Peer.Deliver(unreliable(pool, bodies...))
}

func unreliable(pool *transport.Pool, bodies ...string) (ms []transport.Message) {
	for _, b := range bodies {
		ms = append(ms, transport.Message{Delivery: transport.Unreliable, Channel: 4, Buf: pool.Copy([]byte(b))})
	}
	return ms
}

var wantUDP = &straitv1.ClientHello{Version: 1, WantUdp: true, UdpAeads: []uint32{2, 1}}

// duo is a player with a lane beside the connection.
type duo struct {
	*fakeConn
	gw      *gateway.Gateway
	logic   *logic
	offerer *fakeOfferer
	lane    *fakeLane
	session upstream.Session
}

func newDuo(t *testing.T, c gateway.Config) duo {
	t.Helper()
	l, o := newLogic(), &fakeOfferer{}
	g := start(t, c, l, func(g *gateway.Gateway) { g.SetOfferer(o) })
	return duo{gw: g, logic: l, offerer: o}.join(t)
}

// join adds a player.
func (d duo) join(t *testing.T) duo {
	t.Helper()
	c, err := join(t, d.gw, wantUDP)
	require.NoError(t, err)
	d.fakeConn = c
	d.offerer.mu.Lock()
	d.lane = d.offerer.lanes[len(d.offerer.lanes)-1]
	d.offerer.mu.Unlock()
	d.session = nil
	d.logic.await(t, func(es []event) bool {
		for _, e := range es {
			if e.session.ID() == d.lane.attachment.Session {
				d.session = e.session
			}
		}
		return d.session != nil
	})
	return d
}

// send queues unreliable messages on one channel and flushes.
func (d duo) send(bodies ...string) {
	for _, m := range unreliable(d.gw.Pool(), bodies...) {
		_ = d.session.Send(m)
	}
	d.session.Flush()
}

func (d duo) drops(r upstream.Drop) int64 { return d.gw.Stats().Drops[r] }

// kinds are the sessions now on TCP alone and with a lane.
func (d duo) kinds() [2]int64 {
	n := d.gw.Stats().Sessions
	return [2]int64{n[transport.KindTCP], n[transport.KindTCPUDP]}
}

func (d duo) setStuck(on bool) {
	d.lane.mu.Lock()
	d.lane.stuck = on
	d.lane.mu.Unlock()
}

func links(es []event) (n int) {
	for _, e := range es {
		if e.kind == upstream.Link {
			n++
		}
	}
	return n
}

// links is how many Link events there were when all is quiet, inside synctest.
func (d duo) links() int {
	synctest.Wait()
	d.logic.mu.Lock()
	defer d.logic.mu.Unlock()
	return links(d.logic.events)
}

// innerLane is the datagram lane of a connection that carries datagrams itself.
type innerLane struct {
	transport.Lane // the connection
	path           transport.Path
}

func (l innerLane) Max() int             { return 1234 }
func (l innerLane) Path() transport.Path { return l.path }

var elsewhere = netip.MustParseAddrPort("192.0.2.1:5555")
