package udp

import (
	"bytes"
	"crypto/rand"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/internal/fleetkey"
	"strait/transport"
	"strait/udp/sealed"
)

// stranger returns a socket that has nothing to do with any client.
func (s *site) stranger() *net.UDPConn {
	s.t.Helper()
	conn, err := net.DialUDP("udp", nil, s.addr())
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// received is how many datagrams were read.
func (s *site) received() (n uint64) {
	for _, so := range s.sv.Stats().Sockets {
		n += so.DatagramsIn
	}
	return n
}

// drain reads all that conn is sent until nothing came for a moment, which begins when
// at least so many are there.
func drain(t *testing.T, conn *net.UDPConn, least int) (all [][]byte) {
	t.Helper()
	buf := make([]byte, 4096)
	for {
		wait := 10 * time.Millisecond
		if len(all) < least {
			wait = patience
		}
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(wait)))
		n, err := conn.Read(buf)
		if err != nil {
			return all
		}
		all = append(all, bytes.Clone(buf[:n]))
	}
}

// firstHello returns the first HELLO of a session that nobody has sent yet.
func (s *site) firstHello() (*peer, *client, []byte) {
	s.t.Helper()
	p, o, id := s.attach(false, 0)
	c := s.client(id, o)
	pkt, ok := c.core.Control(make([]byte, 0, sealed.MaxPacket), s.now())
	require.True(s.t, ok)
	require.Len(s.t, pkt, sealed.MaxPacket)
	return p, c, pkt
}

// A session goes on while others send what they like; nothing of it is answered.
func TestFloods(t *testing.T) {
	everywhere(t, func(t *testing.T, host string, change func(*Config)) {
		s := newSite(t, host, change)
		_, c := s.open(true, 0)
		_, _, hello := s.firstHello()
		good := bytes.Clone(c.seal(9, 0, "never sent"))
		random := make([]byte, 9000)
		rand.Read(random)
		kinds := [][]byte{
			{}, {0x12}, random[:29], random[:30], random[:1200], random[:1201], random, good[:29], good[:len(good)-1],
			hello[:1199], append(bytes.Clone(hello), 0), bytes.Repeat([]byte{0}, 1200), bytes.Repeat([]byte{0xff}, 1200),
		}
		for _, at := range []int{0, 1, 5, 9, 12, len(good) - 1} {
			bad := bytes.Clone(good)
			bad[at] ^= 0x10
			kinds = append(kinds, bad)
		}
		for _, at := range []int{9, 10, 39, 45, 1190} {
			bad := bytes.Clone(hello)
			bad[at] ^= 0x10
			kinds = append(kinds, bad)
		}
		other := s.stranger()
		resets := 0
		for i := range 30 {
			for _, k := range kinds {
				_, err := other.Write(k)
				require.NoError(t, err)
			}
			c.send(0, uint16(i), "x")
			c.until(func() bool { return len(c.got) == i+1 }, "the session is not disturbed")
		}
		var st Stats
		for end := time.Now().Add(patience); (st.Resets == 0 || st.Resets != uint64(resets)) && time.Now().Before(end); {
			for _, pkt := range drain(t, other, 0) {
				ty, ok := sealed.TypeOf(pkt)
				require.True(t, ok && ty == sealed.TypeReset, "the only answer is RESET")
				resets++
			}
			st = s.sv.Stats() // an answer is counted before it is sent
		}
		assert.EqualValues(t, st.Resets, resets)
		for _, d := range []sealed.Drop{sealed.DropType, sealed.DropSize, sealed.DropVersion, sealed.DropHello, sealed.DropToken, sealed.DropUnknown, sealed.DropAuth} {
			assert.NotZero(t, st.Drops[d], "%v", d)
		}
		assert.EqualValues(t, 1, st.Bound)
	})
}

func TestReset(t *testing.T) {
	everywhere(t, func(t *testing.T, host string, change func(*Config)) {
		ring := fleetkey.Generate()
		s := newSite(t, host, func(c *Config) { change(c); c.ResetRate, c.FleetKey, c.NodeID = 8, ring, "a" })
		p, o, id := s.attach(false, 0)
		c := s.client(id, o)
		c.bind(p)
		pkt := bytes.Clone(c.seal(0, 0, "is anybody there?"))
		s.eventually(func() bool { return s.received() == c.out }, "what the client sent was read")
		p.lane.Close(transport.Reason{})
		s.eventually(func() bool { return s.sv.Stats().Lanes == 0 }, "it is closed")
		s.forward(linger + time.Second)
		s.eventually(func() bool { s.sv.table.mu.Lock(); defer s.sv.table.mu.Unlock(); return s.sv.table.live == 0 }, "it is forgotten")
		other := s.stranger()
		began := time.Now()
		for range 50 {
			_, err := other.Write(pkt)
			require.NoError(t, err)
		}
		s.eventually(func() bool { st := s.sv.Stats(); return st.Resets+st.ResetsWithheld == 50 }, "all is answered or not")
		allowed := 3 + int(8*time.Since(began).Seconds())
		_, err := other.Write(pkt[:sealed.MinData-1])
		require.NoError(t, err)
		got := drain(t, other, 3)
		require.GreaterOrEqual(t, len(got), 3, "a burst is answered")
		require.LessOrEqual(t, len(got), allowed, "no more than the rate allows")
		for _, r := range got {
			require.Len(t, r, sealed.ResetLen)
			require.Equal(t, pkt[1:9], r[1:9])
			require.Equal(t, o.ResetValue[:], r[9:])
		}
		st := s.sv.Stats()
		require.EqualValues(t, len(got), st.Resets)
		require.EqualValues(t, 50-len(got), st.ResetsWithheld)

		sibling := newSite(t, "127.0.0.1", func(c *Config) { c.FleetKey, c.NodeID = ring, "a" })
		require.NotEqual(t, o.ResetValue, sibling.sv.resets.Value(o.CID), "another gateway of the same name, at another address")
		addr := s.sv.Addr().String()
		require.NoError(t, s.sv.Close())
		same, err := Listen(t.Context(), addr, Config{FleetKey: ring, NodeID: "a", Pool: s.pool})
		require.NoError(t, err)
		require.Equal(t, o.ResetValue, same.resets.Value(o.CID), "the same gateway after a restart")
		require.NoError(t, same.Close())
		twin := newSite(t, "127.0.0.1", func(c *Config) { c.FleetKey, c.NodeID = ring, "b" })
		require.NotEqual(t, o.ResetValue, twin.sv.resets.Value(o.CID), "another gateway of the fleet")
		unnamed := newSite(t, "127.0.0.1", func(c *Config) { c.FleetKey = ring })
		require.NotEqual(t, o.ResetValue, unnamed.sv.resets.Value(o.CID))
	})
}

