package configs_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/configs"
)

// contract is the list of variables with their defaults that users rely on, in the
// order of the reference.
var contract = [][2]string{
	{"STRAIT_TCP_ADDR", ":7777"},
	{"STRAIT_UDP_ADDR", ":7778"},
	{"STRAIT_QUIC_ADDR", ":7777"},
	{"STRAIT_ADMIN_ADDR", "127.0.0.1:7780"},
	{"STRAIT_TCP_LOOP", "on"},
	{"STRAIT_TLS_CERT_FILE", ""},
	{"STRAIT_TLS_KEY_FILE", ""},
	{"STRAIT_TLS_CLIENT_CA_FILE", ""},
	{"STRAIT_TLS_MIN_VERSION", "1.3"},
	{"STRAIT_TLS_CIPHER_SUITES", ""},
	{"STRAIT_UDP_ADVERTISE", ""},
	{"STRAIT_UDP_SOCKETS", "1"},
	{"STRAIT_UDP_TOKEN_LIFETIME", "30s"},
	{"STRAIT_UDP_AEADS", "aes128gcm,chacha20poly1305"},
	{"STRAIT_UDP_RETRY", "auto"},
	{"STRAIT_UDP_READ_BUFFER_BYTES", "4194304"},
	{"STRAIT_UDP_WRITE_BUFFER_BYTES", "1048576"},
	{"STRAIT_UDP_BATCH", "on"},
	{"STRAIT_QUIC_DATAGRAMS", "on"},
	{"STRAIT_QUIC_RETRY", "auto"},
	{"STRAIT_QUIC_HANDSHAKE_TIMEOUT", "0s"},
	{"STRAIT_QUIC_IDLE_TIMEOUT", "0s"},
	{"STRAIT_QUIC_KEEPALIVE", "0s"},
	{"STRAIT_QUIC_STREAM_WINDOW_BYTES", "131072"},
	{"STRAIT_QUIC_CONN_WINDOW_BYTES", "524288"},
	{"STRAIT_QUIC_MAX_STREAMS", "256"},
	{"STRAIT_QUIC_GSO", "on"},
	{"STRAIT_QUIC_MTU_DISCOVERY", "on"},
	{"STRAIT_QUIC_READ_BUFFER_BYTES", "7340032"},
	{"STRAIT_QUIC_WRITE_BUFFER_BYTES", "7340032"},
	{"STRAIT_QUIC_QLOG_DIR", ""},
	{"STRAIT_QUIC_QLOG_EVERY", "100"},
	{"STRAIT_FLEET_KEY_FILE", ""},
	{"STRAIT_NODE_ID", ""},
	{"STRAIT_UPSTREAM", "echo"},
	{"STRAIT_UPSTREAM_STREAMS", "2"},
	{"STRAIT_UPSTREAM_GRACE", "10s"},
	{"STRAIT_UPSTREAM_CA_FILE", ""},
	{"STRAIT_UPSTREAM_CERT_FILE", ""},
	{"STRAIT_UPSTREAM_KEY_FILE", ""},
	{"STRAIT_CLIENT_ROUTE", "off"},
	{"STRAIT_SHARDS", "0"},
	{"STRAIT_QUEUE_SIZE", "8192"},
	{"STRAIT_MAX_SESSIONS", "20000"},
	{"STRAIT_MAX_HANDSHAKES", "1024"},
	{"STRAIT_MAX_MESSAGE_BYTES", "65536"},
	{"STRAIT_SEND_BUFFER_BYTES", "262144"},
	{"STRAIT_BUFFER_BUDGET_BYTES", "0"},
	{"STRAIT_OPEN_TIMEOUT", "5s"},
	{"STRAIT_IDLE_TIMEOUT", "30s"},
	{"STRAIT_DRAIN_TIMEOUT", "10s"},
	{"STRAIT_LOG_LEVEL", "info"},
	{"STRAIT_LOG_FORMAT", "text"},
}

