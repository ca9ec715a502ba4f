package e2e

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Out of descriptors: who plays goes on, who comes waits until there are some.
func TestOutOfDescriptors(t *testing.T) { onBothPaths(t, testOutOfDescriptors) }

func testOutOfDescriptors(t *testing.T, path string) {
	gw := serve(t, path)
	other := accompany(t, gw)
	_ = gw.metric("strait_sessions") // so that a connection to ask by is there
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", gw.cmd.Process.Pid))
	require.NoError(t, err)
	limit := unix.Rlimit{}
	require.NoError(t, unix.Prlimit(gw.cmd.Process.Pid, unix.RLIMIT_NOFILE, nil, &limit))
	low := limit
	low.Cur = uint64(len(open) + 8)
	require.NoError(t, unix.Prlimit(gw.cmd.Process.Pid, unix.RLIMIT_NOFILE, &low, nil))

	var crowd []net.Conn
	for range 60 {
		crowd = append(crowd, bare(t, gw))
	}
	gw.logged("a warning about accepting", func(l string) bool {
		return strings.Contains(l, "level=WARN") && strings.Contains(l, "cannot accept") && strings.Contains(l, syscall.EMFILE.Error())
	})
	other.undisturbed(t)
	for _, c := range crowd {
		c.Close()
	}
	p := join(t, gw) // still under the low limit
	p.plays()
	other.undisturbed(t)
	gw.reaches("strait_tcp_accept_errors_total", 1)
	status, _ := gw.get("/livez")
	assert.Equal(t, 200, status)
}