func TestRetryAlways(t *testing.T) {
	everywhere(t, func(t *testing.T, host string, change func(*Config)) {
		s := newSite(t, host, func(c *Config) { change(c); c.Retry = RetryAlways })
		_, c := s.open(true, 0)
		c.send(0, 0, "x")
		c.until(func() bool { return len(c.got) == 1 }, "an echo")
		st := s.sv.Stats()
		require.EqualValues(t, 1, st.Retries)
		require.EqualValues(t, 1, st.Hellos[sealed.DropCookie])
		require.EqualValues(t, 1, st.Hellos[sealed.DropNone])
	})
}

// Failed proofs turn the demand for cookies on; it ends with them.
func TestRetryUnderLoad(t *testing.T) {
	s := newSite(t, "127.0.0.1", func(c *Config) { c.HelloRate = 10000 })
	_, _, hello := s.firstHello()
	hello[100] ^= 1
	other := s.stranger()
	s.eventually(func() bool {
		for range 50 {
			_, err := other.Write(hello)
			require.NoError(t, err)
		}
		return s.sv.Stats().Loaded
	}, "too many failures")
	_, _ = s.open(false, 0)
	st := s.sv.Stats()
	require.NotZero(t, st.Retries, "players prove their address")
	for _, pkt := range drain(t, other, 0) {
		require.Len(t, pkt, sealed.RetryLen)
	}
	s.forward(loadHold + time.Second)
	require.False(t, s.sv.Stats().Loaded)

	off := newSite(t, "127.0.0.1", func(c *Config) { c.Retry = RetryOff })
	off.sv.load.until.Store(1 << 62)
	_, _ = off.open(false, 0)
	require.Zero(t, off.sv.Stats().Retries)
}

func TestHelloRate(t *testing.T) {
	s := newSite(t, "127.0.0.1", func(c *Config) { c.HelloRate, c.Retry = 1, RetryOff })
	_, _, hello := s.firstHello()
	hello[100] ^= 1
	other := s.stranger()
	for range 20 {
		_, err := other.Write(hello)
		require.NoError(t, err)
	}
	s.eventually(func() bool { return s.sv.Stats().Hellos[sealed.DropRate] >= 15 }, "one network has its share")
	require.Empty(t, drain(t, other, 0))
	s.forward(time.Minute)
	for range 10 {
		_, _ = s.open(false, 0)
	}
	require.LessOrEqual(t, s.sv.Stats().Hellos[sealed.DropRate], uint64(16), "what proves itself costs nothing")
}

// An address that has proven nothing gets no more bytes than it sent.
func TestAmplification(t *testing.T) {
	everywhere(t, func(t *testing.T, host string, change func(*Config)) {
		s := newSite(t, host, change)
		p, _, hello := s.firstHello()
		other := s.stranger()
		_, err := other.Write(hello) // as a victim whose address was forged
		require.NoError(t, err)
		s.eventually(func() bool { return s.sv.Stats().Hellos[sealed.DropNone] == 1 }, "the HELLO is answered")
		p.send(0, string(make([]byte, 1000)))
		got := 0
		for i := range 20 {
			s.forward(250 * time.Millisecond)
			for _, pkt := range drain(t, other, max(0, 1-i)) { // at first the answer
				got += len(pkt)
			}
		}
		require.NotZero(t, got)
		require.LessOrEqual(t, got, sealed.MaxPacket)
		require.False(t, p.isBound())
	})
}

func TestTokens(t *testing.T) {
	s := newSite(t, "127.0.0.1", nil)
	pa, oa, ida := s.attach(false, 0)
	_, ob, _ := s.attach(false, 0)

	stolen := oa
	stolen.Token = ob.Token
	c := s.client(ida, stolen)
	c.pump()
	s.eventually(func() bool { return s.sv.Stats().Hellos[sealed.DropToken] == 1 }, "a token of another session")

	c = s.client(ida, oa)
	pkt, ok := c.core.Control(make([]byte, 0, sealed.MaxPacket), s.now())
	require.True(t, ok)
	s.forward(DefaultTokenLifetime + time.Second)
	c.write(pkt)
	s.eventually(func() bool { return s.sv.Stats().Hellos[sealed.DropExpired] == 1 }, "a token that waited too long")
	require.False(t, pa.isBound())
	require.False(t, c.step(30*time.Millisecond), "no answer")
}
