package quic_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/quic"
	"strait/transport/transporttest"
)

// crowdAddr tells a child process of the test that it is the clients.
const crowdAddr = "STRAIT_TEST_QUIC_CROWD"

const crowd = 300

// TestCrowd is the body of that process: clients that open sessions and say no more.
func TestCrowd(t *testing.T) {
	addr := os.Getenv(crowdAddr)
	if addr == "" {
		t.Skip("for a child process of TestIdleSessions")
	}
	to, err := net.ResolveUDPAddr("udp", addr)
	require.NoError(t, err)
	end, err := newSocket()
	require.NoError(t, err)
	defer end.vanish()
	for range crowd {
		conn, err := end.Dial(context.Background(), to, clientWithoutRoots(), clientQUIC())
		require.NoError(t, err)
		control, err := conn.OpenStream()
		require.NoError(t, err)
		_, err = control.Write(wire.AppendFrame(nil, wire.ClientHello, 0, clientHello))
		require.NoError(t, err)
		f, err := readFrame(control)
		require.NoError(t, err)
		require.Equal(t, wire.ServerHello, f.Type)
	}
	fmt.Println("open")
	_, _ = io.ReadAll(os.Stdin)
}

// What an idle session costs the gateway: quic-go's two goroutines and three of the
// session's, and all the memory with them. Of some 56 KB a connection that nobody reads
// is 43 and the three goroutines that wait in quic-go are 10.
func TestIdleSessions(t *testing.T) {
	if transporttest.Race {
		t.Skip("the race detector's own memory")
	}
	c := defaultConfig()
	c.Retry = quic.RetryOff
	w := start(t, c, nil)
	before, goroutines := inUse(), runtime.NumGoroutine()

	child := exec.Command(os.Args[0], "-test.run=^TestCrowd$")
	child.Env = append(os.Environ(), crowdAddr+"="+w.l.Addr().String())
	in, err := child.StdinPipe()
	require.NoError(t, err)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = child.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "open\n", line)
	// The peers are the test's, not the session's.
	for range crowd {
		w.peer().out.Drop()
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+5*crowd+3 }, patience, 10*time.Millisecond,
		"%d goroutines of %d sessions", runtime.NumGoroutine()-goroutines, crowd)
	each := (inUse() - before) / crowd
	t.Logf("%d bytes and %.2f goroutines for each of %d idle sessions", each, float64(runtime.NumGoroutine()-goroutines)/crowd, crowd)
	assert.Less(t, each, 64<<10)
}

// inUse is what lives on the heap, and all stacks, in bytes.
func inUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}