func TestDefaultsAreTheContract(t *testing.T) {
	c := load(t, "PATH=/bin", "STRAITS=x")
	var got [][2]string
	for _, v := range c.Values() {
		got = append(got, [2]string{v.Name, v.Value})
		assert.Equal(t, configs.FromDefault, v.Source, v.Name)
		assert.NotEmpty(t, v.Doc, v.Name)
	}
	assert.Equal(t, contract, got)

	assert.Equal(t, configs.Listen{TCP: ":7777", UDP: ":7778", QUIC: ":7777", Admin: "127.0.0.1:7780", TCPLoop: true}, c.Listen)
	assert.Equal(t, configs.TLS{MinVersion: tls.VersionTLS13}, c.TLS)
	assert.Equal(t, configs.Upstream{Streams: 2, Grace: 10 * time.Second}, c.Upstream)
	assert.True(t, c.Upstream.Backends.Echo())
	assert.Equal(t, configs.Gateway{
		QueueSize: 8192, MaxSessions: 20000, MaxHandshakes: 1024, MaxMessage: 65536, SendBuffer: 262144,
		OpenTimeout: 5 * time.Second, IdleTimeout: 30 * time.Second, DrainTimeout: 10 * time.Second,
	}, c.Gateway)
	assert.Equal(t, configs.Log{Level: slog.LevelInfo, Format: configs.FormatText}, c.Log)
}

func TestEveryVariableIsDecoded(t *testing.T) {
	cert, key := writePair(t, time.Now().Add(24*time.Hour))
	fleet := filepath.Join(t.TempDir(), "fleet.key")
	require.NoError(t, os.WriteFile(fleet, []byte(strings.Repeat("0a", 32)+"\n"), 0o600))
	environ := map[string]string{
		"STRAIT_TCP_ADDR":                 "[::1]:1777",
		"STRAIT_UDP_ADDR":                 "10.0.0.1:1778",
		"STRAIT_QUIC_ADDR":                "edge.example:https",
		"STRAIT_ADMIN_ADDR":               "off",
		"STRAIT_TLS_CERT_FILE":            cert,
		"STRAIT_TLS_KEY_FILE":             key,
		"STRAIT_TLS_CLIENT_CA_FILE":       cert,
		"STRAIT_TLS_MIN_VERSION":          "1.2",
		"STRAIT_TLS_CIPHER_SUITES":        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
		"STRAIT_UDP_ADVERTISE":            "edge.example:17778",
		"STRAIT_UDP_SOCKETS":              "64",
		"STRAIT_UDP_TOKEN_LIFETIME":       "10m",
		"STRAIT_UDP_AEADS":                "chacha20poly1305,aes128gcm",
		"STRAIT_UDP_RETRY":                "always",
		"STRAIT_UDP_READ_BUFFER_BYTES":    "65536",
		"STRAIT_UDP_WRITE_BUFFER_BYTES":   "65536",
		"STRAIT_UDP_BATCH":                "off",
		"STRAIT_QUIC_DATAGRAMS":           "off",
		"STRAIT_QUIC_RETRY":               "off",
		"STRAIT_QUIC_HANDSHAKE_TIMEOUT":   "100ms",
		"STRAIT_QUIC_IDLE_TIMEOUT":        "1h",
		"STRAIT_QUIC_KEEPALIVE":           "15s",
		"STRAIT_QUIC_STREAM_WINDOW_BYTES": "16384",
		"STRAIT_QUIC_CONN_WINDOW_BYTES":   "67108864",
		"STRAIT_QUIC_MAX_STREAMS":         "0",
		"STRAIT_QUIC_GSO":                 "off",
		"STRAIT_QUIC_MTU_DISCOVERY":       "off",
		"STRAIT_QUIC_READ_BUFFER_BYTES":   "1073741824",
		"STRAIT_QUIC_WRITE_BUFFER_BYTES":  "65536",
		"STRAIT_QUIC_QLOG_DIR":            filepath.Dir(fleet),
		"STRAIT_QUIC_QLOG_EVERY":          "1",
		"STRAIT_FLEET_KEY_FILE":           fleet,
		"STRAIT_NODE_ID":                  "edge-1.eu_west",
		"STRAIT_UPSTREAM":                 "link+tls://logic-1:7900,link+unix:///run/logic.sock",
		"STRAIT_UPSTREAM_STREAMS":         "64",
		"STRAIT_UPSTREAM_GRACE":           "1m30s",
		"STRAIT_UPSTREAM_CA_FILE":         cert,
		"STRAIT_UPSTREAM_CERT_FILE":       cert,
		"STRAIT_UPSTREAM_KEY_FILE":        key,
		"STRAIT_CLIENT_ROUTE":             "on",
		"STRAIT_TCP_LOOP":                 "off",
		"STRAIT_SHARDS":                   "4",
		"STRAIT_QUEUE_SIZE":               "64",
		"STRAIT_MAX_SESSIONS":             "100",
		"STRAIT_MAX_HANDSHAKES":           "10",
		"STRAIT_MAX_MESSAGE_BYTES":        "16384",
		"STRAIT_SEND_BUFFER_BYTES":        "16384",
		"STRAIT_BUFFER_BUDGET_BYTES":      "1099511627776", // more than 32 bits hold
		"STRAIT_OPEN_TIMEOUT":             "1m",
		"STRAIT_IDLE_TIMEOUT":             "1h",
		"STRAIT_DRAIN_TIMEOUT":            "100ms",
		"STRAIT_LOG_LEVEL":                "debug",
		"STRAIT_LOG_FORMAT":               "json",
	}
	require.Len(t, environ, len(contract))
	var lines []string
	for name, v := range environ {
		lines = append(lines, name+"= "+v+" ")
	}
	c := load(t, lines...)
	for _, v := range c.Values() {
		assert.Equal(t, environ[v.Name], v.Value, v.Name)
		assert.Equal(t, configs.FromEnvironment, v.Source, v.Name)
		assert.True(t, c.Given(v.Name))
	}
	assert.True(t, c.Listen.Admin.Off())
	assert.Equal(t, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, c.TLS.Policy(nil).CipherSuites)
	assert.Equal(t, uint16(tls.VersionTLS12), c.TLS.Policy(nil).MinVersion)
	assert.Equal(t, cert, c.TLS.Policy(nil).ClientCAFile)
	assert.Equal(t, int64(1)<<40, c.Gateway.BufferBudget)
	assert.Equal(t, configs.AEADs{2, 1}, c.UDP.AEADs)
	assert.Equal(t, "edge-1.eu_west", c.Fleet.Node())
	ring, err := c.Fleet.Keys()
	require.NoError(t, err)
	assert.Len(t, ring.Derive("x"), 1)
	assert.Equal(t, configs.Backends{
		{Scheme: "link+tls", Network: "tcp", Host: "logic-1", Port: 7900, Secure: true},
		{Scheme: "link+unix", Network: "unix", Path: "/run/logic.sock"},
	}, c.Upstream.Backends)
}

