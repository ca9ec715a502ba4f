package udp

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"time"

	"strait/internal/fleetkey"
	"strait/transport"
	"strait/udp/sealed"
)

// The defaults of Config.
const (
	DefaultTokenLifetime = 30 * time.Second
	DefaultSilence       = 30 * time.Second
	DefaultMaxMessage    = 16384
	DefaultMaxLanes      = 65536
	DefaultReadBuffer    = 4 << 20
	DefaultWriteBuffer   = 1 << 20
	DefaultHelloRate     = 500
	DefaultResetRate     = 1000
)

// minMaxMessage is the least that SERVER_HELLO may say (WIRE.md section 6.7).
const minMaxMessage = 1100

// RetryPolicy says when a client must prove its address with a cookie before the
// gateway looks at its HELLO (RETRY, WIRE.md section 6.3).
type RetryPolicy uint8

const (
	RetryAuto   RetryPolicy = iota // under load
	RetryAlways                    // always: one more round trip for each binding
	RetryOff                       // never
)

var retryNames = [...]string{"auto", "always", "off"}

// String returns the word that ParseRetryPolicy takes.
func (p RetryPolicy) String() string {
	if int(p) < len(retryNames) {
		return retryNames[p]
	}
	return fmt.Sprintf("RetryPolicy(%d)", uint8(p))
}

// ParseRetryPolicy reads "auto", "always" or "off".
func ParseRetryPolicy(s string) (RetryPolicy, error) {
	if i := slices.Index(retryNames[:], s); i >= 0 {
		return RetryPolicy(i), nil
	}
	return 0, fmt.Errorf("udp: %q is not a retry policy: it is auto, always or off", s)
}

// Config says how a Service behaves. Pool is required; zero is the documented
// default for everything else.
type Config struct {
	// TokenLifetime is how long an offer may wait for its first use; 0 is 30 s.
	TokenLifetime time.Duration
	// AEADs are those that the gateway takes, in any order: the client's order
	// decides. Empty is both.
	AEADs []uint32
	// Retry says when a client must prove its address before its HELLO is looked at.
	Retry RetryPolicy
	// FleetKey is what tokens, cookies and reset values are made with; the zero Ring
	// is a random one.
	FleetKey fleetkey.Ring
	// NodeID tells this gateway from others with the same FleetKey.
	NodeID string
	// Advertise is the address that offers name: "host:port", or ":port" for the
	// host that the client dialled. Empty is ":port" of the bound socket.
	Advertise string
	// Sockets is how many sockets share the port, each with a reader of its own; 0 is
	// 1. More than one needs Linux. At most 256.
	Sockets int
	// Share gives QUIC the other half of the port: Service.Shared. Sockets is 1 then.
	Share bool
	// ReadBufferBytes and WriteBufferBytes are asked of the kernel for each socket;
	// 0 is 4 MiB and 1 MiB. What it grants is in Stats.
	ReadBufferBytes, WriteBufferBytes int
	// NoBatch moves one datagram with each system call also where many would go.
	NoBatch bool
	// MaxMessage is the longest unreliable message in bytes, both ways; 0 is 16384,
	// the least is 1100. What 16 fragments carry may be less (Lane.Max).
	MaxMessage int
	// MaxLanes is how many lanes there are at most, bound or not; 0 is 65536.
	MaxLanes int
	// Silence is how long a bound client may say nothing before its lane is unbound;
	// 0 is 30 s, the least is 1 s. It is told to the client.
	Silence time.Duration
	// HelloRate is how many HELLOs that prove nothing are looked at in a second from
	// one network (a /24 of IPv4, a /56 of IPv6); four times as many may come at
	// once. 0 is 500.
	HelloRate int
	// ResetRate is how many RESETs are sent in a second at most; 0 is 1000.
	ResetRate int
	// Pool is where received messages lie.
	Pool *transport.Pool
	// Logger takes what an operator should see; nil is silence.
	Logger *slog.Logger

	inner inner
}

// linger is how long a connection id is known after its lane ended, so that late
// packets are not answered.
const linger = 10 * time.Second

