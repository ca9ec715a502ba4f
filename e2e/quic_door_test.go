package e2e

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/client"
)

// deaf is a socket that hears nothing: its handshakes stay unfinished.
type deaf struct{ net.PacketConn }

func (d deaf) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		if _, _, err := d.PacketConn.ReadFrom(b); err != nil {
			return 0, nil, err
		}
	}
}

// halfOpen begins handshakes from an address that are never finished; the gateway has
// not answered the last ones yet when it returns.
func halfOpen(t testing.TB, gw *process, from string, n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{}, n)
	for range n {
		go func() {
			_, err := dialQUICUntil(ctx, t, gw, quicSetup{from: from, socket: func(c net.PacketConn) net.PacketConn { return deaf{c} }})
			assert.Error(t, err)
			ended <- struct{}{}
		}()
	}
	t.Cleanup(func() {
		cancel()
		for range n {
			<-ended
		}
	})
}

const (
	retries    = "strait_quic_retries_total"
	unfinished = "strait_quic_handshakes_unfinished"
)

// A client proves its address with Retry where it is asked to: always, or under load.
func TestQUICRetry(t *testing.T) {
	t.Parallel()
	for policy, asked := range map[string]bool{"always": true, "off": false, "auto": false} {
		gw := serveQUIC(t, "STRAIT_QUIC_RETRY="+policy)
		r := newRelay(t, quicAddr(gw))
		var first atomic.Int32 // of the first packet to the client
		r.loses(func(up bool, b []byte) bool {
			if !up {
				first.CompareAndSwap(0, int32(b[0]))
			}
			return false
		})
		joinQUIC(t, gw, quicSetup{to: r.at()}).plays()
		assert.Equal(t, asked, first.Load()&0xf0 == 0xf0, "%s: the first answer is a Retry: %#x", policy, first.Load())
		assert.Equal(t, asked, gw.metric(retries) > 0, policy)
	}

	// Under load: a quarter of what may be unfinished is.
	gw := serveQUIC(t, "STRAIT_QUIC_RETRY=auto", "STRAIT_MAX_HANDSHAKES=16", "STRAIT_OPEN_TIMEOUT=15s")
	halfOpen(t, gw, "127.0.0.3", 4)
	gw.reaches(unfinished, 4)
	assert.Zero(t, gw.metric(retries))
	joinQUIC(t, gw, quicSetup{}).plays()
	assert.Positive(t, gw.metric(retries)) // a long ClientHello is two packets
	halfOpen(t, gw, "127.0.0.3", 30)
	gw.reaches(retries, 30)
	assert.LessOrEqual(t, gw.metric(unfinished), 5.0, "nothing is kept for who has proven nothing")
	assert.Zero(t, gw.metric(`strait_quic_handshake_refusals_total{reason="full"}`))
	joinQUIC(t, gw, quicSetup{}).plays()
}

// Before an address is proven it gets three times what it has sent (RFC 9000 section 8.1).
func TestQUICAmplification(t *testing.T) {
	t.Parallel()
	gw := serveQUIC(t, "STRAIT_OPEN_TIMEOUT=1s", "STRAIT_QUIC_RETRY=off")
	r := newRelay(t, quicAddr(gw))
	r.loses(func(up bool, _ []byte) bool { return !up || r.up.Load() >= 2000 }) // a ClientHello, and no answer
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := dialQUICUntil(ctx, t, gw, quicSetup{to: r.at()})
	require.Error(t, err)
	gw.reaches(`strait_quic_handshake_failures_total{reason="timeout"}`, 1)
	assert.GreaterOrEqual(t, r.up.Load(), int64(1200))
	assert.Positive(t, r.down.Load())
	// The stack looks before a packet whether the limit is reached, not where the packet
	// ends (quic-go v0.64.1): less than one more.
	assert.Less(t, r.down.Load(), 3*r.up.Load()+1280)
}

// A client without strait/1 is refused by TLS.
func TestQUICWrongALPN(t *testing.T) {
	t.Parallel()
	gw := serveQUIC(t)
	other := accompanyQUIC(t, gw)
	for i, protocols := range [][]string{{"h3"}, {"strait/2", "strait"}, nil} {
		conf := secure(gw)
		conf.NextProtos = protocols
		_, err := dialQUIC(t, gw, quicSetup{tls: conf})
		var refused *quicgo.TransportError
		require.ErrorAs(t, err, &refused)
		assert.True(t, refused.Remote)
		assert.EqualValues(t, 0x100+120, refused.ErrorCode, "no_application_protocol")
		gw.reaches(`strait_quic_handshake_failures_total{reason="alpn"}`, float64(i+1))
	}
	conf := secure(gw)
	conf.NextProtos = []string{"h3", "strait/1"}
	p := joinQUIC(t, gw, quicSetup{tls: conf})
	assert.Equal(t, "strait/1", p.conn.ConnectionState().TLS.NegotiatedProtocol)
	assert.EqualValues(t, tls.VersionTLS13, p.conn.ConnectionState().TLS.Version)
	other.undisturbed(t)
}

