package udp

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/net/ipv4"

	"strait/transport"
	"strait/transport/outbox"
	"strait/udp/sealed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long something that must happen may take.
const patience = 20 * time.Second

// site is a service on loopback, and those who use it.
type site struct {
	t      testing.TB
	sv     *Service
	pool   *transport.Pool
	host   string
	skip   *atomic.Int64 // how far the clock was put forward
	others chan packet   // what came for QUIC, as much as has room; with Config.Share
}

// now is the time of everybody here.
func (s *site) now() time.Time { return time.Now().Add(time.Duration(s.skip.Load())) }

// forward puts the clock forward.
func (s *site) forward(d time.Duration) {
	s.skip.Add(int64(d))
	select {
	case s.sv.wheel.rouse <- struct{}{}:
	default:
	}
}

func newSite(t testing.TB, host string, change func(*Config)) *site {
	t.Helper()
	s := &site{t: t, pool: transport.NewPool(0, nil), host: host, skip: new(atomic.Int64), others: make(chan packet, 1<<12)}
	c := Config{Pool: s.pool, inner: inner{now: s.now}}
	if change != nil {
		change(&c)
	}
	sv, err := Listen(context.Background(), net.JoinHostPort(host, "0"), c)
	if err != nil && host == "::1" {
		t.Skip("no IPv6 here: ", err)
	}
	require.NoError(t, err)
	s.sv = sv
	var reading sync.WaitGroup
	if c.Share {
		reading.Go(s.read)
	}
	t.Cleanup(func() {
		require.NoError(t, sv.Close())
		reading.Wait()
		require.Zero(t, s.pool.Live(), "buffers that nobody released")
	})
	return s
}

// read reads as quic-go does, in batches of 8, into the same buffers.
func (s *site) read() {
	ms := make([]ipv4.Message, 8)
	for i := range ms {
		ms[i].Buffers, ms[i].OOB = [][]byte{make([]byte, 1452)}, make([]byte, 128)
	}
	for {
		n, err := s.sv.Shared().ReadBatch(ms, 0)
		if err != nil {
			return
		}
		if n == 0 {
			panic("a batch of nothing")
		}
		for _, m := range ms[:n] {
			select {
			case s.others <- packet{b: bytes.Clone(m.Buffers[0][:m.N]), control: bytes.Clone(m.OOB[:m.NN]), from: m.Addr.(*net.UDPAddr)}:
			default:
			}
		}
	}
}

// everywhere runs f for every way of moving datagrams.
func everywhere(t *testing.T, f func(t *testing.T, host string, change func(*Config))) {
	for _, c := range []struct {
		name, host string
		sockets    int
		noBatch    bool
		share      bool
	}{
		{"batch, IPv4", "127.0.0.1", 1, false, false},
		{"batch, IPv6", "::1", 1, false, false},
		{"batch, every address", "", 1, false, false},
		{"batch, 3 sockets", "127.0.0.1", 3, false, false},
		{"portable, IPv4", "127.0.0.1", 1, true, false},
		{"portable, IPv6", "::1", 1, true, false},
		{"portable, every address", "", 1, true, false},
		{"portable, 3 sockets", "::1", 3, true, false},
		{"shared batch, IPv4", "127.0.0.1", 1, false, true},
		{"shared batch, IPv6", "::1", 1, false, true},
		{"shared batch, every address", "", 1, false, true},
		{"shared portable, IPv4", "127.0.0.1", 1, true, true},
		{"shared portable, IPv6", "::1", 1, true, true},
		{"shared portable, every address", "", 1, true, true},
	} {
		if c.sockets > 1 && !shards {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			f(t, c.host, func(cfg *Config) { cfg.Sockets, cfg.NoBatch, cfg.Share = c.sockets, c.noBatch, c.share })
		})
	}
}

func (s *site) addr() *net.UDPAddr {
	a := *s.sv.Addr().(*net.UDPAddr)
	if a.IP.IsUnspecified() {
		a.IP = net.IPv4(127, 0, 0, 1)
	}
	return &a
}

