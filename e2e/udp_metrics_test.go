package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/straitv1"
)

func udpDrop(reason string) string { return fmt.Sprintf("strait_udp_drops_total{reason=%q}", reason) }

func helloOutcome(what string) string {
	return fmt.Sprintf("strait_udp_hellos_total{outcome=%q}", what)
}

// Whatever is dropped, answered or moved is counted, once and by its reason.
func TestUDPMetrics(t *testing.T) {
	t.Parallel()
	gw := serveUDP(t, "STRAIT_UDP_RETRY=off")
	l, stolen := offered(t, gw), offered(t, gw)
	o, k := l.terms(), l.newest.keys
	hello := l.greet(nil)
	l.sock.send(hello)
	l.in.await(t, "ACCEPT", accepts(l.sock))
	l.settled()
	other := l.another()
	counts := func(sample string, want float64, send func()) {
		t.Helper()
		before := gw.metric(sample)
		send()
		l.fence()
		assert.Equal(t, want, gw.metric(sample)-before, sample)
	}
	sends := func(packets ...[]byte) func() {
		return func() {
			for _, b := range packets {
				other.send(b)
			}
		}
	}
	spoiled := func(b []byte, at int) []byte {
		b = slices.Clone(b)
		b[at] ^= 1
		return b
	}

	assert.EqualValues(t, 1, gw.metric(helloOutcome("accepted")))
	counts(helloOutcome("replay"), 1, sends(hello))
	counts(helloOutcome("auth"), 1, sends(spoiled(k.hello(o.Cid, o.Token, nil, 73, time.Now()), helloBytes-1)))
	counts(helloOutcome("token"), 2, sends(k.hello(o.Cid, stolen.terms().Token, nil, 70, time.Now()), k.hello(o.Cid, make([]byte, 80), nil, 71, time.Now())))
	counts(helloOutcome("version"), 1, sends(k.helloOf(2, helloBytes, o.Cid, o.Token, nil, 72, time.Now())))
	counts(helloOutcome("size"), 1, sends(hello[:helloBytes-1]))
	counts(helloOutcome("unknown_cid"), 1, sends(spoiled(hello, 8)))

	l.skip(100)
	late, packet, unsent := l.seal([]byte{fPad}), l.seal([]byte{fPad, 0}), l.seal([]byte{fPad, 0})
	l.sock.send(packet)
	counts(udpDrop("replay"), 2, sends(packet, packet))
	counts(udpDrop("auth"), 2, sends(spoiled(unsent, len(unsent)-1), spoiled(unsent, 14)))
	counts(udpDrop("unknown_cid"), 1, sends(spoiled(packet, 5)))
	counts(udpDrop("size"), 2, sends(packet[:29], append(slices.Clone(packet), make([]byte, helloBytes)...)))
	counts(udpDrop("type"), 2, sends([]byte{0xff}, []byte("no packet of anybody")))
	for reason, frames := range map[string][]byte{
		"frame": {0x7f}, "overrun": {fPing}, "direction": append([]byte{fAccept}, make([]byte, 12)...), "padding": {0, 1}, "field": fragment(0, 0, 0, 1, nil),
	} {
		counts(udpDrop(reason), 1, func() { l.tell(frames) })
	}
	l.skip(1 << 14) // beyond every window
	l.fence()
	counts(udpDrop("window"), 1, sends(late))
	counts(udpDrop("rate"), 66, func() {
		l.tell(bytes.Repeat(lanePing("too many"), 130))
		l.in.await(t, "PONGs", func(a arrival) bool { f := a.has(fPong); return f != nil && string(f.body[:8]) == "too many" })
	})
	assert.EqualValues(t, 2, gw.metric(`strait_udp_stateless_answers_total{type="reset",what="sent"}`))
	assert.Zero(t, gw.metric(`strait_udp_stateless_answers_total{type="retry",what="sent"}`))

	assert.Zero(t, gw.metric("strait_udp_moves_total"))
	from := other
	require.Same(t, from, l.saysFrom(from, "from a new port"))
	l.sock = from
	l.fence()
	assert.EqualValues(t, 1, gw.metric("strait_udp_moves_total"))
	assert.EqualValues(t, 1, gw.metric(`strait_udp_lanes{bound="yes"}`))
	assert.EqualValues(t, 1, gw.metric(`strait_udp_lanes{bound="no"}`))

	// What /sessions shows is of the lane as well.
	status, body := gw.get("/sessions")
	require.Equal(t, http.StatusOK, status)
	type session struct {
		Transport string
		Lane      *struct {
			Remote   string
			Bound    time.Time
			MaxBytes int `json:"max_bytes"`
		}
	}
	var all []session
	require.NoError(t, json.Unmarshal([]byte(body), &all), body)
	require.Len(t, all, 2)
	slices.SortFunc(all, func(a, b session) int { return len(a.Transport) - len(b.Transport) })
	assert.Equal(t, "tcp", all[0].Transport)
	assert.Nil(t, all[0].Lane, "a lane that is not bound")
	assert.Equal(t, "tcp+udp", all[1].Transport)
	require.NotNil(t, all[1].Lane)
	assert.Equal(t, from.local().String(), all[1].Lane.Remote)
	assert.WithinDuration(t, time.Now(), all[1].Lane.Bound, time.Minute)
	assert.GreaterOrEqual(t, all[1].Lane.MaxBytes, 1100)

	l.tell(laneClose(cNormal))
	gw.reaches(`strait_udp_unbound_total{cause="remote"}`, 1)
	gw.falls(`strait_udp_lanes{bound="yes"}`, 0)
}

