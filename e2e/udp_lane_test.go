package e2e

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/proto/straitv1"
)

var listeningUDP = regexp.MustCompile(`msg=listening transport=udp address=(\S+)`)

// serveUDP starts a gateway that offers sealed UDP; one socket, so that it reads
// packets in the order in which they were sent.
func serveUDP(t testing.TB, env ...string) *process {
	t.Helper()
	gw := serve(t, append([]string{"STRAIT_UDP_ADDR=127.0.0.1:0", "STRAIT_UDP_SOCKETS=1"}, env...)...)
	gw.capture("the log line of the UDP address", listeningUDP)
	return gw
}

// lane is a player with sealed UDP, written from WIRE.md section 6. What it gets,
// by datagrams and by its connection, is read at once, checked against the page
// and written down; it does by itself only what the page asks of a client: it
// answers PINGs and, unless mute, path challenges.
type lane struct {
	t  testing.TB
	gw *process
	p  *player

	stream journal[frame]   // of the connection, but PING and DATA_UNRELIABLE
	ended  chan struct{}    // closed when the connection has ended
	in     journal[arrival] // every datagram
	said   journal[said]    // every unreliable message, whichever way it came
	mute   atomic.Bool      // challenges stay unanswered

	mu      sync.Mutex
	offer   *straitv1.UdpOffer // the newest
	offers  int
	epochs  [2]*laneEpoch // by the low bit of the epoch
	newest  *laneEpoch    // what is sealed with
	sock    *socket       // what is sent from
	whole   map[[3]byte]*assembly
	reading sync.WaitGroup
}

// laneEpoch is what a lane keeps for one epoch.
type laneEpoch struct {
	keys      epochKeys
	sent      uint64 // the next number
	next      uint64 // the highest received and one
	seen      map[uint64]bool
	announced time.Time
}

// socket is one address of a lane.
type socket struct {
	l              *lane
	conn           *net.UDPConn
	to             netip.AddrPort
	sent, received atomic.Int64 // bytes of datagrams
	proven         atomic.Bool  // a challenge was answered from here
	mute           atomic.Bool  // nothing is answered from here
}

// wantUDP is a CLIENT_HELLO that asks for a lane.
func wantUDP(aeads ...uint32) []byte {
	return message(tClientHello, &straitv1.ClientHello{Version: 1, Client: "e2e", WantUdp: true, UdpAeads: aeads})
}

// offered returns a player with an offer, who has not said HELLO; without aeads he
// takes AES-128-GCM.
func offered(t testing.TB, gw *process, aeads ...uint32) *lane {
	t.Helper()
	l := asking(t, gw, aeads...)
	require.NotNil(t, l.p.hello.Udp, "no offer of a lane")
	return l
}

// asking is offered for those who may not get an offer.
func asking(t testing.TB, gw *process, aeads ...uint32) *lane {
	t.Helper()
	if len(aeads) == 0 {
		aeads = []uint32{aesGCM}
	}
	p := connect(t, gw)
	p.write(wantUDP(aeads...))
	p.welcome()
	l := &lane{t: t, gw: gw, p: p, ended: make(chan struct{}), whole: make(map[[3]byte]*assembly)}
	t.Cleanup(func() {
		p.conn.NetConn().Close()
		<-l.ended
		l.reading.Wait()
	})
	if o := p.hello.Udp; o != nil {
		require.NoError(t, l.take(o))
		l.sock = l.open(p.conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr())
	}
	go l.listen()
	return l
}

// bound returns a player whose lane is bound, for both sides.
func bound(t testing.TB, gw *process, aeads ...uint32) *lane {
	t.Helper()
	l := offered(t, gw, aeads...)
	l.bind()
	return l
}

// take makes an offer the newest; the next packet is sealed with its keys.
func (l *lane) take(o *straitv1.UdpOffer) error {
	keys, err := deriveKeys(o.Aead, o.Secret, l.p.hello.SessionId, byte(o.Epoch))
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.offer = o
	l.offers++
	l.newest = &laneEpoch{keys: keys, seen: make(map[uint64]bool), announced: time.Now()}
	l.epochs[o.Epoch&1] = l.newest
	return nil
}

// terms is the newest offer.
func (l *lane) terms() *straitv1.UdpOffer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.offer
}

// gateway is the address of the newest offer, WIRE.md section 6.1.
func (l *lane) gateway() netip.AddrPort {
	host, port, err := net.SplitHostPort(l.terms().Address)
	require.NoError(l.t, err, "the address of an offer")
	if host == "" {
		host, _, err = net.SplitHostPort(l.gw.addr)
		require.NoError(l.t, err)
	}
	to, err := net.ResolveUDPAddr("udp", net.JoinHostPort(host, port))
	require.NoError(l.t, err)
	return netip.AddrPortFrom(to.AddrPort().Addr().Unmap(), to.AddrPort().Port())
}

