//go:build linux

package stack

import (
	"fmt"
	"strings"
	"time"
)

// setup is what a proxy's configuration is rendered from.
type setup struct {
	Addr     string // host:port to listen on
	Dir      string // the proxy's own folder
	Socket   string // the echo's path, or its address by UDP
	Protocol Protocol
	Retry    Retry
	Cert     Certificate
	Sessions int    // at least so many at a time
	Module   string // nginx's stream module; empty if it is built in
	Root     bool   // the harness runs as root
}

// spare is room beyond the sessions that were asked for: listeners, logs, sessions
// that are being closed.
const spare = 64

// Sessions is the most that every kind of proxy takes at a time where a process may
// have files open files: nginx and HAProxy need two for each, and some of their own
// beyond those of the sessions they are configured for.
func Sessions(files uint64) int { return int(min(files, 1<<24))/2 - 2*spare }

// nginx renders nginx.conf. Buffers and everything else that is not named is as
// nginx has it by default; the session cache and tickets are off because nobody
// resumes.
func (s setup) nginx() string {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	if s.Module != "" {
		line("load_module %s;", s.Module)
	}
	if s.Root {
		// The echo's socket is in a folder that only its owner may enter.
		line("user root root;")
	}
	line("worker_processes 1;")
	line("worker_rlimit_nofile %d;", 2*(s.Sessions+spare))
	line("daemon off;")
	line("pid %s/nginx.pid;", s.Dir)
	line("error_log %s/error.log warn;", s.Dir)
	line("events { worker_connections %d; use epoll; }", 2*(s.Sessions+spare))
	line("stream {")
	line("  access_log off;")
	if s.Protocol == UDP {
		line("  upstream echo { server %s; }", s.Socket)
		line("  server {")
		line("    listen %s udp rcvbuf=4m sndbuf=4m;", s.Addr)
	} else {
		s.nginxTLS(line)
	}
	line("    proxy_timeout 1h;")
	line("    proxy_pass echo;")
	line("  }")
	line("}")
	return b.String()
}

// nginxTLS renders what only TLS over TCP has.
func (s setup) nginxTLS(line func(format string, a ...any)) {
	line("  upstream echo { server unix:%s; }", s.Socket)
	line("  server {")
	line("    listen %s ssl backlog=4096;", s.Addr)
	line("    ssl_certificate %s;", s.Cert.Chain)
	line("    ssl_certificate_key %s;", s.Cert.Key)
	line("    ssl_protocols TLSv1.3;")
	line("    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;")
	line("    ssl_ecdh_curve X25519;")
	line("    ssl_alpn strait/1;")
	line("    ssl_session_cache off;")
	line("    ssl_session_tickets off;")
	line("    tcp_nodelay on;")
}

// haproxy renders haproxy.cfg, with defaults as nginx has them.
func (s setup) haproxy() string {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	line("global")
	line("  nbthread 1")
	line("  maxconn %d", s.Sessions+spare)
	line("  ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets")
	line("  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256")
	line("  ssl-default-bind-curves X25519")
	line("  tune.ssl.cachesize 0")
	line("defaults")
	line("  mode tcp")
	line("  timeout connect 5s")
	line("  timeout client 1h")
	line("  timeout server 1h")
	line("frontend edge")
	line("  maxconn %d", s.Sessions+spare)
	line("  bind %s ssl crt %s alpn strait/1 backlog 4096", s.Addr, s.Cert.Both)
	line("  default_backend echo")
	line("backend echo")
	line("  server echo unix@%s", s.Socket)
	return b.String()
}

// drain is how long the gateway may take to end.
const drain = 100 * time.Millisecond

// strait renders the gateway's environment. Limits, times and what is not said about
// Retry are its defaults.
func (s setup) strait() []string {
	lanes, overQUIC := "off", "off"
	switch {
	case s.Protocol == UDP:
		lanes = s.Addr
	case s.Protocol.OverQUIC():
		overQUIC = s.Addr
	}
	env := []string{
		"STRAIT_TCP_ADDR=" + s.Addr,
		"STRAIT_UDP_ADDR=" + lanes,
		"STRAIT_QUIC_ADDR=" + overQUIC,
		"STRAIT_ADMIN_ADDR=off",
		"STRAIT_TLS_CERT_FILE=" + s.Cert.Chain,
		"STRAIT_TLS_KEY_FILE=" + s.Cert.Key,
		"STRAIT_UPSTREAM=link+unix://" + s.Socket,
		"STRAIT_DRAIN_TIMEOUT=" + drain.String(),
		"STRAIT_LOG_LEVEL=warn",
	}
	if s.Retry != "" {
		env = append(env, "STRAIT_QUIC_RETRY="+string(s.Retry), "STRAIT_UDP_RETRY="+string(s.Retry))
	}
	return env
}

// environment returns the harness's environment without settings that were meant
// for another gateway, and add behind it.
func environment(inherited, add []string) []string {
	var out []string
	for _, e := range inherited {
		if !strings.HasPrefix(e, "STRAIT_") {
			out = append(out, e)
		}
	}
	return append(out, add...)
}
