package e2e

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// One connection in STRAIT_QUIC_QLOG_EVERY leaves a trace, the first among them.
func TestQUICTraces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	gw := serveQUIC(t, "STRAIT_QUIC_QLOG_DIR="+dir, "STRAIT_QUIC_QLOG_EVERY=3")
	for range 7 {
		p := joinQUIC(t, gw, quicSetup{})
		p.plays()
		require.NoError(t, p.conn.CloseWithError(cNormal, "bye"))
	}
	gw.falls("strait_quic_connections", 0)
	require.Eventually(t, func() bool {
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		whole := 0
		for _, e := range entries {
			require.Regexp(t, `^[0-9a-f]{16,40}_server\.sqlog$`, e.Name())
			b, err := os.ReadFile(dir + "/" + e.Name())
			require.NoError(t, err)
			if text := string(b); strings.Contains(text, `"vantage_point":{"type":"server"}`) && strings.Contains(text, "connection_closed") {
				whole++
			}
		}
		return len(entries) == 3 && whole == 3
	}, patience, 10*time.Millisecond)
}

// QUIC's own keepalive holds a connection that neither end says anything on.
func TestQUICKeepAlive(t *testing.T) {
	t.Parallel()
	gw := serveQUIC(t, "STRAIT_QUIC_KEEPALIVE=1s", "STRAIT_IDLE_TIMEOUT=1m")
	quiet := quicSetup{quic: func(c *quicgo.Config) { c.MaxIdleTimeout = 5 * time.Second }}
	kept := joinQUIC(t, gw, quiet)
	lost := joinQUIC(t, serveQUIC(t, "STRAIT_IDLE_TIMEOUT=1m"), quiet)
	var idle *quicgo.IdleTimeoutError
	require.ErrorAs(t, lost.ended(), &idle)
	<-time.After(time.Second)
	kept.plays()
}

// An address without a host serves IPv4 and IPv6, also on the port of sealed UDP; and
// what a host does without GSO is the same to players.
func TestQUICOnBothFamilies(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("no IPv6 on this machine: ", err)
	} else {
		l.Close()
	}
	for _, env := range [][]string{nil, {"STRAIT_QUIC_GSO=off"}} {
		gw := serveQUIC(t, append([]string{"STRAIT_QUIC_ADDR=:0"}, env...)...)
		for _, host := range []string{"127.0.0.1", "::1"} {
			to := &net.UDPAddr{IP: net.ParseIP(host), Port: quicAddr(gw).Port}
			p := joinQUIC(t, gw, quicSetup{from: host, to: to})
			p.plays()
			long := strings.Repeat("many packets at once ", 3000)
			p.say(3, []byte(long))
			p.hears(onStream, 3, []byte(long))
			p.throw(4, 0, []byte("hello"))
			p.hears(byDatagram, 4, []byte("hello"))
			assert.Equal(t, p.end.Conn.LocalAddr().String(), gw.sessions()[len(gw.sessions())-1].Remote)
			require.NoError(t, p.conn.CloseWithError(cNormal, "bye"))
			gw.falls("strait_quic_connections", 0)
		}
		gw.logged("what the system grants of buffers", func(l string) bool {
			return strings.Contains(l, "buffers of the QUIC socket") && strings.Contains(l, "read_bytes=")
		})
	}
}