// Handshakes that are begun and never finished are capped, by address, too; they end,
// and nobody who plays notices.
func TestQUICSlowHandshakes(t *testing.T) {
	t.Parallel()
	const room = 24
	gw := serveQUIC(t, "STRAIT_QUIC_RETRY=off", fmt.Sprintf("STRAIT_MAX_HANDSHAKES=%d", room), "STRAIT_OPEN_TIMEOUT=2s")
	other, overTCP := accompanyQUIC(t, gw), accompany(t, gw)
	before := gw.resident()
	for i := range 4 {
		halfOpen(t, gw, fmt.Sprintf("127.0.0.%d", 4+i), 50)
	}
	gw.reaches(unfinished, room/2)
	gw.polls(func() bool {
		return gw.metric(`strait_quic_handshake_refusals_total{reason="full"}`)+gw.metric(`strait_quic_handshake_failures_total{reason="evicted"}`) > 0
	}, "nothing was refused")
	for range 20 {
		assert.LessOrEqual(t, gw.metric(unfinished), float64(room))
		other.undisturbed(t)
	}
	assert.Less(t, gw.resident()-before, 64<<20)
	overTCP.undisturbed(t)
}

// Within one address no more than 64, so that others get in.
func TestQUICSlowHandshakesOfOneAddress(t *testing.T) {
	t.Parallel()
	gw := serveQUIC(t, "STRAIT_QUIC_RETRY=off", "STRAIT_OPEN_TIMEOUT=15s")
	halfOpen(t, gw, "127.0.0.9", 70)
	gw.reaches(`strait_quic_handshake_refusals_total{reason="address"}`, 1)
	assert.LessOrEqual(t, gw.metric(unfinished), 64.0)
	joinQUIC(t, gw, quicSetup{}).plays()
}

// Whatever arrives on the port that is no QUIC, or nobody's: sessions go on, nobody
// gets more than he has sent, and who comes is let in.
func TestQUICGarbage(t *testing.T) {
	t.Parallel()
	gw := serveQUIC(t)
	other, overTCP := accompanyQUIC(t, gw), accompany(t, gw)
	noise := make([]byte, 1<<16)
	_, _ = rand.Read(noise)
	c, err := net.DialUDP("udp", nil, quicAddr(gw))
	require.NoError(t, err)
	var received atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 2048)
		for {
			n, err := c.Read(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			received.Add(int64(n))
		}
	}()
	sent := int64(0)
	n := scaled(30000)
	for i := range n {
		size := 1 + i%1400
		if i%3 != 0 {
			size = 1 + i%80
		}
		at := (i * 31) % (len(noise) - 1500)
		b := append([]byte(nil), noise[at:at+size]...)
		switch i % 6 {
		case 1: // sealed UDP, HELLO and all
			b[0] &= 0x3f
		case 2: // a short header, of no connection
			b[0] = 0x40 | b[0]&0x3f
		case 3, 4: // an Initial of version 1, well-formed up to its proof
			if i%12 == 3 {
				b = append([]byte(nil), noise[at:at+1250]...)
			}
			if len(b) >= 30 {
				copy(b, []byte{0xc3, 0, 0, 0, 1, 8})
				b[14], b[23] = 8, 0
			}
		case 5: // a version that nobody speaks
			if i%12 == 5 {
				b = append([]byte(nil), noise[at:at+1250]...)
			}
			if len(b) >= 30 {
				copy(b, []byte{0xc3, 0x1a, 0x2a, 0x3a, 0x4a, 8})
				b[14] = 8
			}
		}
		if k, err := c.Write(b); err == nil {
			sent += int64(k)
		}
		if i%5000 == 4999 {
			other.undisturbed(t)
		}
	}
	other.undisturbed(t)
	overTCP.undisturbed(t)
	p := joinQUIC(t, gw, quicSetup{})
	p.plays()
	c.Close()
	<-done
	assert.LessOrEqual(t, received.Load(), sent, "bytes for garbage")
	gw.falls(unfinished, 0)
}

// Packets of a session that somebody sends again, or has changed, do nothing.
func TestQUICReplay(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveQUIC(t, game.env()...)
	r := newRelay(t, quicAddr(gw))
	var taken journal[[]byte]
	r.loses(func(up bool, b []byte) bool {
		if up {
			taken.add(append([]byte(nil), b...))
		}
		return false
	})
	p := joinQUIC(t, gw, quicSetup{to: r.at()})
	for i := range 20 {
		p.throw(3, uint16(i), fmt.Appendf(nil, "once %d", i))
		p.plays()
	}
	s := game.sees(t, p)
	for i := range 20 { // a datagram may come behind what was sent on streams after it
		game.event(t, "an unreliable message", func(e event) bool { return string(e.GetMessage().GetPayload()) == fmt.Sprintf("once %d", i) })
	}
	before := len(game.payloads(s.Session))
	thief, err := net.DialUDP("udp", nil, quicAddr(gw))
	require.NoError(t, err)
	defer thief.Close()
	for _, b := range taken.all() {
		_, _ = thief.Write(b)
		b[len(b)-1] ^= 1
		_, _ = thief.Write(b)
		r.mu.Lock()
		_, _ = r.out.WriteToUDP(b, r.gateway)
		r.mu.Unlock()
	}
	for range 5 {
		p.plays()
	}
	assert.Len(t, game.payloads(s.Session), before+10)
	assert.Equal(t, r.outside(), gw.sessions()[0].Remote, "the session stays where it is")
}

