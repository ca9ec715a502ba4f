package udp

import (
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"strait/transport"
	"strait/udp/sealed"
)

// A datagram that comes to another socket than its lane's is served all the same,
// beside those that come to the right one.
func TestWrongSocket(t *testing.T) {
	if !shards {
		t.Skip("one socket has a port here")
	}
	for _, noBatch := range []bool{false, true} {
		s := newSite(t, "127.0.0.1", func(c *Config) { c.Sockets, c.NoBatch = 3, noBatch })
		p, c := s.open(false, 0)
		in := prepared(c, 200, 40)
		done := make(chan bool)
		for i := range 2 {
			go func() { // these sockets' readers sleep: nobody sends to them
				for j := i; j < len(in); j += 2 {
					s.sv.sockets[1+i].process(in[j : j+1])
				}
				done <- true
			}()
		}
		for i := range 50 {
			c.send(1, uint16(i), "the right one")
		}
		<-done
		<-done
		s.eventually(func() bool { return len(p.received()) == 250 }, "all arrive once")
		p.send(0, "back")
		c.until(func() bool { return len(c.got) == 1 }, "and it writes to its own socket")
		require.Zero(t, s.sv.Stats().Sockets[1].DatagramsOut+s.sv.Stats().Sockets[2].DatagramsOut)
	}
}

// Sessions of one dispatcher shard are served by one socket.
func TestShardsOfSessions(t *testing.T) {
	if !shards {
		t.Skip("one socket has a port here")
	}
	s := newSite(t, "127.0.0.1", func(c *Config) { c.Sockets = 3 })
	for shard := range 7 {
		_, o, _ := s.attach(false, shard)
		require.EqualValues(t, shard%3, o.CID[0])
	}
}

// The kernel gives a datagram to the socket that its cid names, wherever it comes from.
func TestSteering(t *testing.T) {
	if !shards {
		t.Skip("one socket has a port here")
	}
	everywhere(t, func(t *testing.T, host string, change func(*Config)) {
		s := newSite(t, host, func(c *Config) { change(c); c.Share, c.Sockets = false, 4 })
		pkt := make([]byte, sealed.MinData)
		pkt[0] = 0x12
		for i := range 40 {
			pkt[1] = uint8(i % 4)
			_, err := s.stranger().Write(pkt)
			require.NoError(t, err)
		}
		s.eventually(func() bool { return s.received() == 40 }, "all are read")
		for i, so := range s.sv.Stats().Sockets {
			require.EqualValues(t, 10, so.DatagramsIn, "socket %d", i)
		}
	})
}

// No socket idles while another has the lanes of all sessions, which may be of one
// dispatcher shard.
func TestSocketsShareLanes(t *testing.T) {
	if !shards {
		t.Skip("one socket has a port here")
	}
	s := newSite(t, "127.0.0.1", func(c *Config) { c.Sockets = 4 })
	var of [4]int
	var first []*peer
	for range 100 {
		p, o, _ := s.attach(false, 0)
		of[o.CID[0]]++
		if o.CID[0] == 1 {
			first = append(first, p)
		}
	}
	for _, n := range of {
		require.InDelta(t, 25, n, 8, "%v", of)
	}
	for _, p := range first {
		p.lane.Close(transport.Reason{})
	}
	s.eventually(func() bool { return s.sv.Stats().Lanes == int64(100-len(first)) }, "they are closed")
	for range len(first) {
		_, o, _ := s.attach(false, 0)
		require.EqualValues(t, 1, o.CID[0], "where there is room again")
	}
}

// tally counts what is sent to one address.
type tally struct {
	port
	to    atomic.Pointer[netip.AddrPort]
	bytes atomic.Int64
}

func (c *tally) write(out []datagram, wait bool) (n int) {
	n = c.port.write(out, wait)
	for _, d := range out[:n] {
		if to := c.to.Load(); to != nil && d.remote == *to {
			c.bytes.Add(int64(len(d.b)))
		}
	}
	return n
}

// Whatever arrives is answered by nothing, or by less than it was.
func FuzzDatagram(f *testing.F) {
	out := new(tally)
	s := newSite(f, "127.0.0.1", func(c *Config) {
		c.ResetRate, c.inner.port = 1e6, func(p port) port { out.port = p; return out }
	})
	p, c := s.open(false, 0)
	p.mute = true
	_, _, hello := s.firstHello()
	f.Add(hello)
	f.Add(append([]byte(nil), c.seal(0, 0, "a message")...))
	for _, n := range []int{0, 1, 8, 9, sealed.MinData - 1, sealed.MinData, sealed.MaxPacket, sealed.MaxPacket + 1} {
		f.Add(make([]byte, n))
		b := make([]byte, n)
		for i := range b {
			b[i] = 0x12
		}
		f.Add(b)
	}
	so := s.sv.sockets[0]
	from := unmap(s.stranger().LocalAddr().(addrPorter).AddrPort())
	out.to.Store(&from)
	// In all, because a lane repeats a challenge when it is time, not when it is asked.
	in := int64(0)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > receiveSize {
			b = b[:receiveSize]
		}
		in += int64(len(b))
		so.process([]datagram{{b: append([]byte(nil), b...), remote: from}})
		if n := out.bytes.Load(); n > in {
			t.Fatalf("%d bytes are answered with %d", in, n)
		}
	})
}
