package sealed_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/udp/sealed"
)

// event is something that arrives.
type event struct {
	at time.Time
	n  int // order of those at one time
	do func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].n < e[j].n
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

// network carries packets between the two ends of a pair: it loses, delays, reorders,
// doubles and flips bits, and an attacker on the path sends what he sees from elsewhere.
type network struct {
	*pair
	r      *rand.Rand
	queue  events
	n      int
	bad    float64 // probability of each evil
	offers time.Time

	evil           map[netip.AddrPort][2]int // bytes from there, and to there
	sentUp, gotUp  map[uint16]int
	sentDn, gotDn  map[uint16]int
	seqUp, seqDown uint16
}

func newNetwork(t testing.TB, seed uint64, s setup, bad float64) *network {
	s.seed = seed
	n := &network{
		pair: newPair(t, s), r: rand.New(rand.NewPCG(seed, 3)), bad: bad, evil: map[netip.AddrPort][2]int{},
		sentUp: map[uint16]int{}, gotUp: map[uint16]int{}, sentDn: map[uint16]int{}, gotDn: map[uint16]int{},
	}
	return n
}

func (n *network) in(d time.Duration, do func()) {
	n.n++
	heap.Push(&n.queue, event{n.now.Add(d), n.n, do})
}

func (n *network) luck(p float64) bool { return n.r.Float64() < p }

// carry sends a packet over the path, for which arrive is called as often as it arrives.
func (n *network) carry(pkt []byte, arrive func(pkt []byte)) {
	copies := 1
	if n.luck(n.bad) {
		copies = 0
	} else if n.luck(n.bad) {
		copies = 2 + n.r.IntN(2)
	}
	for range copies {
		b := append([]byte(nil), pkt...)
		if n.luck(n.bad / 4) {
			b[n.r.IntN(len(b))] ^= 1 << n.r.IntN(8)
		}
		d := 5*time.Millisecond + time.Duration(n.r.ExpFloat64()*n.bad*float64(100*time.Millisecond))
		n.in(d, func() { arrive(b) })
	}
}

func (n *network) up(pkt []byte) {
	from := n.from
	if n.luck(n.bad / 4) {
		e := addr([]string{"192.0.2.1:6666", "192.0.2.1:6667", "203.0.113.66:6666", "203.0.113.67:6666"}[n.r.IntN(4)])
		b := append([]byte(nil), pkt...)
		n.in(time.Millisecond, func() {
			v := n.evil[e]
			v[0] += len(b)
			n.evil[e] = v
			n.arriveUp(b, e)
		})
	}
	n.carry(pkt, func(b []byte) { n.arriveUp(b, from) })
}

func (n *network) arriveUp(b []byte, from netip.AddrPort) {
	n.toGateway(b, from)
	for _, m := range n.atLane.take() {
		require.Equal(n.t, text(m.seq), m.text)
		n.gotUp[m.seq]++
	}
}

func (n *network) down(pkt []byte, to netip.AddrPort) {
	if to != n.from {
		v := n.evil[to]
		v[1] += len(pkt)
		n.evil[to] = v
		return
	}
	n.carry(pkt, func(b []byte) {
		n.toClient(b)
		for _, m := range n.atClient.take() {
			require.Equal(n.t, text(m.seq), m.text)
			n.gotDn[m.seq]++
		}
	})
}

// text is the message of a sequence number: mostly short.
func text(seq uint16) string {
	if seq%16 == 3 {
		return strings.Repeat(fmt.Sprint(seq, " "), 400)
	}
	return fmt.Sprint("message ", seq)
}

// send has one end send one message, if its lane is bound.
func (n *network) send(up bool) {
	var k sealed.Packet
	seq, d := n.seqUp, sealed.ToGateway
	if !up {
		seq, d = n.seqDown, sealed.ToClient
	}
	m := []byte(text(seq))
	pieces := sealed.Pieces(len(m), d)
	for i := range pieces {
		k.Start(make([]byte, sealed.MaxPacket), d)
		if pieces == 1 {
			require.True(n.t, k.Message(1, seq, m))
		} else {
			require.True(n.t, k.Piece(1, seq, m, i, pieces))
		}
		if up {
			b, err := n.client.Seal(&k, n.now)
			if err != nil {
				return
			}
			n.up(b)
		} else {
			b, to, err := n.lane.Seal(&k, n.now)
			if err != nil {
				return
			}
			n.down(b, to)
		}
	}
	if up {
		n.sentUp[seq]++
		n.seqUp++
	} else {
		n.sentDn[seq]++
		n.seqDown++
	}
}

