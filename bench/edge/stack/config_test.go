//go:build linux

package stack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/bench/edge/echo"
)

var example = setup{
	Addr: "127.0.0.1:20001", Dir: "/t", Socket: "/t/echo.sock", Sessions: 1000,
	Cert: Certificate{Chain: "/t/cert.pem", Key: "/t/key.pem", Both: "/t/both.pem"},
}

// Both proxies are given the same TLS, and room for the sessions.
func TestNginxConfiguration(t *testing.T) {
	conf := example.nginx()
	for _, line := range []string{
		"worker_processes 1;", "worker_rlimit_nofile 2128;", "worker_connections 2128;",
		"listen 127.0.0.1:20001 ssl backlog=4096;", "server unix:/t/echo.sock;",
		"ssl_certificate /t/cert.pem;", "ssl_certificate_key /t/key.pem;",
		"ssl_protocols TLSv1.3;", "Ciphersuites TLS_AES_128_GCM_SHA256;", "ssl_ecdh_curve X25519;", "tcp_nodelay on;",
	} {
		assert.Contains(t, conf, line)
	}
	assert.NotContains(t, conf, "load_module")
	assert.NotContains(t, conf, "user root")
	assert.Equal(t, strings.Count(conf, "{"), strings.Count(conf, "}"))

	other := example
	other.Module, other.Root = "/m/ngx_stream_module.so", true
	conf = other.nginx()
	assert.True(t, strings.HasPrefix(conf, "load_module /m/ngx_stream_module.so;\n"), conf)
	assert.Contains(t, conf, "\nuser root root;\n")
}

func TestHAProxyConfiguration(t *testing.T) {
	conf := example.haproxy()
	for _, line := range []string{
		"nbthread 1", "  maxconn 1064", "mode tcp", "bind 127.0.0.1:20001 ssl crt /t/both.pem", "server echo unix@/t/echo.sock",
		"ssl-min-ver TLSv1.3", "ciphersuites TLS_AES_128_GCM_SHA256", "curves X25519",
	} {
		assert.Contains(t, conf, line)
	}
}

func TestStraitEnvironment(t *testing.T) {
	env := environment([]string{"PATH=/bin", "STRAIT_SHARDS=7", "STRAITEN=1"}, append(example.strait(), "STRAIT_LOG_LEVEL=debug"))
	assert.Contains(t, env, "PATH=/bin")
	assert.Contains(t, env, "STRAITEN=1")
	assert.NotContains(t, env, "STRAIT_SHARDS=7", "meant for another gateway")
	assert.Contains(t, env, "STRAIT_TCP_ADDR=127.0.0.1:20001")
	assert.Contains(t, env, "STRAIT_UPSTREAM=link+unix:///t/echo.sock")
	assert.NotContains(t, strings.Join(env, " "), "RETRY", "the gateway's default")
	assert.Equal(t, "STRAIT_LOG_LEVEL=debug", env[len(env)-1], "a target's own comes last and counts")
}

// Who is asked to prove its address is asked by the gateway and by the bare echo alike.
func TestRetry(t *testing.T) {
	s := example
	s.Protocol, s.Retry = QUIC, RetryAlways
	assert.Contains(t, s.strait(), "STRAIT_QUIC_ADDR=127.0.0.1:20001")
	assert.Contains(t, s.strait(), "STRAIT_QUIC_RETRY=always")
	bare := Target{Kind: Bare, Protocol: QUICStreams}
	assert.Equal(t, echo.QUICRetry, bare.echo(RetryAlways))
	assert.Equal(t, echo.QUIC, bare.echo(RetryOff))
	assert.Equal(t, echo.QUIC, bare.echo(""))
	assert.Equal(t, echo.Link, Target{Kind: Strait, Protocol: QUIC}.echo(RetryAlways))
}

func TestWhoHasSessions(t *testing.T) {
	assert.True(t, Target{Kind: Nginx}.Sessions())
	assert.True(t, Target{Kind: Strait, Protocol: UDP}.Sessions(), "beside its lanes")
	assert.False(t, Target{Kind: Nginx, Protocol: UDP}.Sessions())
	assert.True(t, Target{Kind: Bare, Protocol: QUIC}.Sessions())
}

func TestSessionsFitOpenFiles(t *testing.T) {
	for files, want := range map[uint64]int{20000: 9872, 1024: 384, 1 << 63: 1<<23 - 2*spare} {
		n := Sessions(files)
		assert.Equal(t, want, n)
		other := example
		other.Sessions = n
		assert.LessOrEqual(t, uint64(2*(n+spare)+spare), files, "what the proxies are configured with, and their own")
	}
}

func TestCertificate(t *testing.T) {
	c, err := NewCertificate(t.TempDir())
	require.NoError(t, err)
	for _, files := range [][2]string{{c.Chain, c.Key}, {c.Both, c.Both}} {
		pair, err := tls.LoadX509KeyPair(files[0], files[1])
		require.NoError(t, err)
		key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
		require.True(t, ok)
		assert.Equal(t, elliptic.P256(), key.Curve)
		roots := x509.NewCertPool()
		roots.AddCert(pair.Leaf)
		_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "127.0.0.1"})
		require.NoError(t, err)
		info, err := os.Stat(files[1])
		require.NoError(t, err)
		assert.EqualValues(t, 0o600, info.Mode().Perm())
	}
}

func TestFreeAddr(t *testing.T) {
	addr, err := freeAddr()
	require.NoError(t, err)
	l, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

// program makes an executable file.
func program(t *testing.T, dir, name, script string) string {
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700))
	return path
}

func TestFindSaysWhatToInstall(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	p := places{programs: []string{t.TempDir()}, modules: []string{t.TempDir()}}
	_, err := p.find([]Kind{Nginx, HAProxy})
	var missing *MissingError
	require.ErrorAs(t, err, &missing)
	assert.Equal(t, []string{"nginx", "libnginx-mod-stream", "haproxy"}, missing.Packages)
	assert.ErrorContains(t, err, "apt-get install nginx libnginx-mod-stream haproxy")

	nginx := program(t, p.programs[0], "nginx", "echo 'configure arguments: --with-stream=dynamic' >&2")
	haproxy := program(t, p.programs[0], "haproxy", "echo HAProxy version 0.1; echo more")
	_, err = p.find([]Kind{HAProxy, Nginx})
	require.ErrorAs(t, err, &missing)
	assert.Equal(t, []string{"libnginx-mod-stream"}, missing.Packages)

	require.NoError(t, os.WriteFile(filepath.Join(p.modules[0], "ngx_stream_module.so"), nil, 0o600))
	found, err := p.find([]Kind{HAProxy, Nginx})
	require.NoError(t, err)
	assert.Equal(t, []Target{{Name: "haproxy", Kind: HAProxy, Binary: haproxy}, {Name: "nginx", Kind: Nginx, Binary: nginx}}, found)
	assert.Equal(t, "HAProxy version 0.1", found[0].Version())
}

func TestFindTakesABuiltInModule(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	p := places{programs: []string{t.TempDir()}}
	program(t, p.programs[0], "nginx", "echo 'configure arguments: --with-stream --with-x' >&2")
	_, err := p.find([]Kind{Nginx})
	require.NoError(t, err)
}
