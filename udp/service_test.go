package udp

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/transport"
	"strait/transport/outbox"
	"strait/udp/sealed"
)

func TestEcho(t *testing.T) {
	everywhere(t, func(t *testing.T, host string, change func(*Config)) {
		s := newSite(t, host, change)
		for shard := range 5 {
			p, o, id := s.attach(true, shard)
			c := s.client(id, o)
			c.bind(p)
			require.EqualValues(t, shard%len(s.sv.sockets), o.CID[0], "the first byte of the id is the socket")
			var want []string
			for i := range 20 {
				c.send(uint8(i%3), uint16(i), fmt.Sprintf("message %d", i))
				want = append(want, fmt.Sprintf("%d/%d message %d", i%3, i/3, i))
			}
			c.until(func() bool { return len(c.got) == len(want) }, "every message comes back")
			assert.ElementsMatch(t, want, c.got)
		}
		st := s.sv.Stats()
		assert.EqualValues(t, 5, st.Lanes)
		assert.EqualValues(t, 5, st.Bound)
		assert.EqualValues(t, 100, st.MessagesIn)
		assert.EqualValues(t, 100, st.MessagesOut)
		assert.EqualValues(t, 5, st.Hellos[sealed.DropNone])
		for i, n := range st.Drops {
			assert.Zero(t, n, "%v", sealed.Drop(i))
		}
		for i := range st.Sockets {
			assert.NotZero(t, st.Sockets[i].DatagramsIn, "the kernel steers datagrams to socket %d", i)
		}
	})
}

func TestMessagesShareDatagrams(t *testing.T) {
	everywhere(t, func(t *testing.T, host string, change func(*Config)) {
		s := newSite(t, host, change)
		p, c := s.open(false, 0)
		c.until(func() bool { return !c.step(time.Millisecond) }, "quiet")
		before := c.in
		var many []string
		for i := range 40 {
			many = append(many, fmt.Sprintf("%050d", i))
		}
		p.send(7, many...)
		c.until(func() bool { return len(c.got) == len(many) }, "all come")
		for i, m := range many {
			require.Equal(t, fmt.Sprintf("7/%d %s", i, m), c.got[i])
		}
		require.Equal(t, 2, c.in-before, "40 messages of 50 bytes are two datagrams")
	})
}

func TestLongMessages(t *testing.T) {
	everywhere(t, func(t *testing.T, host string, change func(*Config)) {
		s := newSite(t, host, change)
		p, c := s.open(false, 0)
		require.Equal(t, DefaultMaxMessage, p.lane.Max())
		var want []string
		for i, n := range []int{1100, sealed.MaxMessage, sealed.MaxMessage + 1, 1173, 1174, 5000, DefaultMaxMessage, 0} {
			m := strings.Repeat(string(rune('a'+i)), n)
			p.send(1, m)
			want = append(want, fmt.Sprintf("1/%d %s", i, m))
			c.until(func() bool { return len(c.got) == i+1 }, "it comes")
		}
		require.Equal(t, want, c.got)

		long := strings.Repeat("z", 7000)
		pieces := sealed.Pieces(len(long), sealed.ToGateway)
		for i := range pieces {
			c.p.Start(make([]byte, sealed.MaxPacket), sealed.ToGateway)
			require.True(t, c.p.Piece(3, 9, []byte(long), i, pieces))
			pkt, err := c.core.Seal(&c.p, s.now())
			require.NoError(t, err)
			c.write(pkt)
		}
		s.eventually(func() bool { return len(p.received()) == 1 }, "it arrives")
		require.Equal(t, "3/9 "+long, p.received()[0])
		require.Zero(t, s.sv.Stats().MessagesLost)

		p.send(1, strings.Repeat("x", 60000))
		s.eventually(func() bool { return s.sv.Stats().MessagesLost == 1 }, "no fragments carry that")
	})
}

func TestRoaming(t *testing.T) {
	everywhere(t, func(t *testing.T, host string, change func(*Config)) {
		s := newSite(t, host, change)
		p, c := s.open(true, 1)
		require.Equal(t, c.local().String(), p.lane.Path().Remote.String())
		before := c.local().String()
		c.roam()
		require.NotEqual(t, before, c.local().String())
		for i := 0; len(c.got) < 3; i++ {
			c.send(0, uint16(i), "from the new port")
			for c.step(20 * time.Millisecond) {
			}
			require.Less(t, i, 100)
		}
		c.until(func() bool { return p.lane.Path().Remote.String() == c.local().String() }, "the lane moved")
		st := s.sv.Stats()
		require.EqualValues(t, 1, st.Moves)
		require.EqualValues(t, 1, st.Bound)
		require.Equal(t, []bool{true}, p.bound)
	})
}

