package lab_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/compare/lab"
	"strait/compare/link"
)

const ms = time.Millisecond

// dial opens a UDP socket on one side to a port of the other.
func dial(t testing.TB, l *lab.Lab, side lab.Side, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	require.NoError(t, l.Do(side, func() (err error) {
		conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
		return err
	}))
	t.Cleanup(func() { conn.Close() })
	return conn
}

func listen(t testing.TB, l *lab.Lab, side lab.Side, addr netip.Addr) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	var conn *net.UDPConn
	require.NoError(t, l.Do(side, func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
		return err
	}))
	t.Cleanup(func() { conn.Close() })
	return conn, conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// ask sends one packet and returns the answer's delay.
func ask(t testing.TB, conn *net.UDPConn) (time.Duration, error) {
	t.Helper()
	sent := time.Now()
	if _, err := conn.Write([]byte("hello")); err != nil {
		return 0, err
	}
	require.NoError(t, conn.SetReadDeadline(sent.Add(2*time.Second)))
	_, err := conn.Read(make([]byte, 100))
	return time.Since(sent), err
}

func TestProgramsTalkOverTheLink(t *testing.T) {
	needsLab(t)
	l := newLab(t, lab.Config{Link: link.Config{Up: link.Settings{Delay: 20 * ms}, Down: link.Settings{Delay: 10 * ms}}})
	gateway := l.Addrs(lab.Gateway)
	require.NotEqual(t, gateway, l.Addrs(lab.Client))
	for port, addr := range []netip.Addr{gateway.V4, gateway.V6} {
		if !addr.IsValid() {
			continue
		}
		at := netip.AddrPortFrom(addr, uint16(7000+port))
		startChild(t, l, lab.Gateway, child("echo", "STRAIT_LAB_TEST_ADDR="+at.String()))
		rtt, err := ask(t, dial(t, l, lab.Client, at))
		require.NoError(t, err)
		require.GreaterOrEqual(t, rtt, 30*ms)
	}
	s, err := l.Stats()
	require.NoError(t, err)
	require.EqualValues(t, 2, s.Up.Packets, "nothing but what was sent")
	require.EqualValues(t, 2, s.Down.Packets)
	require.EqualValues(t, 4, s.Late.Count)
	require.Positive(t, s.CPUPerPacket())

	require.NoError(t, l.Impair(link.Config{}))
	s, err = l.Stats()
	require.NoError(t, err)
	require.Zero(t, s.Up.Packets, "figures begin anew")
}

func TestUDPBlocked(t *testing.T) {
	needsLab(t)
	l := newLab(t, lab.Config{Link: link.Config{BlockUDP: true}})
	for _, addr := range []netip.Addr{l.Addrs(lab.Gateway).V4, l.Addrs(lab.Gateway).V6} {
		if !addr.IsValid() {
			continue
		}
		var listener net.Listener
		require.NoError(t, l.Do(lab.Gateway, func() (err error) {
			listener, err = net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
			return err
		}))
		require.NoError(t, l.Do(lab.Client, func() error {
			conn, err := net.DialTimeout("tcp", listener.Addr().String(), patience)
			if err == nil {
				err = conn.Close()
			}
			return err
		}), "TCP passes")
		require.NoError(t, listener.Close())
		conn, at := listen(t, l, lab.Gateway, addr)
		_, err := dial(t, l, lab.Client, at).Write([]byte("x"))
		require.NoError(t, err, "without a word")
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(20*ms)))
		_, err = conn.Read(make([]byte, 10))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	}
	s, err := l.Stats()
	require.NoError(t, err)
	require.NotZero(t, s.Up.Fates[link.Blocked])
}