func TestSetToNothingMeansTheDefault(t *testing.T) {
	var lines []string
	for _, v := range contract {
		lines = append(lines, v[0]+"=", v[0]+"=  ")
	}
	c := load(t, lines...)
	for i, v := range c.Values() {
		assert.Equal(t, contract[i][1], v.Value, v.Name)
		assert.Equal(t, configs.FromDefault, v.Source, v.Name)
	}
}

func TestWrongValues(t *testing.T) {
	cert, key := writePair(t, time.Now().Add(24*time.Hour))
	for _, tc := range []struct {
		environ  string // several are separated by spaces
		variable string
		says     string
	}{
		{"STRAIT_TCP_ADDR=7777", "STRAIT_TCP_ADDR", `":7777"`},
		{"STRAIT_TLS_MIN_VERSION=1.1", "STRAIT_TLS_MIN_VERSION", "want 1.2 or 1.3"},
		{"STRAIT_CLIENT_ROUTE=yes", "STRAIT_CLIENT_ROUTE", "want on or off"},
		{"STRAIT_SHARDS=-1", "STRAIT_SHARDS", "out of range; want 0 (GOMAXPROCS) or a whole number from 1 to 256"},
		{"STRAIT_SHARDS=257", "STRAIT_SHARDS", "out of range"},
		{"STRAIT_SHARDS=two", "STRAIT_SHARDS", "not a whole number"},
		{"STRAIT_SHARDS=1.5", "STRAIT_SHARDS", "not a whole number"},
		{"STRAIT_MAX_SESSIONS=99999999999999999999", "STRAIT_MAX_SESSIONS", "out of range"},
		{"STRAIT_MAX_SESSIONS=0", "STRAIT_MAX_SESSIONS", "from 1 to 1000000"},
		{"STRAIT_MAX_HANDSHAKES=0", "STRAIT_MAX_HANDSHAKES", "from 1 to 100000"},
		{"STRAIT_QUEUE_SIZE=63", "STRAIT_QUEUE_SIZE", "from 64 to 1048576"},
		{"STRAIT_QUEUE_SIZE=1048577", "STRAIT_QUEUE_SIZE", "from 64 to 1048576"},
		{"STRAIT_MAX_MESSAGE_BYTES=16383", "STRAIT_MAX_MESSAGE_BYTES", "from 16384 to 1048576"},
		{"STRAIT_MAX_MESSAGE_BYTES=1048577", "STRAIT_MAX_MESSAGE_BYTES", "from 16384 to 1048576"},
		{"STRAIT_MAX_MESSAGE_BYTES=1048576", "STRAIT_MAX_MESSAGE_BYTES", "at most 262144, or a larger STRAIT_SEND_BUFFER_BYTES"},
		{"STRAIT_SEND_BUFFER_BYTES=65535", "STRAIT_SEND_BUFFER_BYTES", "at least 65536"},
		{"STRAIT_BUFFER_BUDGET_BYTES=1", "STRAIT_BUFFER_BUDGET_BYTES", "want 0 (a quarter of the memory) or"},
		{"STRAIT_BUFFER_BUDGET_BYTES=1048576 STRAIT_SEND_BUFFER_BYTES=1048577", "STRAIT_BUFFER_BUDGET_BYTES", "0 or at least 1048577"},
		{"STRAIT_OPEN_TIMEOUT=5", "STRAIT_OPEN_TIMEOUT", "a number with a unit"},
		{"STRAIT_OPEN_TIMEOUT=-5s", "STRAIT_OPEN_TIMEOUT", "from 100ms to 1m"},
		{"STRAIT_OPEN_TIMEOUT=0s", "STRAIT_OPEN_TIMEOUT", "out of range"},
		{"STRAIT_IDLE_TIMEOUT=2h", "STRAIT_IDLE_TIMEOUT", "from 1s to 1h"},
		{"STRAIT_DRAIN_TIMEOUT=11m", "STRAIT_DRAIN_TIMEOUT", "from 100ms to 10m"},
		{"STRAIT_UPSTREAM_GRACE=soon", "STRAIT_UPSTREAM_GRACE", "not a duration"},
		{"STRAIT_UPSTREAM_STREAMS=0", "STRAIT_UPSTREAM_STREAMS", "from 1 to 64"},
		{"STRAIT_LOG_LEVEL=loud", "STRAIT_LOG_LEVEL", "want debug, info, warn or error"},
		{"STRAIT_LOG_LEVEL=info+1", "STRAIT_LOG_LEVEL", "want debug, info, warn or error"},
		{"STRAIT_LOG_FORMAT=xml", "STRAIT_LOG_FORMAT", "want text or json"},

		{"STRAIT_TCP_ADDR=off STRAIT_QUIC_ADDR=off", "STRAIT_TCP_ADDR", "no transport is on: STRAIT_TCP_ADDR and STRAIT_QUIC_ADDR are both off; want an address such as :7777"},
		{"STRAIT_TCP_ADDR=off STRAIT_UDP_ADDR=:7778", "STRAIT_UDP_ADDR", "sealed UDP is for sessions on TLS over TCP, and STRAIT_TCP_ADDR is off"},
		{"STRAIT_UDP_ADVERTISE=edge.example", "STRAIT_UDP_ADVERTISE", "the port is missing"},
		{"STRAIT_UDP_ADVERTISE=:0", "STRAIT_UDP_ADVERTISE", "port 0 cannot be reached"},
		{"STRAIT_UDP_SOCKETS=65", "STRAIT_UDP_SOCKETS", "from 1 to 64"},
		{"STRAIT_UDP_AEADS=aes256gcm", "STRAIT_UDP_AEADS", `there is no "aes256gcm"; want a list of aes128gcm`},
		{"STRAIT_UDP_AEADS=aes128gcm,aes128gcm", "STRAIT_UDP_AEADS", "listed twice"},
		{"STRAIT_UDP_AEADS=aes128gcm,", "STRAIT_UDP_AEADS", "an item of the list is empty"},
		{"STRAIT_UDP_RETRY=on", "STRAIT_UDP_RETRY", "want auto, always or off"},
		{"STRAIT_UDP_TOKEN_LIFETIME=0s", "STRAIT_UDP_TOKEN_LIFETIME", "from 1s to 10m"},
		{"STRAIT_UDP_READ_BUFFER_BYTES=1", "STRAIT_UDP_READ_BUFFER_BYTES", "from 65536 to"},
		{"STRAIT_QUIC_CONN_WINDOW_BYTES=32768", "STRAIT_QUIC_CONN_WINDOW_BYTES", "want at least 131072"},
		{"STRAIT_QUIC_IDLE_TIMEOUT=10ms", "STRAIT_QUIC_IDLE_TIMEOUT", "0s (`STRAIT_IDLE_TIMEOUT`) or a duration from 1s"},
		{"STRAIT_QUIC_QLOG_DIR=/nowhere", "STRAIT_QUIC_QLOG_DIR", "no such file or directory"},
		{"STRAIT_QUIC_QLOG_DIR=" + key, "STRAIT_QUIC_QLOG_DIR", "is a file, not a folder"},
		{"STRAIT_FLEET_KEY_FILE=" + key, "STRAIT_FLEET_KEY_FILE", "a fleet key is 64 hex digits"},
		{"STRAIT_FLEET_KEY_FILE=/nowhere", "STRAIT_FLEET_KEY_FILE", "cannot be read: no such file or directory"},
		{"STRAIT_NODE_ID=edge/1", "STRAIT_NODE_ID", "a character that a name may not have"},
		{"STRAIT_NODE_ID=" + strings.Repeat("x", 65), "STRAIT_NODE_ID", "longer than 64"},
		{"STRAIT_ADMIN_ADDR=:7777", "STRAIT_ADMIN_ADDR", "STRAIT_TCP_ADDR listens at port 7777 already"},
		{"STRAIT_TCP_ADDR=0.0.0.0:7780", "STRAIT_ADMIN_ADDR", "STRAIT_TCP_ADDR listens at port 7780 already"},
		{"STRAIT_UDP_ADDR=0.0.0.0:7777", "STRAIT_QUIC_ADDR", "STRAIT_UDP_ADDR listens at port 7777 already"},
		{"STRAIT_UDP_ADDR=:7777 STRAIT_UDP_SOCKETS=2", "STRAIT_UDP_SOCKETS", "are the same address, and one socket serves both; want 1, or two addresses"},

		{"STRAIT_TLS_CERT_FILE=/nowhere/tls.crt STRAIT_TLS_KEY_FILE=" + key, "STRAIT_TLS_CERT_FILE", "cannot be read: no such file or directory"},
		{"STRAIT_TLS_CERT_FILE=" + cert, "STRAIT_TLS_KEY_FILE", "its key is missing"},
		{"STRAIT_TLS_KEY_FILE=" + key, "STRAIT_TLS_CERT_FILE", "its certificate is missing"},
		{"STRAIT_TLS_CERT_FILE=" + cert + " STRAIT_TLS_KEY_FILE=/", "STRAIT_TLS_KEY_FILE", "is a folder"},
		{"STRAIT_TLS_CERT_FILE=" + cert + " STRAIT_TLS_KEY_FILE=" + cert, "STRAIT_TLS_KEY_FILE", "holds no private key"},
		{"STRAIT_TLS_CLIENT_CA_FILE=/nowhere/clients.pem", "STRAIT_TLS_CLIENT_CA_FILE", "cannot be read: no such file or directory"},
		{"STRAIT_TLS_CLIENT_CA_FILE=" + key, "STRAIT_TLS_CLIENT_CA_FILE", "holds no certificate"},
		{"STRAIT_TLS_CERT_FILE=" + key + " STRAIT_TLS_KEY_FILE=" + key, "STRAIT_TLS_CERT_FILE", "holds no certificate"},
		{"STRAIT_TLS_CIPHER_SUITES=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "STRAIT_TLS_CIPHER_SUITES", "STRAIT_TLS_MIN_VERSION=1.2"},
		{"STRAIT_TLS_MIN_VERSION=1.2 STRAIT_TLS_CIPHER_SUITES=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "STRAIT_TLS_CIPHER_SUITES", "an ECDSA or Ed25519 key needs one with ECDSA"},
		{"STRAIT_TLS_MIN_VERSION=1.2 STRAIT_TLS_CIPHER_SUITES=TLS_RSA_WITH_RC4_128_SHA", "STRAIT_TLS_CIPHER_SUITES", "is not secure"},
		{"STRAIT_TLS_MIN_VERSION=1.2 STRAIT_TLS_CIPHER_SUITES=TLS_AES_128_GCM_SHA256", "STRAIT_TLS_CIPHER_SUITES", "belongs to TLS 1.3"},
		{"STRAIT_TLS_MIN_VERSION=1.2 STRAIT_TLS_CIPHER_SUITES=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA255", "STRAIT_TLS_CIPHER_SUITES", "did you mean TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256?"},
		{"STRAIT_TLS_MIN_VERSION=1.2 STRAIT_TLS_CIPHER_SUITES=AES,", "STRAIT_TLS_CIPHER_SUITES", `"AES" does not exist; an item of the list is empty`},
		{"STRAIT_TLS_MIN_VERSION=1.2 STRAIT_TLS_CIPHER_SUITES=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "STRAIT_TLS_CIPHER_SUITES", "listed twice"},

		{"STRAIT_UPSTREAM_CA_FILE=" + cert, "STRAIT_UPSTREAM_CA_FILE", "a link+tls:// or grpcs:// backend in STRAIT_UPSTREAM"},
		{"STRAIT_UPSTREAM=link://h:1 STRAIT_UPSTREAM_CA_FILE=" + cert, "STRAIT_UPSTREAM_CA_FILE", "only link+tls and grpcs backends"},
		{"STRAIT_UPSTREAM=link+tls://h:1 STRAIT_UPSTREAM_CA_FILE=" + key, "STRAIT_UPSTREAM_CA_FILE", "holds no certificate"},
		{"STRAIT_UPSTREAM=link+tls://h:1 STRAIT_UPSTREAM_CERT_FILE=" + cert, "STRAIT_UPSTREAM_KEY_FILE", "its key is missing"},
	} {
		t.Run(tc.environ, func(t *testing.T) {
			assert.Contains(t, only(t, tc.variable, refused(t, strings.Fields(tc.environ)...)), tc.says)
		})
	}
}

func TestFolderThatTakesNoFilesIsRefused(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("root may write everywhere but in /proc, which is Linux's")
	}
	assert.Contains(t, only(t, "STRAIT_QUIC_QLOG_DIR", refused(t, "STRAIT_QUIC_QLOG_DIR=/proc")), "no file can be made in it")
	dir := t.TempDir()
	load(t, "STRAIT_QUIC_QLOG_DIR="+dir)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestPairThatDoesNotWorkIsRefused(t *testing.T) {
	cert, key := writePair(t, time.Now().Add(24*time.Hour))
	_, otherKey := writePair(t, time.Now().Add(24*time.Hour))
	expiredCert, expiredKey := writePair(t, time.Now().Add(-time.Hour))
	futureCert, futureKey := writePair(t, time.Now().Add(96*time.Hour))
	for _, names := range [][2]string{
		{"STRAIT_TLS_CERT_FILE", "STRAIT_TLS_KEY_FILE"},
		{"STRAIT_UPSTREAM_CERT_FILE", "STRAIT_UPSTREAM_KEY_FILE"},
	} {
		upstream := "STRAIT_UPSTREAM=link+tls://logic:7900"
		load(t, upstream, names[0]+"="+cert, names[1]+"="+key)
		assert.Contains(t, only(t, names[1], refused(t, upstream, names[0]+"="+cert, names[1]+"="+otherKey)), "not usable as the key of "+cert)
		assert.Contains(t, only(t, names[0], refused(t, upstream, names[0]+"="+expiredCert, names[1]+"="+expiredKey)), "has expired")
		assert.Contains(t, only(t, names[0], refused(t, upstream, names[0]+"="+futureCert, names[1]+"="+futureKey)), "not valid yet")
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, notices, err := configs.Load([]string{
		"STRAIT_ZEBRA=1", "STRAIT_TPC_ADDR=:1", "STRAIT_LOG_LEVEL=loud", "STRAIT_TCP_ADDR=x",
		"STRAIT_TLS_CERT_FILE=/nowhere", "STRAIT_SHARDS=-1", "STRAIT_SERVICE_HOST=10.0.0.1",
	})
	var all *configs.Errors
	require.True(t, errors.As(err, &all))
	var order []string
	for _, p := range all.Problems {
		order = append(order, p.Variable)
	}
	assert.Equal(t, []string{"STRAIT_TCP_ADDR", "STRAIT_TLS_CERT_FILE", "STRAIT_SHARDS", "STRAIT_LOG_LEVEL", "STRAIT_TPC_ADDR", "STRAIT_ZEBRA"}, order)
	assert.Len(t, strings.Split(err.Error(), "\n"), len(order))
	assert.ErrorIs(t, err, fs.ErrNotExist)
	assert.Len(t, notices, 1)
}

func TestUnknownVariables(t *testing.T) {
	for name, says := range map[string]string{
		"STRAIT_TPC_ADDR":         "did you mean STRAIT_TCP_ADDR?",
		"STRAIT_TCPADDR":          "did you mean STRAIT_TCP_ADDR?",
		"STRAIT_QUEUE_SIZES":      "did you mean STRAIT_QUEUE_SIZE?",
		"STRAIT_MAX_SESIONS":      "did you mean STRAIT_MAX_SESSIONS?",
		"STRAIT_MAX_MESSAGE":      "did you mean STRAIT_MAX_MESSAGE_BYTES?",
		"STRAIT_SHARDS_PER_CORE":  "did you mean STRAIT_SHARDS?",
		"STRAIT_QUIC_PORT":        "did you mean STRAIT_QUIC_ADDR?",
		"STRAIT_tcp_addr":         "did you mean STRAIT_TCP_ADDR?",
		"STRAIT_PASSWORD":         "want one of those that `strait config docs` lists",
		"STRAIT_MAX":              "did you mean STRAIT_MAX_",
		"STRAIT_":                 "there is no such variable",
		"STRAIT_PORTS":            "there is no such variable",
		"STRAIT_UDP_SERVICE_HOST": "enableServiceLinks: false",
		"STRAIT_UDP_SERVICE_PORT": "enableServiceLinks: false",
		"STRAIT_X_PORT_7777_TCP":  "enableServiceLinks: false",
	} {
		t.Run(name, func(t *testing.T) {
			text := only(t, name, refused(t, name+"=hunter2"))
			assert.Contains(t, text, says)
			assert.NotContains(t, text, "hunter2", "the value of an unknown variable may be a secret")
		})
	}
	assert.Contains(t, only(t, "STRAIT_UDP_PORT", refused(t, "STRAIT_UDP_PORT=udp://10.0.0.1:7778")), "enableServiceLinks: false")
	assert.Contains(t, refused(t, "STRAIT_TPC_ADDR="), "STRAIT_TPC_ADDR", "a wrong name is wrong also with nothing in it")
}

func TestKubernetesVariablesAreIgnored(t *testing.T) {
	names := []string{
		"STRAIT_PORT", "STRAIT_PORT_7777_TCP", "STRAIT_PORT_7777_TCP_ADDR", "STRAIT_PORT_7777_TCP_PORT",
		"STRAIT_PORT_7777_TCP_PROTO", "STRAIT_PORT_7778_UDP", "STRAIT_SERVICE_HOST", "STRAIT_SERVICE_PORT", "STRAIT_SERVICE_PORT_GAME",
	}
	environ := []string{"STRAIT_UDP_ADDR=off", "STRAIT_QUIC_ADDR=off"}
	for _, name := range names {
		environ = append(environ, name+"=tcp://10.0.0.1:7777")
	}
	c, notices, err := configs.Load(environ)
	require.NoError(t, err)
	require.Len(t, notices, 1)
	assert.Equal(t, names, notices[0].Variables)
	assert.False(t, c.Given("STRAIT_PORT"))

	_, notices, err = configs.Load([]string{"STRAIT_UDP_ADDR=off", "STRAIT_QUIC_ADDR=off", "STRAIT_PORT=8000"})
	require.NoError(t, err)
	require.Len(t, notices, 1)
	assert.Contains(t, notices[0].String(), "belongs in STRAIT_TCP_ADDR", "who sets a port by hand learns where it goes")
}

// A key that others may read is used, and warned of.
func TestExposedFleetKeyIsWarnedOf(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no such modes")
	}
	file := filepath.Join(t.TempDir(), "fleet.key")
	require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("5e", 32)+"\n"), 0o600))
	for mode, exposed := range map[os.FileMode]bool{
		0o600: false, 0o400: false, 0o700: false, 0o644: true, 0o640: true, 0o604: true, 0o620: true,
	} {
		require.NoError(t, os.Chmod(file, mode))
		_, notices, err := configs.Load([]string{"STRAIT_FLEET_KEY_FILE=" + file})
		require.NoError(t, err)
		if !exposed {
			assert.Empty(t, notices, "%#o", mode)
			continue
		}
		require.Len(t, notices, 1, "%#o", mode)
		assert.True(t, notices[0].Warning)
		text := notices[0].String()
		assert.Contains(t, text, "STRAIT_FLEET_KEY_FILE: "+file+fmt.Sprintf(" has mode %#o:", mode))
		assert.Contains(t, text, "0600 is right")
		assert.NotContains(t, text, "5e5e")
	}
}

