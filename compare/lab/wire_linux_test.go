package lab

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"strait/compare/link"
)

// Sockets stand for the TUN devices here: each write is one packet, too.
func newTestWire(t *testing.T, mtu int, c link.Config) (w *wire, client, gateway int) {
	t.Helper()
	pair := func() (inside, outside int) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		require.NoError(t, unix.SetNonblock(fds[0], true))
		t.Cleanup(func() { _ = unix.Close(fds[0]); _ = unix.Close(fds[1]) })
		return fds[0], fds[1]
	}
	up, client := pair()
	down, gateway := pair()
	w, err := newWire(up, down, mtu)
	require.NoError(t, err)
	l, err := link.New(c)
	require.NoError(t, err)
	w.start(&run{link: l})
	t.Cleanup(func() { require.NoError(t, w.end()) })
	return w, client, gateway
}

// ipv4 returns a packet of the given length to 198.18.1.1.
func ipv4(length int) []byte {
	b := make([]byte, length)
	b[0], b[9] = 0x45, 17
	copy(b[16:], []byte{198, 18, 1, 1})
	return b
}

func receive(t *testing.T, fd int) []byte {
	t.Helper()
	ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(ready, 20000)
	for err == unix.EINTR {
		n, err = unix.Poll(ready, 20000)
	}
	require.NoError(t, err)
	require.Equal(t, 1, n, "nothing came")
	b := make([]byte, 2000)
	n, err = unix.Read(fd, b)
	require.NoError(t, err)
	return b[:n]
}

func TestWireMovesWholePackets(t *testing.T) {
	w, client, gateway := newTestWire(t, 1500, link.Config{Up: link.Settings{Delay: 10 * time.Millisecond}, Down: link.Settings{Duplicate: 1}})
	began := time.Now()
	for length := 20; length <= 1500; length += 148 {
		p := ipv4(length)
		p[length-1] ^= byte(length)
		_, err := unix.Write(client, p)
		require.NoError(t, err)
		require.True(t, bytes.Equal(p, receive(t, gateway)), length)
	}
	require.GreaterOrEqual(t, time.Since(began), 110*time.Millisecond)

	multicast := ipv4(100)
	multicast[16] = 224
	_, err := unix.Write(gateway, multicast)
	require.NoError(t, err)
	_, err = unix.Write(gateway, ipv4(50))
	require.NoError(t, err)
	require.Len(t, receive(t, client), 50, "multicast does not pass")
	require.Len(t, receive(t, client), 50, "twice")
	r := w.run.Load()
	require.EqualValues(t, 1, r.ignored.Load())
	require.EqualValues(t, 11, r.link.Up.Counters().Packets)
	require.EqualValues(t, 1, r.link.Down.Counters().Packets)
	used, err := w.cpu()
	require.NoError(t, err)
	require.Positive(t, used)
}

func TestWireBoundsWhatIsUnderWay(t *testing.T) {
	w, client, gateway := newTestWire(t, 64, link.Config{Up: link.Settings{Delay: link.MaxDelay}})
	p := ipv4(64)
	for range maxFlight + 10 {
		_, err := unix.Write(client, p)
		require.NoError(t, err)
	}
	_, err := unix.Write(gateway, p)
	require.NoError(t, err)
	r := w.run.Load()
	require.Eventually(t, func() bool { return r.overflow.Load() >= 10 }, 20*time.Second, time.Millisecond)
	require.LessOrEqual(t, r.overflow.Load(), uint64(11))
}

func TestWireAllocatesNothing(t *testing.T) {
	_, client, gateway := newTestWire(t, 1500, link.Config{Up: link.Settings{Delay: 20 * time.Microsecond, Jitter: 5 * time.Microsecond, Duplicate: 0.1}})
	out, in := ipv4(200), make([]byte, 2000)
	ready := []unix.PollFd{{Fd: int32(gateway), Events: unix.POLLIN}}
	pass := func() {
		_, _ = unix.Write(client, out)
		_, _ = unix.Poll(ready, 20000)
		_, _ = unix.Read(gateway, in)
	}
	for range 200 {
		pass()
	}
	require.Zero(t, testing.AllocsPerRun(1000, pass))
}