func TestTheClientsAddressChanges(t *testing.T) {
	needsLab(t)
	l := newLab(t, lab.Config{})
	old := l.Addrs(lab.Client)
	conn, at := listen(t, l, lab.Gateway, l.Addrs(lab.Gateway).V4)
	from := func(send *net.UDPConn) netip.Addr {
		_, err := send.Write([]byte("x"))
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		_, addr, err := conn.ReadFromUDPAddrPort(make([]byte, 10))
		require.NoError(t, err)
		return addr.Addr().Unmap()
	}
	bound := dial(t, l, lab.Client, at)
	require.Equal(t, old.V4, from(bound))

	require.NoError(t, l.Impair(link.Config{AddressChanges: []time.Duration{50 * ms, 100 * ms}}))
	eventually(t, func() bool { return len(l.Handovers()) == 2 }, "both changes")
	first, second := l.Handovers()[0], l.Handovers()[1]
	require.NoError(t, first.Err)
	require.NoError(t, second.Err)
	require.Equal(t, old, first.Old)
	require.Equal(t, first.New, second.Old)
	require.Equal(t, second.New, l.Addrs(lab.Client))
	require.GreaterOrEqual(t, second.At, 100*ms)
	require.GreaterOrEqual(t, second.Late, time.Duration(0))
	require.NotEqual(t, old.V4, second.New.V4)

	_, err := bound.Write([]byte("x"))
	require.Error(t, err, "the kernel does not send from an address that is gone")
	require.Equal(t, second.New.V4, from(dial(t, l, lab.Client, at)))
	if second.New.V6.IsValid() {
		conn, at = listen(t, l, lab.Gateway, l.Addrs(lab.Gateway).V6)
		require.Equal(t, second.New.V6, from(dial(t, l, lab.Client, at)))
	}

	require.NoError(t, l.ChangeAddress())
	conn, at = listen(t, l, lab.Gateway, l.Addrs(lab.Gateway).V4)
	require.Equal(t, l.Addrs(lab.Client).V4, from(dial(t, l, lab.Client, at)))
}

func TestImpairCancelsWhatWasPlanned(t *testing.T) {
	needsLab(t)
	l := newLab(t, lab.Config{})
	require.NoError(t, l.Impair(link.Config{AddressChanges: []time.Duration{50 * ms}}))
	require.NoError(t, l.Impair(link.Config{AddressChanges: []time.Duration{100 * ms}}))
	eventually(t, func() bool { return len(l.Handovers()) == 1 }, "the second plan alone")
	require.GreaterOrEqual(t, l.Handovers()[0].At, 100*ms)
}

func TestCloseLeavesNothing(t *testing.T) {
	needsLab(t)
	before := tuns("self")
	l, err := lab.New(t.Context(), lab.Config{})
	require.NoError(t, err)
	ids, err := idents(l)
	require.NoError(t, err)
	require.NotEqual(t, ids[0], ids[1])
	require.Equal(t, before+2, tuns("self"))
	require.NotEmpty(t, holders(ids))

	killed, _ := startChild(t, l, lab.Client, child("wait"))
	require.NoError(t, killed.Signal(syscall.SIGKILL))
	err = killed.Wait(t.Context())
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.ErrorIs(t, killed.Signal(syscall.SIGTERM), os.ErrProcessDone)
	_, err = l.Stats()
	require.NoError(t, err, "a child's death harms nobody")

	waiting, _ := startChild(t, l, lab.Gateway, child("wait"))
	_, orphan := startChild(t, l, lab.Client, child("stubborn"))
	require.True(t, alive(orphan[0]))
	require.NoError(t, l.Close())
	select {
	case <-waiting.Done():
	default:
		require.Fail(t, "a program runs after Close")
	}
	eventually(t, func() bool { return !alive(orphan[0]) }, "what a program leaves behind ends, too")
	eventually(t, func() bool { return len(holders(ids)) == 0 }, "the namespaces are gone")
	require.Equal(t, before, tuns("self"))

	require.NoError(t, l.Close(), "idempotent")
	for name, call := range map[string]func() error{
		"Do":            func() error { return l.Do(lab.Client, func() error { return nil }) },
		"Start":         func() error { _, err := l.Start(lab.Client, child("wait")); return err },
		"Impair":        func() error { return l.Impair(link.Config{}) },
		"ChangeAddress": l.ChangeAddress,
		"Stats":         func() error { _, err := l.Stats(); return err },
	} {
		require.ErrorIs(t, call(), net.ErrClosed, name)
	}
}

