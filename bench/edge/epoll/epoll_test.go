//go:build linux

package epoll_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"strait/bench/edge/epoll"
)

func pair(t *testing.T) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, unix.Close(fds[0]))
		assert.NoError(t, unix.Close(fds[1]))
	})
	return fds[0], fds[1]
}

func TestPoll(t *testing.T) {
	a, b := pair(t)
	p, err := epoll.New()
	require.NoError(t, err)
	require.NoError(t, p.Add(a, 42, unix.EPOLLIN))

	events, err := p.Wait(0)
	require.NoError(t, err)
	require.Empty(t, events)

	_, err = epoll.Read(a, make([]byte, 8))
	require.ErrorIs(t, err, unix.EAGAIN)
	n, err := epoll.Write(b, []byte("hello"))
	require.NoError(t, err)
	require.Equal(t, 5, n)
	for events = nil; len(events) == 0; { // a signal may end a wait early
		events, err = p.Wait(time.Minute)
		require.NoError(t, err)
	}
	require.Len(t, events, 1)
	assert.EqualValues(t, 42, events[0].Fd)
	assert.EqualValues(t, unix.EPOLLIN, events[0].Events)
	buf := make([]byte, 8)
	n, err = epoll.Read(a, buf)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(buf[:n]))

	require.NoError(t, p.Set(a, 43, unix.EPOLLIN|unix.EPOLLOUT))
	events, err = p.Wait(0)
	require.NoError(t, err)
	require.Len(t, events, 1)
	assert.EqualValues(t, 43, events[0].Fd)
	assert.EqualValues(t, unix.EPOLLOUT, events[0].Events)

	require.NoError(t, p.Close())
	require.NoError(t, p.Close(), "idempotent")
	_, err = p.Wait(0)
	require.ErrorIs(t, err, unix.EBADF)
}

// A goroutine that waits raw does not hold up a collection, which has to stop it.
func TestWaitLetsTheCollectorIn(t *testing.T) {
	p, err := epoll.New()
	require.NoError(t, err)
	const long = time.Hour
	stop, done := make(chan struct{}), make(chan error, 1)
	waiting := make(chan struct{})
	go func() {
		close(waiting)
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if _, err := p.Wait(long); err != nil {
				done <- err
				return
			}
		}
	}()
	<-waiting
	collected := make(chan struct{})
	go func() {
		runtime.GC()
		close(stop)
		runtime.GC() // ends the wait that may be under way
		close(collected)
	}()
	select {
	case <-collected:
	case <-time.After(20 * time.Second):
		t.Fatal("the collector waits for the loop")
	}
	require.Eventually(t, func() bool {
		runtime.GC()
		select {
		case err := <-done:
			return err == nil
		default:
			return false
		}
	}, 20*time.Second, time.Millisecond)
	require.NoError(t, p.Close())
}