func (s *site) eventually(cond func() bool, what string) {
	s.t.Helper()
	require.Eventually(s.t, cond, patience, time.Millisecond, what)
}

// peer is a session's end of a lane: it records, and echoes if asked to.
type peer struct {
	pool *transport.Pool
	lane transport.Lane
	echo bool
	mute bool // nothing is recorded
	out  outbox.Queue

	inside atomic.Bool
	mu     sync.Mutex
	got    []string
	bound  []bool
	offers []transport.Offer
	wrong  []string
}

func (p *peer) Deliver(ms []transport.Message) {
	if !p.inside.CompareAndSwap(false, true) {
		p.blame("Deliver beside Deliver")
	}
	defer p.inside.Store(false)
	for _, m := range ms {
		if m.Delivery != transport.Unreliable {
			p.blame("a message that is not unreliable")
		}
		if p.mute {
			m.Buf.Release()
			continue
		}
		if !p.echo {
			p.mu.Lock()
			p.got = append(p.got, fmt.Sprintf("%d/%d %s", m.Channel, m.Seq, m.Buf.B))
			p.mu.Unlock()
			m.Buf.Release()
			continue
		}
		_, _ = p.out.Push(m)
	}
	if p.echo {
		p.mu.Lock()
		lane := p.lane
		p.mu.Unlock()
		lane.Wake()
	}
}

func (p *peer) Pull(dst []transport.Message, budget int) []transport.Message {
	return p.out.Pull(dst, transport.Unreliable, transport.AnyChannel, budget)
}

func (p *peer) Offer(o transport.Offer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offers = append(p.offers, o)
}

func (p *peer) Bound(b bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.bound); n > 0 && p.bound[n-1] == b || n == 0 && !b {
		p.wrong = append(p.wrong, "Bound says the same again")
	}
	p.bound = append(p.bound, b)
	p.out.SetDatagrams(b)
}

func (p *peer) blame(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrong = append(p.wrong, what)
}

func (p *peer) received() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.got...)
}

func (p *peer) isBound() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.bound) > 0 && p.bound[len(p.bound)-1]
}

// send queues messages and wakes the lane once.
func (p *peer) send(channel uint8, payloads ...string) {
	for _, s := range payloads {
		_, _ = p.out.Push(transport.Message{Delivery: transport.Unreliable, Channel: channel, Buf: p.pool.Copy([]byte(s))})
	}
	p.lane.Wake()
}

// attach offers a lane to a new session.
func (s *site) attach(echo bool, shard int) (*peer, transport.Offer, transport.ID) {
	s.t.Helper()
	p := &peer{pool: s.pool, echo: echo}
	p.out.Init(outbox.Config{})
	var id transport.ID
	rand.Read(id[:])
	lane, o, err := s.sv.Offer(transport.Attachment{Session: id, Shard: shard, Remote: netip.MustParseAddrPort("127.0.0.1:1"), AEADs: []uint32{2, 1}, Peer: p})
	require.NoError(s.t, err)
	p.mu.Lock()
	p.lane = lane
	p.mu.Unlock()
	s.t.Cleanup(func() {
		_ = s.sv.Close()
		p.out.Seal()
		p.out.Drop()
		require.Empty(s.t, p.wrong)
	})
	return p, o, id
}

// client is a game's end, driven by the test's own goroutine over a real socket.
type client struct {
	t    testing.TB
	s    *site
	conn *net.UDPConn
	core *sealed.Client
	buf  []byte
	p    sealed.Packet
	got  []string
	raw  func(pkt []byte, out bool) // sees every datagram; may be nil
	in   int                        // datagrams received
	out  uint64                     // datagrams sent
}

func (s *site) client(id transport.ID, o transport.Offer) *client {
	s.t.Helper()
	c := &client{t: s.t, s: s, buf: make([]byte, 4096)}
	core, err := sealed.NewClient(sealed.ClientConfig{}, sealed.SessionID(id), s.now())
	require.NoError(s.t, err)
	c.core = core
	c.roam()
	c.take(o)
	return c
}