// inner is what tests change.
type inner struct {
	epochPackets uint64 // 0: as many as WIRE.md section 6.6 allows
	now          func() time.Time
	port         func(port) port // in the place of a socket's; nil: none is
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf("udp: "+format, args...)) }
	if c.TokenLifetime < 0 || c.TokenLifetime > time.Hour {
		refuse("TokenLifetime is %v: it is from 0 to 1h, and 0 is %v", c.TokenLifetime, DefaultTokenLifetime)
	}
	for _, a := range c.AEADs {
		if _, ok := sealed.Choose([]uint32{a}); !ok {
			refuse("AEADs has %d: 1 is AES-128-GCM and 2 is ChaCha20-Poly1305", a)
		}
	}
	if int(c.Retry) >= len(retryNames) {
		refuse("Retry is %d: it is RetryAuto, RetryAlways or RetryOff", c.Retry)
	}
	if c.Advertise != "" {
		_, port, err := net.SplitHostPort(c.Advertise)
		if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 {
			refuse("Advertise is %q: it is host:port, [IPv6]:port or :port, with a number as port", c.Advertise)
		}
	}
	if c.Sockets < 0 || c.Sockets > maxSockets {
		refuse("Sockets is %d: it is from 1 to %d, or 0 for 1", c.Sockets, maxSockets)
	}
	if c.Sockets > 1 && !shards {
		refuse("Sockets is %d: more than 1 needs Linux", c.Sockets)
	}
	if c.Share && c.Sockets > 1 {
		refuse("Sockets is %d with Share: QUIC has one reader for each port, use 1", c.Sockets)
	}
	if c.ReadBufferBytes < 0 {
		refuse("ReadBufferBytes is %d: it is at least 0, and 0 is %d", c.ReadBufferBytes, DefaultReadBuffer)
	}
	if c.WriteBufferBytes < 0 {
		refuse("WriteBufferBytes is %d: it is at least 0, and 0 is %d", c.WriteBufferBytes, DefaultWriteBuffer)
	}
	if c.MaxMessage != 0 && (c.MaxMessage < minMaxMessage || c.MaxMessage > 65535) {
		refuse("MaxMessage is %d bytes: it is from %d to 65535, or 0 for %d", c.MaxMessage, minMaxMessage, DefaultMaxMessage)
	}
	if c.MaxLanes < 0 || c.MaxLanes > maxSlots {
		refuse("MaxLanes is %d: it is from 1 to %d, or 0 for %d", c.MaxLanes, maxSlots, DefaultMaxLanes)
	}
	if c.Silence != 0 && (c.Silence < time.Second || c.Silence > time.Hour) {
		refuse("Silence is %v: it is from 1s to 1h, or 0 for %v", c.Silence, DefaultSilence)
	}
	if c.HelloRate < 0 || c.HelloRate > 1e6 {
		refuse("HelloRate is %d a second: it is from 1 to 1000000, or 0 for %d", c.HelloRate, DefaultHelloRate)
	}
	if c.ResetRate < 0 || c.ResetRate > 1e6 {
		refuse("ResetRate is %d a second: it is from 1 to 1000000, or 0 for %d", c.ResetRate, DefaultResetRate)
	}
	if c.Pool == nil {
		refuse("Pool is missing")
	}
	return errors.Join(errs...)
}

// withDefaults fills in what zero stands for.
func (c Config) withDefaults() Config {
	or := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	if c.TokenLifetime == 0 {
		c.TokenLifetime = DefaultTokenLifetime
	}
	if len(c.AEADs) == 0 {
		c.AEADs = []uint32{uint32(sealed.AES128GCM), uint32(sealed.ChaCha20Poly1305)}
	}
	or(&c.Sockets, 1)
	or(&c.ReadBufferBytes, DefaultReadBuffer)
	or(&c.WriteBufferBytes, DefaultWriteBuffer)
	or(&c.MaxMessage, DefaultMaxMessage)
	or(&c.MaxLanes, DefaultMaxLanes)
	or(&c.HelloRate, DefaultHelloRate)
	or(&c.ResetRate, DefaultResetRate)
	if c.Silence == 0 {
		c.Silence = DefaultSilence
	}
	if c.inner.now == nil {
		c.inner.now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
