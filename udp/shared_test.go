package udp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"

	"strait/transport"
	"strait/udp/sealed"
)

// unread returns a service whose socket is shared and read by nobody but the test.
func unread(t *testing.T, host string, noBatch bool) *Service {
	t.Helper()
	sv, err := Listen(t.Context(), net.JoinHostPort(host, "0"), Config{Pool: transport.NewPool(0, nil), Share: true, NoBatch: noBatch})
	if err != nil && host == "::1" {
		t.Skip("no IPv6 here: ", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sv.Close()) })
	return sv
}

// batch has room for n packets, as quic-go makes it.
func batch(n int) []ipv4.Message {
	ms := make([]ipv4.Message, n)
	for i := range ms {
		ms[i].Buffers, ms[i].OOB = [][]byte{make([]byte, 1452)}, make([]byte, 128)
	}
	return ms
}

// onBoth runs f with whole batches and without.
func onBoth(t *testing.T, f func(t *testing.T, noBatch bool)) {
	for _, noBatch := range []bool{false, true} {
		t.Run(fmt.Sprintf("noBatch=%v", noBatch), func(t *testing.T) { f(t, noBatch) })
	}
}

func dial(t *testing.T, sv *Service, host string) *net.UDPConn {
	t.Helper()
	a := netip.AddrPortFrom(netip.MustParseAddr(host), uint16(sv.Addr().(*net.UDPAddr).Port))
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(a))
	if err != nil {
		t.Skip("no such address: ", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// The first byte decides; QUIC gets its packets in order, in the buffers that it gave,
// as many at once as there are, and never none.
func TestSharedBatches(t *testing.T) {
	onBoth(t, func(t *testing.T, noBatch bool) {
		sv := unread(t, "127.0.0.1", noBatch)
		conn := dial(t, sv, "127.0.0.1")
		ms := batch(8)
		var buffers []*byte
		for i := range ms {
			buffers = append(buffers, &ms[i].Buffers[0][0])
		}
		var want []string
		for i := range 20 {
			for _, first := range []byte{0, 0x12, 0x3f} {
				_, err := conn.Write([]byte{first, byte(i)})
				require.NoError(t, err)
			}
			pkt := bytes.Repeat([]byte{0x40 + byte(i*10%0xc0)}, 1+i*70)
			if i == 7 {
				pkt = nil
			}
			_, err := conn.Write(pkt)
			require.NoError(t, err)
			want = append(want, string(pkt))
		}
		var got []string
		for len(got) < len(want) {
			n, err := sv.Shared().ReadBatch(ms, 0)
			require.NoError(t, err)
			require.NotZero(t, n)
			for i := range n {
				got = append(got, string(ms[i].Buffers[0][:ms[i].N]))
				require.Equal(t, conn.LocalAddr().String(), ms[i].Addr.String())
			}
			for i := range ms {
				require.Same(t, buffers[i], &ms[i].Buffers[0][0], "buffers are not swapped")
			}
		}
		require.Equal(t, want, got)
		st := sv.Stats()
		if !sv.sockets[0].port.waits() {
			require.LessOrEqual(t, st.Sockets[0].Reads, uint64(2), "80 datagrams")
		}
		require.EqualValues(t, 60, st.Sockets[0].DatagramsIn)
		require.EqualValues(t, 120, st.Sockets[0].BytesIn)
	})
}

// What QUIC asks the kernel to tell of packets reaches it, and its answers leave from
// the address that was written to, as those of lanes do.
func TestSharedAddresses(t *testing.T) {
	if !shards {
		t.Skip("the kernel chooses what address a datagram leaves from")
	}
	for _, c := range []struct{ listen, client string }{
		{"", "127.0.0.1"}, {"", "127.0.0.2"}, {"", "::1"}, {"0.0.0.0", "127.0.0.2"}, {"127.0.0.1", "127.0.0.1"}, {"::1", "::1"},
	} {
		onBoth(t, func(t *testing.T, noBatch bool) {
			sv := unread(t, c.listen, noBatch)
			conn := dial(t, sv, c.client)
			_, err := conn.Write([]byte{0x40, 1})
			require.NoError(t, err)
			ms := batch(8)
			n, err := sv.Shared().ReadBatch(ms, 0)
			require.NoError(t, err)
			require.Equal(t, 1, n)
			from := ms[0].Addr.(*net.UDPAddr)
			require.Equal(t, conn.LocalAddr().String(), from.String())
			l := parseLocal(ms[0].OOB[:ms[0].NN])
			if c.listen == "" || c.listen == "0.0.0.0" {
				require.Equal(t, c.client, l.ip.String())
			}
			oob := putLocal(make([]byte, controlSize), l, sv.Shared().opened.v6)
			_, _, err = sv.Shared().WriteMsgUDP([]byte("back"), oob, from)
			require.NoError(t, err)
			buf := make([]byte, 10)
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
			k, err := conn.Read(buf) // connected: only from the address that it sent to
			require.NoError(t, err)
			require.Equal(t, "back", string(buf[:k]))
			_, err = sv.Shared().WriteTo([]byte("again"), from)
			require.NoError(t, err)
		})
	}
}

// quic-go reads in one of three ways, depending on the system.
func TestSharedReadsOneByOne(t *testing.T) {
	onBoth(t, func(t *testing.T, noBatch bool) {
		sv := unread(t, "127.0.0.1", noBatch)
		conn := dial(t, sv, "127.0.0.1")
		sh := sv.Shared()
		require.Equal(t, sv.Addr(), sh.LocalAddr())
		for _, n := range []int{100, 1452, 1500} {
			_, err := conn.Write(bytes.Repeat([]byte{0xc0}, n))
			require.NoError(t, err)
		}
		b := make([]byte, 1452)
		n, from, err := sh.ReadFrom(b)
		require.NoError(t, err)
		require.Equal(t, 100, n)
		require.Equal(t, conn.LocalAddr().String(), from.String())
		n, oobn, _, a, err := sh.ReadMsgUDP(b, make([]byte, 8))
		require.NoError(t, err)
		require.Equal(t, 1452, n)
		require.Zero(t, oobn, "not a part of it")
		require.Equal(t, conn.LocalAddr().String(), a.String())
		n, _, err = sh.ReadFrom(b)
		require.NoError(t, err)
		require.Equal(t, 1452, n, "the rest is lost")
	})
}

func TestSharedDeadlines(t *testing.T) {
	onBoth(t, func(t *testing.T, noBatch bool) {
		sv := unread(t, "127.0.0.1", noBatch)
		sh := sv.Shared()
		ended := make(chan error)
		go func() {
			_, err := sh.ReadBatch(batch(1), 0)
			ended <- err
		}()
		require.NoError(t, sh.Close())
		err := <-ended
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		var temporary interface{ Temporary() bool }
		require.True(t, errors.As(err, &temporary) && temporary.Temporary(), "quic-go knows it by that: %v", err)
		_, _, err = sh.ReadFrom(nil)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, sh.SetReadDeadline(time.Time{}))
		require.ErrorIs(t, sh.SetDeadline(time.Now()), errors.ErrUnsupported)
		require.ErrorIs(t, sh.SetWriteDeadline(time.Now()), errors.ErrUnsupported)

		go func() {
			_, _, _, _, err := sh.ReadMsgUDP(nil, nil)
			ended <- err
		}()
		require.NoError(t, sv.Close())
		require.ErrorIs(t, <-ended, net.ErrClosed)
		_, err = sh.WriteTo([]byte("x"), sv.Addr())
		require.ErrorIs(t, err, net.ErrClosed)
	})
	require.Nil(t, newSite(t, "127.0.0.1", nil).sv.Shared())
}

func TestSharedBuffersOnlyGrow(t *testing.T) {
	sv, err := Listen(t.Context(), "127.0.0.1:0", Config{Pool: transport.NewPool(0, nil), Share: true, ReadBufferBytes: 100 << 10, WriteBufferBytes: 90 << 10})
	require.NoError(t, err)
	defer sv.Close()
	read, write := granted(sv.Shared().opened.raw)
	if read == 0 {
		t.Skip("not known on this system")
	}
	require.Equal(t, []int{100 << 10, 90 << 10}, []int{read, write})
	for _, c := range []struct{ ask, read, write int }{{95 << 10, 100 << 10, 95 << 10}, {120 << 10, 120 << 10, 120 << 10}, {1 << 10, 120 << 10, 120 << 10}} {
		require.NoError(t, sv.Shared().SetReadBuffer(c.ask))
		require.NoError(t, sv.Shared().SetWriteBuffer(c.ask))
		read, write = granted(sv.Shared().opened.raw)
		require.Equal(t, []int{c.read, c.write}, []int{read, write})
	}
}

// Lanes and QUIC at once, as fast as both ends go: nothing is lost, doubled or changed
// on either, also while somebody floods the port.
func TestSharedUnderLoad(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1", ""} {
		onBoth(t, func(t *testing.T, noBatch bool) {
			s := newSite(t, host, func(c *Config) { c.Share, c.NoBatch = true, noBatch })
			const lanes, rounds = 4, 300
			stop := make(chan struct{})
			var all, noise sync.WaitGroup
			other := s.stranger()
			noise.Go(func() {
				for i := uint64(0); !isDone(stop); i++ {
					b := binary.BigEndian.AppendUint64(make([]byte, 0, 1300), i*0x9e3779b97f4a7c15)
					b[0] &= 0x3f
					_, _ = other.Write(b[:8+i%1290])
					for i > s.received()+500 && !isDone(stop) { // what the kernel has room for
						time.Sleep(time.Millisecond)
					}
				}
			})
			for i := range lanes {
				p, c := s.open(true, i)
				all.Go(func() {
					for i := range rounds {
						c.send(0, uint16(i), "an echo")
						for end := time.Now().Add(patience); len(c.got) <= i && time.Now().Before(end); {
							c.step(5 * time.Millisecond)
						}
					}
					if len(c.got) != rounds {
						p.blame(fmt.Sprintf("%d of %d echoes", len(c.got), rounds))
					}
				})
			}
			conn := s.stranger()
			for i := range rounds {
				want := append([]byte{0x40 | byte(i)}, binary.BigEndian.AppendUint32(nil, uint32(i))...)
				want = append(want, make([]byte, i%1400)...)
				_, err := conn.Write(want)
				require.NoError(t, err)
				select {
				case p := <-s.others:
					require.Equal(t, want, p.b)
					require.Equal(t, conn.LocalAddr().String(), p.from.String())
				case <-time.After(patience):
					require.Fail(t, "a packet of QUIC was lost")
				}
			}
			all.Wait()
			close(stop)
			noise.Wait()
			require.Empty(t, s.others)
			st := s.sv.Stats()
			assert.EqualValues(t, lanes*rounds, st.MessagesIn)
			assert.EqualValues(t, lanes*rounds, st.MessagesOut)
			assert.NotZero(t, st.Drops[sealed.DropType])
		})
	}
}

// A read that finds both allocates the address of each packet of QUIC, and nothing for
// what is a lane's.
func TestSharedAllocations(t *testing.T) {
	if race {
		t.Skip("with the race detector pools forget on purpose")
	}
	sv := unread(t, "127.0.0.1", false)
	if sv.sockets[0].port.waits() {
		t.Skip("package net allocates for each datagram")
	}
	conn, ms := dial(t, sv, "127.0.0.1"), batch(8)
	lane, other := bytes.Repeat([]byte{0x12}, 64), bytes.Repeat([]byte{0x40}, 64)
	const packets = 4
	once := func() {
		for i := range 10 * packets {
			b := lane
			if i%10 == 9 {
				b = other
			}
			_, _ = conn.Write(b)
		}
		for n := 0; n < packets; {
			k, err := sv.Shared().ReadBatch(ms, 0)
			require.NoError(t, err)
			n += k
		}
	}
	once()
	require.LessOrEqual(t, testing.AllocsPerRun(100, once), float64(packets))
}