// run lets both ends and the network go for that long.
func (n *network) run(d, every time.Duration) {
	end := n.now.Add(d)
	next := n.now
	for n.now.Before(end) {
		n.lane.Tick(n.now)
		n.client.Tick(n.now)
		if n.lane.OfferDue() {
			o, err := n.lane.Offer(home, n.now)
			require.NoError(n.t, err)
			at := n.now.Add(time.Duration(n.r.IntN(200)) * time.Millisecond)
			if at.Before(n.offers) {
				at = n.offers
			}
			n.offers = at
			n.in(at.Sub(n.now), func() { require.NoError(n.t, n.client.Offer(o, n.now)) })
		}
		if !n.now.Before(next) {
			next = n.now.Add(every)
			n.send(true)
			n.send(false)
		}
		for _, b := range n.fromClient() {
			n.up(b)
		}
		for _, s := range n.fromGateway() {
			n.down(s.pkt, s.to)
		}
		to := next
		for _, d := range []time.Time{n.lane.Deadline(), n.client.Deadline(), end} {
			if !d.IsZero() && d.Before(to) {
				to = d
			}
		}
		require.False(n.t, to.Before(n.now), "a deadline stays in the past")
		if len(n.queue) > 0 && !n.queue[0].at.After(to) {
			e := heap.Pop(&n.queue).(event)
			n.now = e.at
			e.do()
			continue
		}
		n.now = to
	}
}

// Whatever the network does: delivered at most once and never corrupted, nobody who
// answers no challenge gets more than he sent, and once the network is well again the
// lane is bound and all arrives.
func TestHostileNetwork(t *testing.T) {
	seeds := uint64(12)
	if raceEnabled {
		seeds = 6
	}
	for seed := range seeds {
		short := sealed.Shared{EpochPackets: 4096, EpochAge: 20 * time.Second}
		n := newNetwork(t, seed, setup{
			gateway: sealed.Config{Shared: short, IdleTimeout: 5 * time.Second},
			client:  sealed.ClientConfig{Shared: short},
		}, float64(seed%6)*0.06)
		for i := range 6 {
			n.run(10*time.Second, 10*time.Millisecond)
			if i%2 == 1 {
				n.from = addr(fmt.Sprintf("198.51.100.%d:%d", 1+n.r.IntN(2), 1+n.r.IntN(3)))
				n.client.Rebind(n.now)
			}
		}
		n.bad = 0
		n.run(3*time.Minute, time.Second)
		require.True(t, n.client.Bound() && n.lane.Bound(), "seed %d: %v %v", seed, n.client.Cause(), n.lane.Cause())
		require.Equal(t, n.from, n.lane.Remote())
		before := len(n.gotUp) + len(n.gotDn)
		wantUp, wantDown := n.seqUp, n.seqDown
		n.run(5*time.Second, 10*time.Millisecond)
		require.Greater(t, len(n.gotUp)+len(n.gotDn), before+900)
		n.run(time.Second, 100*time.Millisecond)
		for seq := wantUp; seq < wantUp+400; seq++ {
			require.Equal(t, 1, n.gotUp[seq], "seed %d: up %d", seed, seq)
		}
		for seq := wantDown; seq < wantDown+400; seq++ {
			require.Equal(t, 1, n.gotDn[seq], "seed %d: down %d", seed, seq)
		}
		for seq, times := range n.gotUp {
			require.Equal(t, 1, times, "up %d", seq)
			require.NotZero(t, n.sentUp[seq])
		}
		for seq, times := range n.gotDn {
			require.Equal(t, 1, times, "down %d", seq)
			require.NotZero(t, n.sentDn[seq])
		}
		if seed%6 == 0 {
			require.Len(t, n.gotUp, len(n.sentUp), "nothing is lost on a good path")
		}
		for a, v := range n.evil {
			if a.Port() >= 6666 { // not where the client was before
				require.LessOrEqual(t, v[1], v[0], "%v got more than it sent", a)
			}
		}
	}
}
