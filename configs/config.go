package configs

import (
	"log/slog"
	"time"

	"strait/transport/tlsconfig"
)

// Prefix begins the name of every variable.
const Prefix = "STRAIT_"

// Config is the whole configuration. A Config from [Load] is complete and valid;
// the zero Config is not. The tags give each field's variable (without [Prefix])
// and default; what a value may be and what it means is in the table in table.go.
type Config struct {
	Listen   Listen
	TLS      TLS
	UDP      UDP
	QUIC     QUIC
	Fleet    Fleet
	Upstream Upstream
	Gateway  Gateway
	Log      Log

	given map[string]bool   // variables that the environment set, by full name
	notes map[string]string // what the gateway made of a value, by full name
}

// Listen says where the gateway is reached.
type Listen struct {
	TCP   Addr `env:"TCP_ADDR" envDefault:":7777"`
	UDP   Addr `env:"UDP_ADDR" envDefault:":7778"`
	QUIC  Addr `env:"QUIC_ADDR" envDefault:":7777"`
	Admin Addr `env:"ADMIN_ADDR" envDefault:"127.0.0.1:7780"`
	// TCPLoop lets open TCP connections live on event loops where the system has them.
	TCPLoop Switch `env:"TCP_LOOP" envDefault:"on"`
}

// OnePort says that sealed UDP and QUIC share a socket: their addresses are the same,
// as they are written.
func (l Listen) OnePort() bool { return !l.UDP.Off() && l.UDP == l.QUIC }

// TLS is the policy of every transport that uses TLS.
type TLS struct {
	CertFile     string       `env:"TLS_CERT_FILE"`
	KeyFile      string       `env:"TLS_KEY_FILE"`
	ClientCAFile string       `env:"TLS_CLIENT_CA_FILE"` // empty: clients need no certificate
	MinVersion   TLSVersion   `env:"TLS_MIN_VERSION" envDefault:"1.3"`
	CipherSuites CipherSuites `env:"TLS_CIPHER_SUITES"`
}

// Policy returns the settings in the form that [tlsconfig.New] takes.
func (t TLS) Policy(log *slog.Logger) tlsconfig.Config {
	return tlsconfig.Config{
		CertFile:     t.CertFile,
		KeyFile:      t.KeyFile,
		ClientCAFile: t.ClientCAFile,
		MinVersion:   uint16(t.MinVersion),
		CipherSuites: t.CipherSuites,
		Logger:       log,
	}
}

// Upstream says where game logic is and how it is reached.
type Upstream struct {
	Backends Backends      `env:"UPSTREAM" envDefault:"echo"`
	Streams  int64         `env:"UPSTREAM_STREAMS" envDefault:"2"` // to each backend
	Grace    time.Duration `env:"UPSTREAM_GRACE" envDefault:"10s"`
	CAFile   string        `env:"UPSTREAM_CA_FILE"` // empty: the system's roots
	CertFile string        `env:"UPSTREAM_CERT_FILE"`
	KeyFile  string        `env:"UPSTREAM_KEY_FILE"`
}

// Gateway holds the limits under which sessions run. Sizes are in bytes.
type Gateway struct {
	ClientRoute   Switch        `env:"CLIENT_ROUTE" envDefault:"off"`
	Shards        int64         `env:"SHARDS" envDefault:"0"`        // 0: GOMAXPROCS
	QueueSize     int64         `env:"QUEUE_SIZE" envDefault:"8192"` // a shard; always a power of two
	MaxSessions   int64         `env:"MAX_SESSIONS" envDefault:"20000"`
	MaxHandshakes int64         `env:"MAX_HANDSHAKES" envDefault:"1024"`
	MaxMessage    int64         `env:"MAX_MESSAGE_BYTES" envDefault:"65536"`
	SendBuffer    int64         `env:"SEND_BUFFER_BYTES" envDefault:"262144"` // a session
	BufferBudget  int64         `env:"BUFFER_BUDGET_BYTES" envDefault:"0"`    // 0: see [Config.BufferBudget]
	OpenTimeout   time.Duration `env:"OPEN_TIMEOUT" envDefault:"5s"`
	IdleTimeout   time.Duration `env:"IDLE_TIMEOUT" envDefault:"30s"`
	DrainTimeout  time.Duration `env:"DRAIN_TIMEOUT" envDefault:"10s"`
}

// Log says what is logged and how.
type Log struct {
	Level  slog.Level `env:"LOG_LEVEL" envDefault:"info"`
	Format string     `env:"LOG_FORMAT" envDefault:"text"` // FormatText or FormatJSON
}

// The values of [Log.Format].
const (
	FormatText = "text"
	FormatJSON = "json"
)

// groups returns the structs whose fields carry variables, in the order of the
// reference.
func (c *Config) groups() []any {
	return []any{&c.Listen, &c.TLS, &c.UDP, &c.QUIC, &c.Fleet, &c.Upstream, &c.Gateway, &c.Log}
}

// Given reports whether the environment set the variable of that full name to
// something other than nothing.
func (c *Config) Given(name string) bool { return c.given[name] }

func (c *Config) note(name, text string) {
	if c.notes == nil {
		c.notes = make(map[string]string)
	}
	c.notes[name] = text
}