// What is told twice is heard once.
func TestReplays(t *testing.T) {
	everywhere(t, func(t *testing.T, host string, change func(*Config)) {
		s := newSite(t, host, change)
		p, o, id := s.attach(false, 0)
		c := s.client(id, o)
		var hello []byte
		c.raw = func(pkt []byte, out bool) {
			if ty, _ := sealed.TypeOf(pkt); out && ty == sealed.TypeHello {
				hello = append([]byte(nil), pkt...)
			}
		}
		c.bind(p)
		require.Len(t, hello, sealed.MaxPacket)
		pkt := append([]byte(nil), c.send(0, 0, "once")...)
		for range 5 {
			c.write(pkt)
			c.write(hello)
		}
		c.send(0, 1, "after")
		s.eventually(func() bool { return len(p.received()) >= 2 }, "messages")
		require.Equal(t, []string{"0/0 once", "0/1 after"}, p.received())
		s.eventually(func() bool { return s.sv.Stats().Hellos[sealed.DropReplay] == 5 }, "replays of HELLO are dropped")
		require.EqualValues(t, 1, s.sv.Stats().Hellos[sealed.DropNone])
		require.EqualValues(t, 1, s.sv.Stats().Bindings)
	})
}

func TestCloseOfALane(t *testing.T) {
	everywhere(t, func(t *testing.T, host string, change func(*Config)) {
		s := newSite(t, host, change)
		p, c := s.open(false, 0)
		_, _ = p.out.Push(transport.Message{Delivery: transport.Unreliable, Buf: s.pool.Copy([]byte("last words"))})
		p.lane.Close(transport.Reason{Code: transport.Kicked})
		p.lane.Close(transport.Reason{Code: transport.Idle})
		late := c.seal(0, 0, "late")
		c.until(func() bool { return !c.core.Bound() }, "the client hears of it")
		require.Equal(t, sealed.CauseRemote, c.core.Cause())
		require.Equal(t, []string{"0/0 last words"}, c.got, "what was queued goes first")
		s.eventually(func() bool { return !p.isBound() }, "the peer is told")
		require.Zero(t, s.sv.Stats().Lanes)

		before := s.sv.Stats().Late
		c.write(late)
		s.eventually(func() bool { return s.sv.Stats().Late > before }, "it is known for a while")
		p.lane.Wake()
		p.lane.Ping()
		p.lane.Path()
		require.Empty(t, p.received())
		require.Zero(t, s.sv.Stats().Resets)
		s.forward(linger + time.Second)
		s.eventually(func() bool {
			c.write(late)
			return s.sv.Stats().Resets > 0
		}, "then it is not")
	})
}

func TestSilenceUnbinds(t *testing.T) {
	s := newSite(t, "127.0.0.1", nil)
	p, c := s.open(false, 0)
	s.forward(DefaultSilence + time.Second)
	s.eventually(func() bool { return !p.isBound() }, "a silent client is unbound")
	st := s.sv.Stats()
	require.EqualValues(t, 1, st.Unbound[sealed.CauseIdle])
	require.EqualValues(t, 1, st.Lanes)
	require.Zero(t, st.Bound)
	s.forward(time.Minute)
	s.eventually(func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.offers) > 0
	}, "and gets a fresh offer")
	p.mu.Lock()
	o := p.offers[len(p.offers)-1]
	p.mu.Unlock()
	require.NotZero(t, o.Epoch)
	c.take(o)
	c.until(func() bool {
		if c.core.Bound() && p.isBound() {
			return true
		}
		s.forward(500 * time.Millisecond) // until the client finds out that it was unbound
		return false
	}, "which binds it again")
	c.send(0, 0, "again")
	s.eventually(func() bool { return len(p.received()) == 1 }, "messages")
}

func TestRotation(t *testing.T) {
	s := newSite(t, "127.0.0.1", func(c *Config) {
		c.inner.epochPackets = 400
	})
	p, c := s.open(true, 0)
	n := 0
	for i := range 1500 {
		if i%30 == 0 {
			s.forward(2 * time.Second) // old and new keys are taken together for 3 s
		}
		c.send(0, uint16(i), "x")
		c.until(func() bool { return len(c.got) > i }, "an echo")
		p.mu.Lock()
		if len(p.offers) > n {
			n = len(p.offers)
			o := p.offers[n-1]
			p.mu.Unlock()
			c.take(o)
			continue
		}
		p.mu.Unlock()
	}
	require.NotZero(t, n, "keys are renewed")
	require.Equal(t, []bool{true}, p.bound, "and nobody notices")
}

func TestCorkWritesTogether(t *testing.T) {
	s := newSite(t, "127.0.0.1", nil)
	if s.sv.sockets[0].port.waits() {
		t.Skip("one call for each datagram here")
	}
	var ps []*peer
	var cs []*client
	for range 20 {
		p, c := s.open(false, 0)
		ps, cs = append(ps, p), append(cs, c)
	}
	for _, c := range cs {
		c.until(func() bool { return !c.step(time.Millisecond) }, "quiet")
	}
	before := s.sv.Stats().Sockets[0]
	s.sv.Cork()
	s.sv.Cork()
	for _, p := range ps {
		p.send(0, "one", "two")
	}
	require.Equal(t, before.DatagramsOut, s.sv.Stats().Sockets[0].DatagramsOut, "not before Uncork")
	s.sv.Uncork()
	after := s.sv.Stats().Sockets[0]
	require.EqualValues(t, len(ps), after.DatagramsOut-before.DatagramsOut, "also with another Cork")
	require.EqualValues(t, 1, after.Writes-before.Writes)
	s.sv.Uncork()
	for _, c := range cs {
		c.until(func() bool { return len(c.got) == 2 }, "both")
	}
}