// Stateless resets tell the clients of a gateway that started again that their
// connections are gone, if it is the same node with the same key; from another one
// they cannot come.
func TestQUICStatelessReset(t *testing.T) {
	t.Parallel()
	key := func() string {
		b := make([]byte, 32)
		_, _ = rand.Read(b)
		name := filepath.Join(t.TempDir(), "key")
		require.NoError(t, os.WriteFile(name, []byte(hex.EncodeToString(b)+"\n"), 0o600))
		return "STRAIT_FLEET_KEY_FILE=" + name
	}
	fleet := key()
	for i, c := range []struct {
		name, key, node string
		reset           bool
	}{
		{"the same node", fleet, "one", true},
		{"another node", fleet, "two", false},
		{"another key", key(), "one", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			host := fmt.Sprintf("127.0.1.%d", 1+i) // where no other test takes the port meanwhile
			gw := serveQUIC(t, "STRAIT_QUIC_ADDR="+host+":0", fleet, "STRAIT_NODE_ID=one")
			p := joinQUIC(t, gw, quicSetup{quic: func(q *quicgo.Config) {
				if !c.reset { // else he waits for it, however long the new gateway takes
					q.MaxIdleTimeout = 5 * time.Second
				}
			}})
			p.plays()
			gw.signal(syscall.SIGKILL)
			gw.wait()
			again := serveQUIC(t, "STRAIT_QUIC_ADDR="+quicAddr(gw).String(), c.key, "STRAIT_NODE_ID="+c.node)
			fresh := joinQUIC(t, again, quicSetup{})
			for p.conn.Context().Err() == nil {
				_ = p.conn.SendDatagram(body(1, 0, make([]byte, 200)))
				select {
				case <-p.conn.Context().Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
			err := p.ended()
			var reset *quicgo.StatelessResetError
			var idle *quicgo.IdleTimeoutError
			assert.Equal(t, c.reset, errors.As(err, &reset), "%v", err)
			assert.Equal(t, !c.reset, errors.As(err, &idle), "%v", err)
			fresh.plays()
		})
	}
}

// An SDK, whose packets come without a connection ID, hears of it as well, wherever it has
// moved to.
func TestQUICStatelessResetAfterRebind(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(name, []byte(strings.Repeat("5a", 32)+"\n"), 0o600))
	key := "STRAIT_FLEET_KEY_FILE=" + name
	gw := serveQUIC(t, "STRAIT_QUIC_ADDR=127.0.1.4:0", key, "STRAIT_NODE_ID=one")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := client.Dial(ctx, gw.addr, client.Options{
		Transport: client.QUIC, QUICAddr: quicAddr(gw).String(), Pin: hex.EncodeToString(gw.pin), Reconnect: client.Reconnect{Off: true},
	})
	require.NoError(t, err)
	defer c.Close()
	for range 2 {
		require.NoError(t, c.Rebind(ctx))
		_, err := c.Ping(ctx)
		require.NoError(t, err)
	}
	gw.signal(syscall.SIGKILL)
	gw.wait()
	serveQUIC(t, "STRAIT_QUIC_ADDR="+quicAddr(gw).String(), key, "STRAIT_NODE_ID=one")
	for asks := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case <-c.Done():
			assert.ErrorContains(t, c.Err(), "stateless reset")
			return
		case <-asks.C:
			_ = c.Send(ctx, client.Reliable, 1, make([]byte, 200))
		case <-ctx.Done():
			require.FailNow(t, "the client has not noticed")
		}
	}
}

// A token of one gateway is good at another one of the fleet, also after a restart: no
// Retry for who has one.
func TestQUICTokensOfTheFleet(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(name, []byte("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"), 0o600))
	tokens := quicgo.NewLRUTokenStore(4, 4)
	for i, node := range []string{"one", "two"} {
		gw := serveQUIC(t, "STRAIT_FLEET_KEY_FILE="+name, "STRAIT_NODE_ID="+node, "STRAIT_QUIC_RETRY=always")
		conf := secure(gw)
		conf.ServerName = "localhost"
		p := joinQUIC(t, gw, quicSetup{tls: conf, quic: func(c *quicgo.Config) { c.TokenStore = tokens }})
		p.plays()
		assert.Equal(t, i == 0, gw.metric(retries) > 0, "asked for proof, with the token of another gateway: %v", i > 0)
	}
}