// What PONG and REPORT say of a lane reaches game logic and the distributions, the
// round trip in the place of the one that the connection has measured before.
func TestUDPMeasures(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveUDP(t, game.env("STRAIT_IDLE_TIMEOUT=6s")...) // who is silent for 2 s is asked by TLS
	l := offered(t, gw)
	session := game.announced(t, l.p).Session
	before := game.event(t, "LinkChanged with the round trip of the connection", func(e event) bool {
		return e.Session == session && e.GetLink().GetRttUs() > 0
	}).GetLink()
	assert.Equal(t, straitv1.Transport_TRANSPORT_TCP, before.Transport)
	l.sock.mute.Store(true) // PINGs are answered below, and late
	l.sock.send(l.greet(nil))
	challenge := l.in.await(t, "ACCEPT and PATH_CHALLENGE", func(a arrival) bool { return a.has(fPathChallenge) != nil })
	l.sock.proven.Store(true)
	l.tell(pathResponse(challenge.has(fPathChallenge).body))
	ask := l.in.await(t, "a PING to a lane that was just bound", func(a arrival) bool { return a.has(fPing) != nil })
	const rtt = 80 * time.Millisecond
	<-time.After(rtt)
	l.tell(append([]byte{fPong}, append(bytes.Clone(ask.has(fPing).body), 0, 0, 0, 0)...))
	for i := range 40 {
		l.tell(msg(1, uint16(i), fmt.Appendf(nil, "traffic %d", i)))
		l.hears(fmt.Appendf(nil, "traffic %d", i))
	}
	l.tell(report(39, 30)) // a quarter is lost
	e := game.event(t, "LinkChanged with what was measured", func(e event) bool {
		return e.Session == session && e.GetLink().GetRttUs() > 0 && e.GetLink().GetLossPpm() > 0
	})
	assert.Equal(t, straitv1.Transport_TRANSPORT_TCP_UDP, e.GetLink().Transport)
	assert.GreaterOrEqual(t, e.GetLink().RttUs, uint32(rtt/time.Microsecond), "of the lane, as jitter and loss are")
	assert.GreaterOrEqual(t, e.GetLink().JitterUs, uint32(rtt/time.Microsecond)/4, "of the lane, where PONGs are late")
	assert.InDelta(t, 250_000, e.GetLink().LossPpm, 10_000)
	for sample, want := range map[string]float64{
		`strait_udp_lane_rtt_seconds{le="0.06"}`: 0, `strait_udp_lane_rtt_seconds{le="+Inf"}`: 1,
		`strait_udp_lane_loss_ratio{le="0.2"}`: 0, `strait_udp_lane_loss_ratio{le="+Inf"}`: 1,
	} {
		assert.Equal(t, want, gw.metric(sample), sample)
	}
}

// HELLOs that prove nothing, for lanes that are there or not, make the gateway ask
// every address for a cookie, and nobody is kept out by that.
func TestUDPRetryUnderLoad(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{"a cid that is known": true, "cids that are not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gw := serveUDP(t)
			other := accompany(t, gw)
			before, l := bound(t, gw), offered(t, gw)
			o := offered(t, gw).terms()
			flood := l.another()
			flood.mute.Store(true)
			for i := uint64(0); gw.metric("strait_udp_loaded") == 0; i++ {
				require.Less(t, i, uint64(6), "no number of them is too many")
				for j := range uint64(300) {
					cid, token := slices.Clone(o.Cid), make([]byte, len(o.Token))
					_, _ = rand.Read(token)
					if !known {
						_, _ = rand.Read(cid[4:])
					}
					flood.send(l.newest.keys.hello(cid, token, nil, 300*i+j, time.Now()))
				}
				before.fence()
			}
			l.sock.send(l.greet(nil))
			a := l.in.await(t, "an answer", func(a arrival) bool { return a.on == l.sock })
			require.EqualValues(t, uRetry, a.kind, "under load an address proves itself first")
			l.sock.send(l.greet(a.raw[9:]))
			l.in.await(t, "ACCEPT", accepts(l.sock))
			l.settled()
			l.tell(msg(0, 0, []byte("in")))
			l.hears([]byte("in"))
			assert.Positive(t, gw.metric(`strait_udp_stateless_answers_total{type="retry",what="sent"}`))
			assert.Positive(t, gw.metric(helloOutcome("cookie")))
			before.tell(msg(0, 0, []byte("as before")))
			before.hears([]byte("as before"))
			other.undisturbed(t)
		})
	}
}
