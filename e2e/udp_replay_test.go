package e2e

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Whatever is replayed counts once, and is not answered a second time.
func TestUDPReplays(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveUDP(t, game.env("STRAIT_UDP_RETRY=off")...)
	l := offered(t, gw)
	session := game.announced(t, l.p).Session
	hello := l.greet(nil)
	l.sock.send(hello)
	l.in.await(t, "ACCEPT", accepts(l.sock))
	l.settled()
	var packets [][]byte
	held := l.seal(msg(1, 999, []byte("held back"))) // 1023 behind the highest, later
	for i := range 1023 {
		if i%16 != 0 {
			packets = append(packets, l.seal([]byte{fPad}))
		} else {
			packets = append(packets, l.seal(msg(1, uint16(i), fmt.Appendf(nil, "once %d", i))))
		}
	}
	for i, b := range packets {
		l.sock.send(b)
		if i%100 == 0 {
			<-time.After(2 * time.Millisecond) // a fence would move the window
		}
	}
	l.hears([]byte("once 1008"))
	l.sock.send(held)
	l.hears([]byte("held back")) // the window is at least 1024
	l.fence()

	from := len(l.in.all())
	other := l.another()
	packets = append(packets, held, hello)
	for i, b := range packets {
		l.sock.send(b)
		other.send(b)
		if i%50 == 49 {
			l.fence()
		}
	}
	l.skip(1 << 14) // beyond every window
	l.fence()
	for i, b := range packets {
		l.sock.send(b)
		if i%50 == 49 {
			l.fence()
		}
	}
	l.fence()
	l.quiet(from, other, nil)
	for _, a := range l.in.all()[from:] {
		assert.Nil(t, a.has(fAccept), "a replayed HELLO is answered")
		assert.Nil(t, a.has(fMsg), "a replayed message is echoed")
	}
	seen := make(map[string]int)
	for _, p := range game.payloads(session) {
		seen[p]++
		assert.Equal(t, 1, seen[p], "%s is delivered once", p)
	}
	assert.Len(t, seen, 65)
}

// The same packets from many addresses at once, which the gateway reads on several
// sockets: each message is delivered once.
func TestUDPReplaysAtOnce(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveUDP(t, game.env("STRAIT_UDP_SOCKETS=4")...)
	l := bound(t, gw)
	session := game.announced(t, l.p).Session
	from := []*socket{l.sock}
	for range 7 {
		from = append(from, l.another())
	}
	n := scaled(1000)
	for i := 0; i < n; i += 20 {
		var packets [][]byte
		for j := range 20 {
			packets = append(packets, l.seal(msg(1, uint16(i+j), fmt.Appendf(nil, "once %d", i+j)), make([]byte, 100)))
		}
		var sending sync.WaitGroup
		for _, s := range from {
			s.sent.Add(int64(len(packets) * len(packets[0])))
			sending.Go(func() {
				for _, b := range packets {
					_, _ = s.conn.WriteToUDPAddrPort(b, s.to)
				}
			})
		}
		sending.Wait()
		<-time.After(2 * time.Millisecond) // so that hardly any is lost
	}
	l.plays()
	l.p.write(closing(cNormal, "bye"))
	game.gone(t, session)
	seen := make(map[string]int)
	for _, p := range game.payloads(session) {
		seen[p]++
		assert.Equal(t, 1, seen[p], "%s is delivered once", p)
	}
	assert.Greater(t, len(seen), n/2)
}
