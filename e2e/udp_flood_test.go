package e2e

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gamer plays on his lane all the time. Datagrams are lost where a socket's buffer
// is full, so what he must not notice is a standstill.
type gamer struct {
	*lane
	stop   chan struct{}
	done   sync.WaitGroup
	heard  atomic.Int64 // echoes
	worst  atomic.Int64 // the longest standstill, nanoseconds
	failed atomic.Pointer[error]
}

// games starts a gamer, who is asked at the end of the test, too.
func games(t testing.TB, l *lane) *gamer {
	t.Helper()
	g := &gamer{lane: l, stop: make(chan struct{})}
	g.done.Go(g.run)
	end := sync.OnceFunc(func() {
		close(g.stop)
		g.done.Wait()
	})
	t.Cleanup(func() {
		end()
		if err := g.failed.Load(); err != nil {
			t.Errorf("a player who did nothing wrong: %v", *err)
		}
	})
	return g
}

func (g *gamer) run() {
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	last, from := time.Now(), 0
	for seq := uint16(0); ; seq++ {
		packet := g.seal(msg(77, seq, binary.BigEndian.AppendUint16(nil, seq)))
		g.sock.sent.Add(int64(len(packet)))
		if _, err := g.sock.conn.WriteToUDPAddrPort(packet, g.sock.to); err != nil {
			g.failed.Store(&err)
			return
		}
		select {
		case <-g.stop:
			return
		case <-pace.C:
		}
		for all := g.said.all(); from < len(all); from++ {
			if s := all[from]; s.channel == 77 && s.on == g.sock {
				g.heard.Add(1)
				last = time.Now()
			}
		}
		if still := time.Since(last); still > time.Duration(g.worst.Load()) {
			g.worst.Store(int64(still))
			if still > 5*time.Second {
				err := fmt.Errorf("no echo on the lane for %v", still)
				g.failed.Store(&err)
				return
			}
		}
	}
}

// undisturbed returns after some more echoes.
func (g *gamer) undisturbed(t testing.TB) {
	t.Helper()
	from := g.heard.Load()
	require.Eventually(t, func() bool { return g.heard.Load() >= from+3 || g.failed.Load() != nil }, patience, time.Millisecond)
	if err := g.failed.Load(); err != nil {
		require.NoError(t, *err)
	}
}

func TestUDPRandomDatagrams(t *testing.T) {
	t.Parallel()
	testUDPRandomDatagrams(t, scaled(100_000))
}

func TestOutsideUDPMillionRandomDatagrams(t *testing.T) {
	t.Parallel()
	onlyThorough(t, "it takes a minute")
	testUDPRandomDatagrams(t, 1_000_000)
}

// Random datagrams, and such that look almost like a packet: a session goes on, nobody
// gets more than he gives.
func testUDPRandomDatagrams(t *testing.T, n int) {
	gw := serveUDP(t)
	other := accompany(t, gw)
	l, target := games(t, bound(t, gw)), offered(t, gw)
	o := target.terms()
	s := target.another()
	s.mute.Store(true)
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 1<<16)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	buffer := make([]byte, 0, 2000)
	for i := range n {
		size := random.IntN(1400)
		if i%8 != 0 {
			size = random.IntN(80)
		}
		at := random.IntN(len(noise) - 1400)
		b := append(buffer[:0], noise[at:at+size]...)
		switch i % 5 {
		case 1: // of this protocol, of any type
			if size > 0 {
				b[0] = 0x10 | b[0]&0x0f
			}
		case 2: // DATA with a cid that exists
			if size >= 9 {
				b[0] = byte0(0, uData)
				copy(b[1:], o.Cid)
			}
		case 3: // a HELLO but for its proof
			if i%40 == 3 {
				b = append(buffer[:0], noise[at:at+helloBytes]...)
				b[0] = byte0(0, uHello)
				copy(b[1:], o.Cid)
				clear(b[9:41])
				b[10] = 1
				binary.BigEndian.PutUint16(b[39:], uint16(len(o.Token)))
				copy(b[41:], o.Token)
			}
		}
		s.send(b)
		if i%20000 == 19999 {
			other.undisturbed(t)
			l.undisturbed(t)
		}
	}
	l.fenceThroughFlood(t)
	other.undisturbed(t)
	l.undisturbed(t)
	target.quiet(0, s, func(a arrival) bool { return a.kind == uReset || a.kind == uRetry })
	assert.LessOrEqual(t, s.received.Load(), s.sent.Load())
	target.plays()
	after := bound(t, gw) // who comes is let in
	after.tell(msg(0, 0, []byte("welcome")))
	after.hears([]byte("welcome"))
	t.Logf("%d datagrams; the longest standstill of a lane was %v", n, time.Duration(l.worst.Load()))
}

// fenceThroughFlood is fence where datagrams may be lost.
func (l *lane) fenceThroughFlood(t testing.TB) {
	t.Helper()
	for range 200 {
		from, opaque := len(l.in.all()), fenceMark()
		l.tell(lanePing(opaque))
		if _, ok := l.in.within(100*time.Millisecond, from, func(a arrival) bool {
			f := a.has(fPong)
			return f != nil && string(f.body[:8]) == opaque
		}); ok {
			return
		}
	}
	require.FailNow(t, "PINGs on the lane are not answered")
}

// First pieces of messages that never become whole, on every channel: they cost
// the gateway little, and nobody else notices.
func TestUDPFragmentFlood(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveUDP(t, game.env()...)
	other := accompany(t, gw)
	quiet := games(t, bound(t, gw))
	l := bound(t, gw)
	session := game.announced(t, l.p).Session
	before := gw.resident()
	piece := make([]byte, 1100)
	n := scaled(20000)
	for i := range n {
		l.tell(fragment(byte(i), uint16(i>>8), byte(i>>4)%15, 16, piece))
		if i%100 == 99 {
			l.fenceThroughFlood(t)
		}
		if i%5000 == 4999 {
			other.undisturbed(t)
			quiet.undisturbed(t)
		}
	}
	assert.Less(t, gw.resident()-before, 48<<20, "bytes of memory for messages that never become whole")
	// Pieces that overlap: the same index again and again with other bytes.
	for i := range byte(200) {
		l.tell(fragment(1, 60000, 0, 2, []byte{i}))
	}
	l.fenceThroughFlood(t)
	assert.Empty(t, game.payloads(session))
	l.tell(fragment(1, 60001, 0, 2, []byte("after ")), fragment(1, 60001, 1, 2, []byte("the flood")))
	l.hears([]byte("after the flood"))
	other.undisturbed(t)
	quiet.undisturbed(t)
}

// Moving to and fro as fast as packets can be sent from many ports: the lane stays
// usable, and none of the ports gets more than it gave.
func TestUDPRoamingFlood(t *testing.T) {
	t.Parallel()
	gw := serveUDP(t)
	other := accompany(t, gw)
	l := bound(t, gw)
	home := l.sock
	var ports []*socket
	for range 8 {
		s := l.another()
		s.mute.Store(true)
		ports = append(ports, s)
	}
	for i := range scaled(4000) {
		ports[i%len(ports)].send(l.seal(msg(1, uint16(i), []byte("to and fro"))))
		if i%50 == 49 {
			<-time.After(2 * time.Millisecond)
		}
	}
	other.undisturbed(t)
	assert.Same(t, home, l.saysFrom(home, "home again"))
	l.fence()
	l.plays()
}
