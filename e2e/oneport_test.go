package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// onePort makes sealed UDP and QUIC one port, as far as a test that runs within
// TestOnePort asks for either.
func onePort(t testing.TB, env []string) []string {
	if !strings.HasPrefix(t.Name(), "TestOnePort/") {
		return env
	}
	for _, name := range []string{"STRAIT_UDP_ADDR=", "STRAIT_QUIC_ADDR="} {
		for _, v := range slices.Backward(env) {
			if addr, ok := strings.CutPrefix(v, name); ok && addr != "off" {
				return append(slices.Clone(env), "STRAIT_UDP_ADDR="+addr, "STRAIT_QUIC_ADDR="+addr, "STRAIT_UDP_SOCKETS=1")
			}
		}
	}
	return env
}

// What holds for lanes and for QUIC on ports of their own holds on one that they share.
func TestOnePort(t *testing.T) {
	for _, one := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"lanes: bind and echo", TestUDPBindAndEcho},
		{"lanes: cookies", TestUDPRetry},
		{"lanes: IPv6 and every address", TestUDPIPv6},
		{"lanes: reset", TestUDPReset},
		{"lanes: end with their connection", TestUDPEndsWithItsConnection},
		{"lanes: packing", TestUDPPacking},
		{"lanes: fragments", TestUDPFragments},
		{"lanes: replays", TestUDPReplays},
		{"lanes: a new port", TestUDPRoamingToANewPort},
		{"lanes: a new address", TestUDPRoamingToANewAddress},
		{"lanes: stolen tokens", TestUDPStolenToken},
		{"lanes: forged HELLOs", TestUDPVictimOfHellos},
		{"lanes: truncated and oversized", TestUDPTruncatedAndOversized},
		{"lanes: scanning", TestUDPScanningForCids},
		{"lanes: forged packets", TestUDPForgedPackets},
		{"QUIC: echo", TestQUICEcho},
		{"QUIC: order", TestQUICOrderOnEveryChannel},
		{"QUIC: malformed datagrams", TestQUICMalformedDatagrams},
		{"QUIC: breaches", TestQUICBreaches},
		{"QUIC: closing", TestQUICCloseByTheClient},
		{"QUIC: a new address", TestQUICRebinding},
		{"QUIC: a channel that is not read", TestQUICNeverReadsOneChannel},
		{"QUIC: proof of the address", TestQUICRetry},
		{"QUIC: amplification", TestQUICAmplification},
		{"QUIC: garbage", TestQUICGarbage},
		{"QUIC: replays", TestQUICReplay},
		{"QUIC: stateless reset", TestQUICStatelessReset},
		{"QUIC: IPv6 and every address", TestQUICOnBothFamilies},
	} {
		t.Run(one.name, one.run)
	}
	for _, c := range []struct{ name, addr, batch string }{
		{"batch", "127.0.0.1:0", "on"},
		{"batch, every address", ":0", "on"},
		{"portable", "127.0.0.1:0", "off"},
	} {
		t.Run("both at once: "+c.name, func(t *testing.T) {
			t.Parallel()
			bothAtOnce(t, "STRAIT_UDP_ADDR="+c.addr, "STRAIT_QUIC_ADDR="+c.addr, "STRAIT_UDP_BATCH="+c.batch)
		})
	}
}

// bothAtOnce lets players on lanes and on QUIC play as fast as echoes come back, while
// somebody floods the port with what looks like either. No datagram is lost.
func bothAtOnce(t *testing.T, env ...string) {
	gw := serve(t, env...)
	at := quicAddr(gw)
	require.Equal(t, at.String(), gw.capture("the log line of the UDP address", listeningUDP), "one port")
	at.IP = net.IPv4(127, 0, 0, 1)

	const players = 4
	rounds := scaled(1000)
	var lanes []*lane
	var others []*quicPlayer
	for range players {
		lanes = append(lanes, bound(t, gw))
		others = append(others, joinQUIC(t, gw, quicSetup{to: at}))
	}
	stop := make(chan struct{})
	var noise, playing sync.WaitGroup
	stranger, err := net.DialUDP("udp", nil, at)
	require.NoError(t, err)
	noise.Go(func() {
		defer stranger.Close()
		random := rand.New(rand.NewPCG(3, 4))
		b := make([]byte, 1300)
		for sent := 0; ; sent++ {
			select {
			case <-stop:
				return
			default:
			}
			for i := range b[:60] {
				b[i] = byte(random.Uint32())
			}
			_, _ = stranger.Write(b[:1+random.IntN(len(b))])
			if sent%16 == 0 { // never more under way than the kernel has room for
				lanes[0].plays()
			}
		}
	})
	for i := range players {
		playing.Go(func() {
			l, from := lanes[i], 0
			for n := range rounds {
				text := fmt.Sprintf("lane %d, %d", i, n)
				l.tell(msg(5, uint16(n), []byte(text)))
				var s said
				s, from = l.said.awaitFrom(t, from, text, func(s said) bool { return s.channel == 5 })
				if !assert.Equal(t, text, string(s.payload)) || !assert.Equal(t, l.sock, s.on) {
					return
				}
			}
		})
		playing.Go(func() {
			p, from := others[i], 0
			for n := range rounds {
				text := fmt.Sprintf("QUIC %d, %d", i, n)
				p.throw(5, uint16(n), []byte(text))
				var h heard
				h, from = p.expectFrom(from, text, func(h heard) bool { return h.channel == 5 })
				if !assert.Equal(t, text, string(h.payload)) || !assert.Equal(t, byDatagram, h.way) {
					return
				}
			}
		})
	}
	playing.Wait()
	close(stop)
	noise.Wait()
	for i := range players {
		lanes[i].fence()
		lanes[i].plays()
		others[i].plays()
	}
}