// turns records what a reader says of its turns.
type turns struct {
	grant  bool
	begun  map[int]int
	ended  int
	inside chan struct{} // a token held between the two
}

func (u *turns) BeginTurn(shard int) bool {
	u.inside <- struct{}{}
	u.begun[shard]++
	if !u.grant {
		<-u.inside
	}
	return u.grant
}

func (u *turns) EndTurn(int) {
	u.ended++
	<-u.inside
}

func TestTurns(t *testing.T) {
	for i := range 4 {
		grant, share := i%2 == 0, i/2 == 0
		u := &turns{grant: grant, begun: make(map[int]int), inside: make(chan struct{}, 1)}
		s := newSite(t, "127.0.0.1", func(c *Config) { c.Share = share })
		s.sv.SetTurns(u)
		_, c := s.open(true, 3)
		c.send(0, 0, "x")
		c.until(func() bool { return len(c.got) == 1 }, "an echo")
		require.NoError(t, s.sv.Close())
		require.Len(t, u.begun, 1)
		require.NotZero(t, u.begun[0], "one socket takes the turns of shard 0")
		if grant {
			require.Equal(t, u.begun[0], u.ended)
		} else {
			require.Zero(t, u.ended)
		}
	}
}

// Lanes that ended take nobody's place, though their ids are known for a while.
func TestAllReconnectAtOnce(t *testing.T) {
	s := newSite(t, "127.0.0.1", func(c *Config) { c.MaxLanes = 4 })
	for range 2 {
		var all []*peer
		for range 4 {
			p, _ := s.open(false, 0)
			all = append(all, p)
		}
		_, _, err := s.sv.Offer(transport.Attachment{AEADs: []uint32{1}, Peer: &peer{}})
		require.ErrorIs(t, err, ErrFull)
		for _, p := range all {
			p.lane.Close(reasonNormal)
		}
		s.eventually(func() bool { return s.sv.Stats().Lanes == 0 }, "the lanes end")
	}
}

// An id is known for as long as late packets may come.
func TestStonesStay(t *testing.T) {
	s := newSite(t, "127.0.0.1", nil)
	p, _ := s.open(false, 0)
	id := p.lane.(*Lane).id
	p.lane.Close(reasonNormal)
	s.eventually(func() bool { return s.sv.Stats().Lanes == 0 }, "the lane ends")
	s.forward(linger - time.Second)
	time.Sleep(100 * time.Millisecond) // of the wheel
	require.NotNil(t, s.sv.table.find(id))
	s.forward(2 * time.Second)
	s.eventually(func() bool { return s.sv.table.find(id) == nil }, "it is forgotten")
}

func TestOfferRefuses(t *testing.T) {
	s := newSite(t, "127.0.0.1", func(c *Config) { c.MaxLanes, c.AEADs = 2, []uint32{1} })
	p := &peer{pool: s.pool}
	offer := func(aeads ...uint32) (transport.Lane, transport.Offer, error) {
		return s.sv.Offer(transport.Attachment{AEADs: aeads, Peer: p})
	}
	_, _, err := offer(2, 7)
	require.ErrorIs(t, err, ErrNoAEAD)
	_, _, err = offer()
	require.ErrorIs(t, err, ErrNoAEAD)
	l, o, err := offer(2, 1)
	require.NoError(t, err)
	require.EqualValues(t, 1, o.AEAD)
	require.Equal(t, fmt.Sprintf(":%d", s.addr().Port), o.Address)
	require.Equal(t, DefaultTokenLifetime, o.Lifetime)
	require.NotZero(t, o.ResetValue)
	_, _, err = offer(1)
	require.NoError(t, err)
	_, _, err = offer(1)
	require.ErrorIs(t, err, ErrFull)
	require.ErrorIs(t, err, transport.ErrLanesFull, "which the gateway knows")
	require.EqualValues(t, 2, s.sv.Stats().Lanes)
	l.Close(transport.Reason{})
	require.NoError(t, s.sv.Close())
	require.NoError(t, s.sv.Close())
	_, _, err = offer(1)
	require.ErrorIs(t, err, net.ErrClosed)
	require.Zero(t, s.sv.Stats().Lanes)
}

func TestCloseOfTheService(t *testing.T) {
	everywhere(t, func(t *testing.T, host string, change func(*Config)) {
		s := newSite(t, host, change)
		p, c := s.open(false, 0)
		done := make(chan error)
		for range 2 {
			go func() { done <- s.sv.Close() }()
		}
		require.NoError(t, <-done)
		require.NoError(t, <-done)
		require.False(t, p.isBound())
		c.until(func() bool { return !c.core.Bound() }, "the client was told")
		require.Equal(t, sealed.CauseRemote, c.core.Cause())
		p.out.Init(outbox.Config{})
		p.send(0, "nobody takes it")
		p.lane.Ping()
		p.lane.Close(transport.Reason{})
	})
}
