package e2e

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A wrong configuration is refused at start: all problems at once, each by the
// variable's name, and exit status 1.
func TestWrongConfiguration(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "cert.pem")
	wrong := map[string]string{
		"STRAIT_TPC_ADDR":          ":1",
		"STRAIT_TCP_ADDR":          "nowhere",
		"STRAIT_MAX_SESSIONS":      "0",
		"STRAIT_QUEUE_SIZE":        "many",
		"STRAIT_IDLE_TIMEOUT":      "30",
		"STRAIT_OPEN_TIMEOUT":      "-5s",
		"STRAIT_LOG_LEVEL":         "loud",
		"STRAIT_TLS_MIN_VERSION":   "1.1",
		"STRAIT_TLS_CERT_FILE":     missing,
		"STRAIT_TLS_KEY_FILE":      missing,
		"STRAIT_UPSTREAM":          "http://game:80",
		"STRAIT_MAX_MESSAGE_BYTES": "100",
		"STRAIT_CLIENT_ROUTE":      "maybe",
	}
	var env []string
	for name, value := range wrong {
		env = append(env, name+"="+value)
	}
	for _, args := range [][]string{{"serve"}, {"config", "check"}} {
		p := launch(t, args, env...)
		assert.Equal(t, 1, p.wait())
		for name := range wrong {
			if name == "STRAIT_TLS_CERT_FILE" || name == "STRAIT_TLS_KEY_FILE" {
				continue // judged together with a version that is allowed
			}
			assert.Contains(t, p.log(), name)
		}
		assert.NotContains(t, p.log(), "listening")
		assert.Contains(t, p.log(), "STRAIT_TCP_ADDR", "what was meant by STRAIT_TPC_ADDR")
	}
	p := launch(t, []string{"serve"}, "STRAIT_TLS_CERT_FILE="+missing, "STRAIT_TLS_KEY_FILE="+missing)
	assert.Equal(t, 1, p.wait())
	assert.Contains(t, p.log(), "STRAIT_TLS_CERT_FILE")
	assert.Contains(t, p.log(), missing)
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	for _, name := range []string{"STRAIT_TCP_ADDR", "STRAIT_ADMIN_ADDR"} {
		p := launch(t, []string{"serve"}, name+"="+l.Addr().String())
		assert.Equal(t, 1, p.wait())
		assert.Contains(t, p.log(), name)
		assert.Contains(t, p.log(), syscall.EADDRINUSE.Error())
	}
}

// More sessions than the process may have files are refused at start.
func TestTooFewOpenFiles(t *testing.T) {
	t.Parallel()
	p := launch(t, []string{"serve"}, "STRAIT_MAX_SESSIONS=1000000")
	assert.Equal(t, 1, p.wait())
	assert.Contains(t, p.log(), "STRAIT_MAX_SESSIONS")
	assert.Contains(t, p.log(), "open files")
}

// What Kubernetes sets for a service named strait is ignored, with a log line.
func TestVariablesThatAreIgnored(t *testing.T) {
	t.Parallel()
	gw := serve(t, "STRAIT_SERVICE_HOST=10.0.0.1", "STRAIT_SERVICE_PORT=7777", "STRAIT_SERVICE_PORT_TLS=7777",
		"STRAIT_PORT=tcp://10.0.0.1:7777", "STRAIT_PORT_7777_TCP_ADDR=10.0.0.1")
	join(t, gw).plays()
	for _, name := range []string{"STRAIT_SERVICE_HOST", "STRAIT_PORT_7777_TCP_ADDR", "Kubernetes"} {
		assert.Contains(t, gw.log(), name)
	}
}

// The log as JSON: one object a line, with addresses that one can dial.
func TestLogAsJSON(t *testing.T) {
	t.Parallel()
	gw := launch(t, []string{"serve"}, "STRAIT_LOG_FORMAT=json", "STRAIT_LOG_LEVEL=debug", "STRAIT_ADMIN_ADDR=off")
	var certificate struct{ Pin string }
	gw.logged("the certificate", func(l string) bool {
		return strings.Contains(l, `"msg":"certificate"`) && json.Unmarshal([]byte(l), &certificate) == nil
	})
	assert.Len(t, certificate.Pin, 64)
	for _, l := range gw.stderr.all() {
		var line map[string]any
		require.NoError(t, json.Unmarshal([]byte(l), &line), l)
		if line["msg"] != "listening" {
			continue
		}
		address, ok := line["address"].(string)
		if assert.True(t, ok, "an address that is a string: %s", l) {
			conn, err := net.Dial("tcp", address)
			require.NoError(t, err)
			conn.Close()
		}
	}
	gw.signal(syscall.SIGTERM)
	assert.Equal(t, 0, gw.wait())
}

// IPv6 is an address like any other.
func TestIPv6(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("this machine has no IPv6")
	} else {
		l.Close()
	}
	game := listenLogic(t)
	gw := serve(t, game.env("STRAIT_TCP_ADDR=[::1]:0")...)
	p := join(t, gw)
	p.plays()
	assert.Equal(t, p.local(), game.announced(t, p).GetOpened().Remote)
	assert.True(t, strings.HasPrefix(p.local(), "[::1]:"))
}

// A fleet's key that others may read does not keep the gateway from serving, but is
// warned of in its log.
func TestExposedFleetKey(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "fleet.key")
	key := strings.Repeat("0123456789abcdef", 4)
	require.NoError(t, os.WriteFile(file, []byte(key+"\n"), 0o600))
	require.NoError(t, os.Chmod(file, 0o644))
	gw := serve(t, "STRAIT_FLEET_KEY_FILE="+file)
	line := gw.logged("a warning", func(l string) bool { return strings.Contains(l, "level=WARN") })
	assert.Contains(t, line, "STRAIT_FLEET_KEY_FILE: "+file+" has mode 0644")
	assert.NotContains(t, line, key[:16])
	join(t, gw).plays()
}