func TestStopEndsOneProgram(t *testing.T) {
	needsLab(t)
	l := newLab(t, lab.Config{})
	p, _ := startChild(t, l, lab.Client, child("wait"))
	pid := strconv.Itoa(p.PID())
	require.True(t, alive(pid))
	var exit *exec.ExitError
	require.ErrorAs(t, p.Stop(), &exit)
	require.Equal(t, syscall.SIGTERM, exit.Sys().(syscall.WaitStatus).Signal())
	require.False(t, alive(pid))
	require.Equal(t, error(exit), p.Stop(), "idempotent")
	_, err := l.Start(lab.Client, exec.Command("/nonexistent"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestTheEndOfTheContextCloses(t *testing.T) {
	needsLab(t)
	ctx, cancel := context.WithCancel(t.Context())
	l, err := lab.New(ctx, lab.Config{})
	require.NoError(t, err)
	ids, err := idents(l)
	require.NoError(t, err)
	p, _ := startChild(t, l, lab.Client, child("wait"))
	cancel()
	<-p.Done()
	require.NoError(t, l.Close())
	eventually(t, func() bool { return len(holders(ids)) == 0 }, "the namespaces are gone")
	_, err = lab.New(ctx, lab.Config{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestSIGKILLOfTheLabLeavesNothing(t *testing.T) {
	needsLab(t)
	cmd := child("lab")
	out, in, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = in, os.Stderr
	require.NoError(t, cmd.Start())
	require.NoError(t, in.Close())
	words := awaitReady(t, out)
	require.NoError(t, out.Close())
	inside, ids := words[0], [2]string{words[1], words[2]}
	require.True(t, alive(inside))
	require.Equal(t, 2, tuns(strconv.Itoa(cmd.Process.Pid)))
	require.NotEmpty(t, holders(ids))

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	eventually(t, func() bool { return !alive(inside) }, "the program died with the lab")
	eventually(t, func() bool { return len(holders(ids)) == 0 }, "the namespaces are gone")
}

func TestLoopback(t *testing.T) {
	l := newLab(t, lab.Config{Loopback: true})
	gateway := l.Addrs(lab.Gateway)
	require.True(t, gateway.V4.IsLoopback())
	p, _ := startChild(t, l, lab.Gateway, child("wait"))
	conn, port := listen(t, l, lab.Gateway, gateway.V4)
	_, err := dial(t, l, lab.Client, port).Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	_, err = conn.Read(make([]byte, 10))
	require.NoError(t, err)

	require.NoError(t, l.Impair(link.Config{Seed: 3}), "nothing to impair")
	require.ErrorContains(t, l.Impair(link.Config{BlockUDP: true}), "no link to impair")
	require.ErrorContains(t, l.ChangeAddress(), "no link to impair")
	s, err := l.Stats()
	require.NoError(t, err)
	require.Empty(t, s.Invalid())
	require.NoError(t, l.Close())
	<-p.Done()
}

func TestConfigIsRefused(t *testing.T) {
	for want, c := range map[string]lab.Config{
		"mtu is 500: from 1280":  {MTU: 500},
		"up.loss is 120%":        {Link: link.Config{Up: link.Settings{Loss: 1.2}}},
		"has no link to impair":  {Loopback: true, Link: link.Config{BlockUDP: true}},
		"uses the machine's":     {Loopback: true, CongestionControl: "cubic"},
		"down.delay is -1s: it ": {Link: link.Config{Down: link.Settings{Delay: -time.Second}}},
	} {
		_, err := lab.New(t.Context(), c)
		require.ErrorContains(t, err, want)
	}
}

func TestUnknownCongestionControl(t *testing.T) {
	needsLab(t)
	_, err := lab.New(t.Context(), lab.Config{CongestionControl: "guessing"})
	require.ErrorContains(t, err, "with congestion control guessing")
}

// unprivileged runs a program of the tests as a user without privileges.
func unprivileged(mode string) ([]byte, error) {
	cmd := child(mode)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return cmd.CombinedOutput()
}

func TestWithoutPrivileges(t *testing.T) {
	if os.Geteuid() != 0 {
		err := lab.Check()
		var access *lab.AccessError
		if err != nil && !errors.As(err, &access) {
			require.NoError(t, err)
		}
		t.Skip("needs root, to give it up")
	}
	needsLab(t)
	out, err := unprivileged("unprivileged")
	if err != nil {
		// Where user namespaces or the device are closed to users, it says so.
		require.Contains(t, string(out), "run it as root")
		return
	}
	assert.Contains(t, string(out), "ready 0", "root in a user namespace of its own")
}
