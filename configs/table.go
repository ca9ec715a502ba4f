package configs

import (
	"reflect"
	"strings"
	"time"

	"github.com/caarlos0/env/v10"
)

// variable is one line of the table: everything about a setting that is not in the
// tags of its field.
type variable struct {
	key  string // without Prefix
	rule rule
	doc  string // Markdown, on one line
}

func (v variable) name() string { return Prefix + v.key }

type section struct {
	title     string
	intro     string
	variables []variable
}

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
	tib = 1 << 40
)

// sections returns the table, in the order of the reference.
func sections() []section {
	return []section{
		{
			title: "Addresses",
			intro: "At least one transport must be on. Without a host, all addresses of the machine are meant, IPv4 and IPv6. Two addresses of the same protocol may not be the same, except that `STRAIT_UDP_ADDR` and `STRAIT_QUIC_ADDR` may share a port: see there.",
			variables: []variable{
				{key: "TCP_ADDR", rule: address(), doc: "Where players connect with TLS over TCP."},
				{key: "UDP_ADDR", rule: address(), doc: "Where players' sealed UDP lanes arrive (UDP)."},
				{key: "QUIC_ADDR", rule: address(), doc: "Where players connect with QUIC (UDP). The very address of `STRAIT_UDP_ADDR` makes one socket serve both, for the sake of one hole in a firewall; its buffers are the larger of both settings."},
				{key: "ADMIN_ADDR", rule: address(), doc: "Where health, metrics, the session list and profiles are served over plain HTTP. It has no authentication: keep it off public networks."},
				{key: "TCP_LOOP", rule: rule{accepts: "on or off"}, doc: "Whether open TCP connections live on event loops (Linux), without a goroutine each. Off is the portable path, the same to players and game logic."},
			},
		},
		{
			title: "TLS",
			intro: "Without files the gateway makes itself a certificate at start, valid for 13 days and renewed while it runs, and logs its SHA-256 fingerprint. Files are read again when they change, and at SIGHUP; a pair that does not work is logged and the one in use kept.",
			variables: []variable{
				{key: "TLS_CERT_FILE", rule: file("the certificate and its chain"), doc: "The gateway's certificate. Goes with `STRAIT_TLS_KEY_FILE`."},
				{key: "TLS_KEY_FILE", rule: file("the certificate's key, not encrypted"), doc: "The certificate's private key. Goes with `STRAIT_TLS_CERT_FILE`. The path is printed, the contents never are."},
				{key: "TLS_CLIENT_CA_FILE", rule: file("certificates of authorities"), doc: "The authorities of which one must have signed the certificate that a client shows, over TCP and over QUIC; none: clients need no certificate. It proves that a client may connect, not which player it is."},
				{key: "TLS_MIN_VERSION", rule: rule{accepts: "1.2 or 1.3"}, doc: "The oldest version of TLS that is spoken. Allow 1.2 only for clients that have nothing better."},
				{key: "TLS_CIPHER_SUITES", rule: rule{accepts: "IANA names of secure suites of TLS 1.2, separated by commas"}, doc: "The suites of TLS 1.2, in no order of preference; none: Go's own choice. Only with `STRAIT_TLS_MIN_VERSION=1.2`: the suites of TLS 1.3 cannot be chosen. At least one must suit the certificate's key. There are " + strings.Join(suiteNames(), ", ") + "."},
			},
		},
		{
			title: "Sealed UDP",
			intro: "Unreliable lanes for sessions on TLS over TCP whose clients ask for one. What each mechanism stops is in [security.md](security.md).",
			variables: []variable{
				{key: "UDP_ADVERTISE", rule: rule{accepts: "host:port, [ipv6]:port or :port"}, doc: "The address that clients are told to send to, where it is not the one that is listened on: behind NAT or a load balancer. Without a host, the one that the client dialled is meant; none: the port of `STRAIT_UDP_ADDR`."},
				{key: "UDP_SOCKETS", rule: integer(1, 64), doc: "Sockets that share the port, each with a reader of its own (SO_REUSEPORT). More than one pays only where one reader has a core full of work, and not on a port shared with QUIC."},
				{key: "UDP_TOKEN_LIFETIME", rule: duration(time.Second, 10*time.Minute), doc: "How long an offer of a lane is good until its first use."},
				{key: "UDP_AEADS", rule: rule{accepts: "a list of aes128gcm and chacha20poly1305, separated by commas"}, doc: "The ciphers that lanes may use. The client's order of preference decides."},
				{key: "UDP_RETRY", rule: oneOf(RetryAuto, RetryAlways, RetryOff), doc: "When a client must prove its address with a cookie before its HELLO is looked at: under load, always or never."},
				{key: "UDP_READ_BUFFER_BYTES", rule: integer(64*kib, gib), doc: "The receive buffer that each socket asks for. What the system grants is logged, with the limit to raise if it is less."},
				{key: "UDP_WRITE_BUFFER_BYTES", rule: integer(64*kib, gib), doc: "The send buffer that each socket asks for, likewise."},
				{key: "UDP_BATCH", rule: rule{accepts: "on or off"}, doc: "Whether many datagrams are read and written with one system call (Linux). Off is the portable path, the same to players and game logic."},
			},
		},
		{
			title: "QUIC",
			intro: "Certificate, versions and client proof are those of TLS above. The sum of windows is what one client can make the gateway hold: [operations.md](operations.md#memory-of-quic).",
			variables: []variable{
				{key: "QUIC_DATAGRAMS", rule: rule{accepts: "on or off"}, doc: "Whether unreliable messages travel as QUIC datagrams. Off: on the control stream, the newest of each channel only."},
				{key: "QUIC_RETRY", rule: oneOf(RetryAuto, RetryAlways, RetryOff), doc: "When a client must prove its address with a Retry, which costs a round trip: under load, always or never."},
				{key: "QUIC_HANDSHAKE_TIMEOUT", rule: zeroOrDuration("`STRAIT_OPEN_TIMEOUT`", 100*time.Millisecond, time.Minute), doc: "How long a handshake may go without a packet."},
				{key: "QUIC_IDLE_TIMEOUT", rule: zeroOrDuration("`STRAIT_IDLE_TIMEOUT`", time.Second, time.Hour), doc: "After how long without a packet the connection is given up. Clients that offer less get less."},
				{key: "QUIC_KEEPALIVE", rule: zeroOrDuration("none: the gateway's own PINGs", time.Second, time.Hour), doc: "How often QUIC itself keeps a quiet connection, and the NAT in front of it, alive."},
				{key: "QUIC_STREAM_WINDOW_BYTES", rule: integer(16*kib, 16*mib), doc: "What a client may send on one stream before it is read."},
				{key: "QUIC_CONN_WINDOW_BYTES", rule: integer(32*kib, 64*mib), doc: "The same for all streams of a connection. At least `STRAIT_QUIC_STREAM_WINDOW_BYTES`."},
				{key: "QUIC_MAX_STREAMS", rule: integer(0, 256), doc: "Channel streams that a client may have open; channels beyond share the control stream. Each counts 8 KB of `STRAIT_BUFFER_BUDGET_BYTES` even if nothing comes on it. 0: all channels share the control stream."},
				{key: "QUIC_GSO", rule: rule{accepts: "on or off"}, doc: "Whether several packets to one client are handed to the system at once (UDP generic segmentation offload, Linux)."},
				{key: "QUIC_MTU_DISCOVERY", rule: rule{accepts: "on or off"}, doc: "Whether packets grow to what the path carries. Off: they stay at 1280 bytes, which is for networks where tunnels make paths narrower under way: that is not noticed."},
				{key: "QUIC_READ_BUFFER_BYTES", rule: integer(64*kib, gib), doc: "The receive buffer that the socket asks for. What the system grants is logged, with the limit to raise if it is less."},
				{key: "QUIC_WRITE_BUFFER_BYTES", rule: integer(64*kib, gib), doc: "The send buffer that the socket asks for, likewise."},
				{key: "QUIC_QLOG_DIR", rule: folder(), doc: "Where traces of connections are written in the qlog format, for debugging; none: no traces."},
				{key: "QUIC_QLOG_EVERY", rule: integer(1, 1_000_000), doc: "One connection in so many is traced."},
			},
		},
		{
			title: "Fleet",
			variables: []variable{
				{key: "FLEET_KEY_FILE", rule: keyFile(), doc: "The secret that all gateways of a fleet share: from it come the keys of tokens, cookies and resets. The first line seals, both open, so that it can be changed without a break. Without a file the key is random and ends with the process: offers and cookies of before a restart are then worth nothing. A file that others than its owner may read or write is warned of at start: 0600 is right, or 0400 for a mounted secret. The path is printed, the contents never are."},
				{key: "NODE_ID", rule: nodeID(), doc: "The name of this gateway, different from every other of the fleet; none: the host's name. Resets are keyed with it."},
			},
		},
		{
			title: "Game logic",
			variables: []variable{
				{key: "UPSTREAM", rule: rule{accepts: "echo, or a list of link://host:port, link+tls://host:port, link+unix:///path, grpc://host:port, grpcs://host:port and grpc+unix:///path, separated by commas"}, doc: "Where game logic runs. `echo` is built in and sends each message back to its player. Sessions are spread over the backends of a list. The link is the fast way, gRPC the convenient one: [upstream-drivers.md](upstream-drivers.md)."},
				{key: "UPSTREAM_STREAMS", rule: integer(1, 64), doc: "Streams to each backend. A session stays on one."},
				{key: "UPSTREAM_GRACE", rule: duration(100*time.Millisecond, 10*time.Minute), doc: "How long the sessions of a lost backend wait for one that takes them, before they are closed `UPSTREAM_LOST`."},
				{key: "UPSTREAM_CA_FILE", rule: file("certificates of authorities"), doc: "The authorities that `link+tls` and `grpcs` backends are verified with; none: the system's. Read at start."},
				{key: "UPSTREAM_CERT_FILE", rule: file("the certificate and its chain"), doc: "The certificate that the gateway shows to `link+tls` and `grpcs` backends that ask. Goes with `STRAIT_UPSTREAM_KEY_FILE`; read again when it changes."},
				{key: "UPSTREAM_KEY_FILE", rule: file("the certificate's key, not encrypted"), doc: "The key of `STRAIT_UPSTREAM_CERT_FILE`. The path is printed, the contents never are."},
				{key: "CLIENT_ROUTE", rule: rule{accepts: "on or off"}, doc: "Whether a client may name the route to game logic that it wants."},
			},
		},
		{
			title: "Limits",
			intro: "Sizes are in bytes.",
			variables: []variable{
				{key: "SHARDS", rule: zeroOr("GOMAXPROCS", 1, 256), doc: "Dispatcher shards, each with its own queue and consumer. A session stays on one; sessions of a TCP event loop share one, and there is a loop for each two cores."},
				{key: "QUEUE_SIZE", rule: integer(64, 1<<20), doc: "Events that a shard's queue holds; rounded up to a power of two."},
				{key: "MAX_SESSIONS", rule: integer(1, 1_000_000), doc: "Sessions at a time; more are refused with `OVERLOADED`. See [Open files](#open-files)."},
				{key: "MAX_HANDSHAKES", rule: integer(1, 100_000), doc: "Connections at a time that have not finished opening; when there is one more, the oldest is closed of the network (an IPv4 address, or /64 of IPv6) that has the most. See [Open files](#open-files)."},
				{key: "MAX_MESSAGE_BYTES", rule: integer(16*kib, mib), doc: "The largest message, either way."},
				{key: "SEND_BUFFER_BYTES", rule: integer(16*kib, 64*mib), doc: "What may wait to be sent to one session; a player who reads too slowly for that is closed `TOO_SLOW`. At least `STRAIT_MAX_MESSAGE_BYTES`."},
				{key: "BUFFER_BUDGET_BYTES", rule: zeroOr("a quarter of the memory", mib, tib), doc: "What all sessions together may have waiting. See [Memory](#memory). At least `STRAIT_SEND_BUFFER_BYTES`."},
			},
		},
		{
			title: "Times",
			variables: []variable{
				{key: "OPEN_TIMEOUT", rule: duration(100*time.Millisecond, time.Minute), doc: "How long a connection may take to open: TLS, hello and authentication together."},
				{key: "IDLE_TIMEOUT", rule: duration(time.Second, time.Hour), doc: "After how long without anything from a player the session is closed `IDLE`. The gateway pings at a third of it."},
				{key: "DRAIN_TIMEOUT", rule: duration(100*time.Millisecond, 10*time.Minute), doc: "How long players may finish after SIGTERM or SIGINT. Give the process a few seconds more before it is killed."},
			},
		},
		{
			title: "Log",
			intro: "The log goes to standard error.",
			variables: []variable{
				{key: "LOG_LEVEL", rule: logLevel(), doc: "The least important level that is logged."},
				{key: "LOG_FORMAT", rule: oneOf(FormatText, FormatJSON), doc: "Lines for people or for machines."},
			},
		},
	}
}

// variables returns the lines of the table without their sections.
func variables() []variable {
	var out []variable
	for _, s := range sections() {
		out = append(out, s.variables...)
	}
	return out
}

// keys returns every variable's name without the prefix.
func keys() []string {
	var out []string
	for _, v := range variables() {
		out = append(out, v.key)
	}
	return out
}

// fields returns c's fields by their variables' names without the prefix.
func fields(c *Config) map[string]reflect.Value {
	out := make(map[string]reflect.Value)
	for _, group := range c.groups() {
		g := reflect.ValueOf(group).Elem()
		for i := range g.NumField() {
			out[g.Type().Field(i).Tag.Get("env")] = g.Field(i)
		}
	}
	return out
}

// defaults returns the defaults as the tags write them, by full name.
func defaults() map[string]string {
	out := make(map[string]string)
	for _, group := range new(Config).groups() {
		// The tags are constants of this package: an error would be a mistake that the
		// test of the table finds as a variable without an entry here.
		params, _ := env.GetFieldParamsWithOptions(group, env.Options{Prefix: Prefix, Environment: map[string]string{}})
		for _, p := range params {
			out[p.Key] = p.DefaultValue
		}
	}
	return out
}
