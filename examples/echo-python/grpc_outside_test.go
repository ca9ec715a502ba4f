//go:build outside && unix

package echopython

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"strait/examples/internal/process"
)

var listeningGRPC = regexp.MustCompile(`listening on (grpc\S+)`)

// pythonGRPC is an interpreter that has grpcio, too.
func pythonGRPC(t *testing.T) string {
	t.Helper()
	var why []byte
	for _, path := range []string{"python3", "/usr/bin/python3"} {
		out, err := exec.Command(path, "-c", "import google.protobuf, grpc").CombinedOutput()
		if err == nil {
			return path
		}
		why = fmt.Appendf(why, "%s: %v\n%s\n", path, err, out)
	}
	require.FailNow(t, "python3 with grpcio is missing: apt-get install python3-grpcio python3-protobuf", "%s", why)
	return ""
}

func TestPythonEchoesOverGRPC(t *testing.T) {
	interpreter := pythonGRPC(t)
	strait := filepath.Join(t.TempDir(), "strait")
	out, err := exec.Command("go", "build", "-o", strait, "strait/cmd/strait").CombinedOutput()
	require.NoError(t, err, "%s", out)
	dir, err := os.MkdirTemp("", "echo") // the path of a Unix socket is short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for name, url := range map[string]string{
		"tcp":  "grpc://127.0.0.1:0",
		"unix": "grpc+unix://" + filepath.Join(dir, "socket"),
	} {
		t.Run(name, func(t *testing.T) { echoesOverGRPC(t, interpreter, strait, url) })
	}
}

func echoesOverGRPC(t *testing.T, interpreter, strait, url string) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	backend, err := process.Start(process.Spec{
		Name: "python", Path: interpreter, Args: []string{"echo_grpc.py", url}, Out: logged{t},
		Env: []string{"PYTHONDONTWRITEBYTECODE=1"}, Keep: []*regexp.Regexp{listeningGRPC},
	})
	require.NoError(t, err)
	stop(t, ctx, backend)
	addr, err := backend.Await(ctx, listeningGRPC)
	require.NoError(t, err)
	gateway, err := process.StartGateway(ctx, strait, addr[1], logged{t})
	require.NoError(t, err)
	stop(t, ctx, gateway.Process)

	// Several sessions, so that both streams have some.
	for range 4 {
		session(t, ctx, gateway)
	}
	require.NoError(t, gateway.Stop(ctx), "the gateway did not end cleanly")
	require.NoError(t, backend.Stop(ctx), "the backend did not end cleanly")
}