// open attaches a session and binds its lane.
func (s *site) open(echo bool, shard int) (*peer, *client) {
	s.t.Helper()
	p, o, id := s.attach(echo, shard)
	c := s.client(id, o)
	c.bind(p)
	return p, c
}

func (c *client) bind(p *peer) {
	c.t.Helper()
	c.until(func() bool { return c.core.Bound() && p.isBound() }, "the lane is bound")
}

func (c *client) take(o transport.Offer) {
	c.t.Helper()
	require.NoError(c.t, c.core.Offer(sealed.Offer{
		CID: o.CID, Token: o.Token, Secret: o.Secret, Epoch: o.Epoch, AEAD: sealed.AEAD(o.AEAD),
		Lifetime: o.Lifetime, ResetValue: o.ResetValue,
	}, c.s.now()))
}

// roam goes on from a new socket, whose port is another one.
func (c *client) roam() {
	c.t.Helper()
	if c.conn != nil {
		require.NoError(c.t, c.conn.Close())
	}
	conn, err := net.DialUDP("udp", nil, c.s.addr())
	require.NoError(c.t, err)
	c.t.Cleanup(func() { _ = conn.Close() })
	c.conn = conn
}

// local is the address that the service sees.
func (c *client) local() netip.AddrPort { return c.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

func (c *client) write(pkt []byte) {
	if c.raw != nil {
		c.raw(pkt, true)
	}
	c.out++
	_, err := c.conn.Write(pkt)
	require.NoError(c.t, err)
}

// pump sends what the core has to say.
func (c *client) pump() {
	for {
		pkt, ok := c.core.Control(c.buf[:0], c.s.now())
		if !ok {
			return
		}
		c.write(pkt)
	}
}

// step waits a moment for a datagram and lets the core have it.
func (c *client) step(wait time.Duration) (got bool) {
	c.pump()
	require.NoError(c.t, c.conn.SetReadDeadline(time.Now().Add(wait)))
	n, err := c.conn.Read(c.buf)
	now := c.s.now()
	if d := c.core.Deadline(); !d.IsZero() && !d.After(now) {
		c.core.Tick(now)
	}
	if err != nil {
		return false
	}
	c.in++
	if c.raw != nil {
		c.raw(bytes.Clone(c.buf[:n]), false)
	}
	c.core.Receive(c.buf[:n], now, c)
	c.pump()
	return true
}

func (c *client) Message(channel uint8, seq uint16, m []byte) {
	c.got = append(c.got, fmt.Sprintf("%d/%d %s", channel, seq, m))
}

func (c *client) until(cond func() bool, what string) {
	c.t.Helper()
	for end := time.Now().Add(patience); !cond(); c.step(5 * time.Millisecond) {
		if time.Now().After(end) {
			require.Fail(c.t, "it did not happen: "+what)
		}
	}
}

// send sends one message alone in its datagram, and returns that.
func (c *client) send(channel uint8, seq uint16, m string) (pkt []byte) {
	c.t.Helper()
	pkt = c.seal(channel, seq, m)
	c.write(pkt)
	return pkt
}

func (c *client) seal(channel uint8, seq uint16, m string) []byte {
	c.t.Helper()
	c.p.Start(make([]byte, sealed.MaxPacket), sealed.ToGateway)
	require.True(c.t, c.p.Message(channel, seq, []byte(m)))
	pkt, err := c.core.Seal(&c.p, c.s.now())
	require.NoError(c.t, err)
	return pkt
}

var reasonNormal = transport.Reason{Code: transport.Normal}

func message(pool *transport.Pool, s string) transport.Message {
	return transport.Message{Delivery: transport.Unreliable, Buf: pool.Copy([]byte(s))}
}

type addrPorter interface{ AddrPort() netip.AddrPort }
