package udp

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ports are what a socket can be served with.
func ports(t *testing.T, addr string, f func(t *testing.T, p port, o opened, count *portCounters)) {
	for _, batch := range []bool{true, false} {
		name := map[bool]string{true: "batch", false: "portable"}[batch]
		t.Run(name, func(t *testing.T) {
			all, err := open(context.Background(), addr, 1, 1<<20, 1<<20)
			if err != nil {
				t.Skip("no such address: ", err)
			}
			o := all[0]
			var count portCounters
			p := newPort(o, &count, !batch)
			if p.waits() == batch {
				t.Skip("only the portable way here")
			}
			t.Cleanup(func() { _ = p.close() })
			f(t, p, o, &count)
		})
	}
}

func TestPortsThereAndBack(t *testing.T) {
	for _, c := range []struct{ name, listen, client string }{
		{"IPv4", "127.0.0.1:0", "127.0.0.1"},
		{"IPv6", "[::1]:0", "::1"},
		{"every address, IPv4", ":0", "127.0.0.1"},
		{"every address, IPv6", ":0", "::1"},
		{"every address of IPv4", "0.0.0.0:0", "127.0.0.1"},
		{"another local address", ":0", "127.0.0.2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ports(t, c.listen, func(t *testing.T, p port, o opened, count *portCounters) {
				at := o.conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
				client, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(c.client), at)))
				if err != nil {
					t.Skip("no such address: ", err)
				}
				defer client.Close()
				in := make([]datagram, batchSize)
				buf := make([]byte, 2000)
				for round := range 3 {
					sent := 1 + 5*round
					for i := range sent {
						_, err = client.Write(bytes.Repeat([]byte{byte(i)}, 100+i))
						require.NoError(t, err)
					}
					for got := 0; got < sent; {
						n, err := p.read(in)
						require.NoError(t, err)
						for i := range n {
							require.Equal(t, bytes.Repeat([]byte{byte(got)}, 100+got), in[i].b)
							require.Equal(t, client.LocalAddr().(*net.UDPAddr).AddrPort(), in[i].remote)
							if o.wild && shards {
								require.Equal(t, netip.MustParseAddr(c.client), in[i].local.ip)
							}
							got++
						}
						for i := range n {
							in[i].b = bytes.Clone(in[i].b)
						}
						require.Equal(t, n, p.write(in[:n], false))
					}
					for i := range sent {
						n, err := client.Read(buf) // connected: only from the address that it sent to
						require.NoError(t, err)
						require.Equal(t, bytes.Repeat([]byte{byte(i)}, 100+i), buf[:n])
					}
				}
				require.Zero(t, count.refused.load())
				if !p.waits() {
					require.Less(t, count.writes.load(), uint64(18), "many with one call")
				}
			})
		})
	}
}

// What the kernel refuses for one datagram does not keep the others back.
func TestPortsGoOnAfterARefusal(t *testing.T) {
	ports(t, "127.0.0.1:0", func(t *testing.T, p port, o opened, count *portCounters) {
		client, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		require.NoError(t, err)
		defer client.Close()
		to := client.LocalAddr().(*net.UDPAddr).AddrPort()
		bad := netip.AddrPortFrom(netip.MustParseAddr("240.0.0.1"), 1) // no route from loopback
		out := []datagram{{b: []byte("a"), remote: bad}, {b: []byte("b"), remote: to}, {b: make([]byte, 70000), remote: to}, {b: []byte("c"), remote: to}, {b: []byte("d"), remote: bad}}
		require.Equal(t, len(out), p.write(out, false))
		buf := make([]byte, 100)
		for _, want := range []string{"b", "c"} {
			n, err := client.Read(buf)
			require.NoError(t, err)
			require.Equal(t, want, string(buf[:n]))
		}
		require.Equal(t, uint64(3), count.refused.load())
	})
}

// Who waits for room, as QUIC's writer on a shared socket may, keeps nobody else.
func TestPortsTryBesideOneWhoWaits(t *testing.T) {
	ports(t, "127.0.0.1:0", func(t *testing.T, p port, o opened, count *portCounters) {
		if p.waits() {
			t.Skip("the portable way waits in package net")
		}
		waits, room, ended := make(chan bool), make(chan bool), make(chan error)
		go func() {
			ended <- o.raw.Write(func(uintptr) bool {
				waits <- true
				<-room
				return true
			})
		}()
		<-waits
		to := o.conn.LocalAddr().(*net.UDPAddr).AddrPort()
		require.Equal(t, 1, p.write([]datagram{{b: []byte("x"), remote: to}}, false))
		n, err := p.read(make([]datagram, batchSize))
		require.NoError(t, err)
		require.Equal(t, 1, n)
		room <- true
		require.NoError(t, <-ended)
	})
}

func TestPortsClose(t *testing.T) {
	ports(t, "127.0.0.1:0", func(t *testing.T, p port, o opened, count *portCounters) {
		ended := make(chan error)
		go func() {
			_, err := p.read(make([]datagram, batchSize))
			ended <- err
		}()
		require.NoError(t, p.close())
		require.ErrorIs(t, <-ended, net.ErrClosed)
		require.Zero(t, p.write([]datagram{{b: []byte("x"), remote: netip.MustParseAddrPort("127.0.0.1:9")}}, true))
	})
}

func TestPortsSeeWhatIsTooLong(t *testing.T) {
	ports(t, "127.0.0.1:0", func(t *testing.T, p port, o opened, count *portCounters) {
		client, err := net.DialUDP("udp4", nil, o.conn.LocalAddr().(*net.UDPAddr))
		require.NoError(t, err)
		defer client.Close()
		in := make([]datagram, batchSize)
		for _, size := range []int{1200, 1201, receiveSize, 9000, 60000} {
			_, err = client.Write(make([]byte, size))
			require.NoError(t, err)
			n, err := p.read(in)
			require.NoError(t, err)
			require.Equal(t, 1, n)
			assert.GreaterOrEqual(t, len(in[0].b), min(size, receiveSize))
		}
	})
}