func TestSealedUDPNeedsTCP(t *testing.T) {
	c := load(t, "STRAIT_TCP_ADDR=off")
	assert.True(t, c.Listen.UDP.Off())
	assert.Equal(t, "off, because STRAIT_TCP_ADDR is", value(t, c, "STRAIT_UDP_ADDR").Note)
}

func TestQueueSizeIsRoundedUp(t *testing.T) {
	for given, want := range map[string]int64{"64": 64, "65": 128, "1000": 1024, "8192": 8192, "1048575": 1 << 20} {
		c := load(t, "STRAIT_QUEUE_SIZE="+given)
		assert.Equal(t, want, c.Gateway.QueueSize)
		if given != value(t, c, "STRAIT_QUEUE_SIZE").Value {
			assert.Contains(t, value(t, c, "STRAIT_QUEUE_SIZE").Note, given)
		}
	}
}

func TestSecretsAreNotRepeated(t *testing.T) {
	for _, environ := range []string{
		"STRAIT_UPSTREAM=link://user:hunter2@logic:7900",
		"STRAIT_UPSTREAM=link://user:hun,ter2@logic:7900",
		"STRAIT_UPSTREAM=link://a:1,link+tls://user:hunter2@logic:7900",
		"STRAIT_UPSTREAM=user:hunter2@logic:7900",
		"STRAIT_UPSTREAM=postgres://user:hun/ter2@logic:7900",
		"STRAIT_TCP_ADDR=user:hunter2@:7777",
	} {
		name, _, _ := strings.Cut(environ, "=")
		text := only(t, name, refused(t, environ))
		assert.NotContains(t, text, "hun")
		assert.NotContains(t, text, "ter2")
		assert.Contains(t, text, "***@")
	}
	cert, _ := writePair(t, time.Now().Add(24*time.Hour))
	text := only(t, "STRAIT_TLS_KEY_FILE", refused(t, "STRAIT_TLS_CERT_FILE="+cert, "STRAIT_TLS_KEY_FILE=-----BEGIN PRIVATE KEY-----\nhunter2\n"))
	assert.NotContains(t, text, "hunter2")
	assert.Contains(t, text, "holds the contents of a file, where its path belongs")
}

func TestLongValuesAreCutInMessages(t *testing.T) {
	text := only(t, "STRAIT_TCP_ADDR", refused(t, "STRAIT_TCP_ADDR="+strings.Repeat("é", 5000)))
	assert.Less(t, len(text), 600)
}
