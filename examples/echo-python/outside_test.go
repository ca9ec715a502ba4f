//go:build outside && unix

package echopython

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/examples/internal/process"
	"strait/transport"
)

const patience = 60 * time.Second

// program is one of the examples.
type program struct {
	script, scheme string
	modules        string // beside Python's own
	packages       string // Debian's, with the modules
	listening      *regexp.Regexp
}

var programs = []program{
	{
		script: "echo.py", scheme: "link", modules: "google.protobuf", packages: "python3-protobuf",
		listening: regexp.MustCompile(`listening on (?:\('([^']+)', (\d+)\)|(/\S+))`),
	},
	{
		script: "echo_grpc.py", scheme: "grpc", modules: "google.protobuf, grpc", packages: "python3-grpcio python3-protobuf",
		listening: regexp.MustCompile(`listening on grpc(?:://([^:]+):(\d+)|\+unix://)`),
	},
}

// python is an interpreter that has the modules of p. The one on PATH may be a version
// manager's, without the system's packages.
func (p program) python(t *testing.T) string {
	t.Helper()
	var why []byte
	for _, path := range []string{"python3", "/usr/bin/python3"} {
		out, err := exec.Command(path, "-c", "import "+p.modules).CombinedOutput()
		if err == nil {
			return path
		}
		why = fmt.Appendf(why, "%s: %v\n%s\n", path, err, out)
	}
	require.FailNow(t, "python3 with "+p.modules+" is missing: apt-get install "+p.packages, "%s", why)
	return ""
}

// logged is a process's output in the test's.
type logged struct{ t *testing.T }

func (l logged) Write(b []byte) (int, error) {
	l.t.Log(string(bytes.TrimSuffix(b, []byte("\n"))))
	return len(b), nil
}

func stop(t *testing.T, ctx context.Context, p *process.Process) {
	t.Cleanup(func() {
		dead, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = p.Stop(dead)
	})
}

func TestPythonEchoes(t *testing.T) {
	strait := filepath.Join(t.TempDir(), "strait")
	out, err := exec.Command("go", "build", "-o", strait, "strait/cmd/strait").CombinedOutput()
	require.NoError(t, err, "%s", out)
	dir, err := os.MkdirTemp("", "echo") // the path of a Unix socket is short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, p := range programs {
		interpreter := p.python(t)
		for name, url := range map[string]string{
			"tcp":  p.scheme + "://127.0.0.1:0",
			"unix": p.scheme + "+unix://" + filepath.Join(dir, p.scheme),
		} {
			t.Run(p.script+" on "+name, func(t *testing.T) { p.echoes(t, interpreter, strait, url) })
		}
	}
}

func (p program) echoes(t *testing.T, interpreter, strait, url string) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	backend, err := process.Start(process.Spec{
		Name: "python", Path: interpreter, Args: []string{p.script, url}, Out: logged{t},
		Env: []string{"PYTHONDONTWRITEBYTECODE=1"}, Keep: []*regexp.Regexp{p.listening},
	})
	require.NoError(t, err)
	stop(t, ctx, backend)
	addr, err := backend.Await(ctx, p.listening)
	require.NoError(t, err)
	if addr[1] != "" {
		url = p.scheme + "://" + addr[1] + ":" + addr[2]
	}
	gateway, err := process.StartGateway(ctx, strait, url, logged{t})
	require.NoError(t, err)
	stop(t, ctx, gateway.Process)

	// Several sessions, so that both streams have some.
	for range 4 {
		session(t, ctx, gateway)
	}

	// What is answered at once is delivered before the gateway ends.
	last := dial(t, ctx, gateway)
	for i := range reliable {
		require.NoError(t, last.Send(ctx, client.Reliable, 1, payload(i)))
	}
	_, err = last.Ping(ctx) // the gateway has read them
	require.NoError(t, err)
	require.NoError(t, gateway.Stop(ctx), "the gateway did not end cleanly")
	for i := range reliable {
		m, err := last.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, payload(i), m.Payload)
	}
	_, err = last.Receive(ctx)
	require.ErrorIs(t, err, transport.Draining)
	require.NoError(t, backend.Stop(ctx), "the backend did not end cleanly")
}

func dial(t *testing.T, ctx context.Context, g *process.Gateway) *client.Client {
	t.Helper()
	c, err := client.Dial(ctx, g.Addr, client.Options{Pin: g.Pin, Reconnect: client.Reconnect{Off: true}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

const (
	reliable = 1000
	channels = 5
)

// session sends reliable messages on several channels without waiting, and wants all
// of them back, in order on each channel; then unreliable ones and long ones, one at a
// time. All that waits at once is less than what the gateway queues for a session.
func session(t *testing.T, ctx context.Context, g *process.Gateway) {
	c := dial(t, ctx, g)
	defer c.Close()
	sent := make(chan error, 1)
	go func() {
		for i := range reliable {
			if err := c.Send(ctx, client.Reliable, uint8(i%channels), payload(i)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	next := [channels]int{0, 1, 2, 3, 4}
	for range reliable {
		m, err := c.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, client.Reliable, m.Delivery)
		require.Less(t, int(m.Channel), channels)
		require.Equal(t, payload(next[m.Channel]), m.Payload)
		next[m.Channel] += channels
	}
	require.NoError(t, <-sent)
	for i := range 20 {
		for d, b := range map[transport.Delivery][]byte{
			client.Unreliable: payload(i),
			client.Reliable:   bytes.Repeat(payload(i), 3000),
		} {
			require.NoError(t, c.Send(ctx, d, 200, b))
			m, err := c.Receive(ctx)
			require.NoError(t, err)
			require.Equal(t, d, m.Delivery)
			require.EqualValues(t, 200, m.Channel)
			require.Equal(t, b, m.Payload)
		}
	}
}

// payload is short.
func payload(i int) []byte { return fmt.Appendf(nil, "message %d", i) }