// open gives the lane another address, which it reads from now on.
func (l *lane) open(from netip.Addr) *socket {
	l.t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)))
	require.NoError(l.t, err)
	require.NoError(l.t, conn.SetReadBuffer(4<<20))
	s := &socket{l: l, conn: conn, to: l.gateway()}
	l.reading.Go(s.listen)
	l.t.Cleanup(func() { conn.Close() })
	return s
}

// another is open on the address that the lane has now: only the port is new.
func (l *lane) another() *socket {
	l.t.Helper()
	return l.open(l.sock.local().Addr())
}

// local is the address as the gateway sees it.
func (s *socket) local() netip.AddrPort {
	a := s.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// send sends a datagram as it is.
func (s *socket) send(packet []byte) {
	s.l.t.Helper()
	s.sent.Add(int64(len(packet)))
	_, err := s.conn.WriteToUDPAddrPort(packet, s.to)
	require.NoError(s.l.t, err)
}

// seal makes the next DATA packet of the newest epoch.
func (l *lane) seal(frames ...[]byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	number := l.newest.sent
	l.newest.sent++
	return l.newest.keys.up(l.offer.Cid, number, bytes.Join(frames, nil))
}

// sealAs is seal with the epoch of a packet whose first byte is given: who answers
// does not begin a new epoch by that.
func (l *lane) sealAs(byte0 byte, frames []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.epochs[byte0>>3&1]
	e.sent++
	return e.keys.up(l.offer.Cid, e.sent-1, frames)
}

// greet makes the next HELLO.
func (l *lane) greet(cookie []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	number := l.newest.sent
	l.newest.sent++
	return l.newest.keys.hello(l.offer.Cid, l.offer.Token, cookie, number, time.Now())
}

// skip leaves packet numbers out, so that the next one is number.
func (l *lane) skip(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.newest.sent = number
}

// tell sends frames in one packet.
func (l *lane) tell(frames ...[]byte) {
	l.t.Helper()
	l.sock.send(l.seal(frames...))
}

// bind sends the series of HELLOs until ACCEPT, and answers a RETRY once; then it
// proves that the gateway has taken the PATH_RESPONSE, too.
func (l *lane) bind() {
	l.t.Helper()
	from, retried := len(l.in.all()), false
	for _, gap := range []time.Duration{250, 250, 500, 1000, 1000} {
		l.sock.send(l.greet(nil))
		for until := time.Now().Add(gap * time.Millisecond); ; {
			a, ok := l.in.within(time.Until(until), from, func(a arrival) bool {
				return accepts(l.sock)(a) || a.on == l.sock && a.kind == uRetry && !retried
			})
			if !ok {
				break
			}
			if a.kind == uData {
				l.settled()
				return
			}
			retried = true
			l.sock.send(l.greet(a.raw[9:]))
		}
	}
	require.FailNow(l.t, "five HELLOs, and no ACCEPT")
}

// settled returns once the gateway sends unreliable messages by the lane.
func (l *lane) settled() {
	l.t.Helper()
	l.in.await(l.t, "a path challenge", func(a arrival) bool { return a.has(fPathChallenge) != nil })
	l.fence()
}

// fence returns when the gateway has judged everything that was sent before on the
// one socket that it reads.
func (l *lane) fence() {
	l.t.Helper()
	from := len(l.in.all())
	opaque := fenceMark()
	l.tell(lanePing(opaque))
	_, ok := l.in.within(patience, from, func(a arrival) bool {
		f := a.has(fPong)
		return f != nil && string(f.body[:8]) == opaque
	})
	require.True(l.t, ok, "a PING on the lane is not answered")
}

var fences atomic.Uint64

func fenceMark() string { return string(binary.BigEndian.AppendUint64(nil, 1<<63|fences.Add(1))) }

// endMark begins the datagrams that a test sends to itself.
const endMark = "end of what came before "

// quiet asserts that nothing but what may arrived at a socket since an index of
// the journal; nothing the gateway sent before can come later.
func (l *lane) quiet(from int, s *socket, may func(arrival) bool) {
	l.t.Helper()
	mark := []byte(endMark + fenceMark())
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.local().Addr(), 0)))
	require.NoError(l.t, err)
	defer c.Close()
	s.received.Add(-int64(len(mark)))
	_, err = c.WriteToUDPAddrPort(mark, s.local())
	require.NoError(l.t, err)
	l.in.await(l.t, "a datagram to oneself", func(a arrival) bool { return bytes.Equal(a.raw, mark) })
	for _, a := range l.in.all()[from:] {
		if a.on == s && !bytes.HasPrefix(a.raw, []byte(endMark)) && (may == nil || !may(a)) {
			require.Failf(l.t, "what must not be answered is answered", "kind %d, %d bytes, %v %s: %x", a.kind, len(a.raw), a.frames, a.bad, a.raw)
		}
	}
}
