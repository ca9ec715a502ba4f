package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"math/bits"
	"runtime"
	"time"

	"strait/proto/wire"
	"strait/transport"
)

// MaxUnreliable is the max_unreliable_bytes that every session is told: what
// sealed UDP and QUIC datagrams carry on any path (WIRE.md section 6.7).
const MaxUnreliable = 1100

// Config is the gateway's configuration. Zero values are the documented defaults.
type Config struct {
	// Shards is the number of dispatcher shards; 0 is GOMAXPROCS.
	Shards int
	// QueueSize is the number of events that each shard's ring holds; 0 is 8192. It
	// is rounded up to a power of two.
	QueueSize int
	// MaxSessions is the number of sessions at one time; 0 is 20000.
	MaxSessions int
	// MaxHandshakes is the number of connections without a session; 0 is 1024.
	MaxHandshakes int
	// MaxMessageBytes is the longest message either way; 0 is 65536, the least is 16384.
	MaxMessageBytes int
	// SendBufferBytes is how much a session queues for a client that does not read
	// before it is closed TOO_SLOW; 0 is 256 KiB.
	SendBufferBytes int
	// InFlightBytes is how much of one session may be on its way to game logic before
	// it is no longer read from; 0 is 256 KiB. At least two messages of MaxMessageBytes
	// always may.
	InFlightBytes int
	// BufferBudgetBytes is the budget of buffered bytes of the whole process; over it
	// the fattest sessions go. 0 is none.
	BufferBudgetBytes int64
	// OpenTimeout bounds transport handshake, CLIENT_HELLO and authentication; 0 is 5 s.
	OpenTimeout time.Duration
	// IdleTimeout is how long a client may be silent; 0 is 30 s.
	IdleTimeout time.Duration
	// DrainTimeout is how long a shutdown lets sessions end by themselves; 0 is 10 s.
	DrainTimeout time.Duration
	// ClientRoute lets a client name its route.
	ClientRoute bool
	// Authenticate judges an opening; nil lets everybody in without a subject. It is
	// called in a goroutine of its own and may block until ctx ends. An error that is
	// a transport.Reason is told to the client as it is, any other one as AUTH_FAILED
	// without its text.
	Authenticate func(ctx context.Context, h Hello) (Identity, error)
	// Logger receives what an operator should see; nil is slog.Default().
	Logger *slog.Logger
}

// Hello is what a client says of itself, for Authenticate.
type Hello struct {
	Token  []byte
	Client string
	Route  string
	Info   transport.Path
	Kind   transport.Kind
}

// Identity is who the client turned out to be.
type Identity struct {
	Subject string
	Claims  map[string]string
	// Route overrides the route that the client asked for, if not empty.
	Route string
}

// Validate refuses what cannot work.
func (c Config) Validate() error {
	for _, f := range []struct {
		name     string
		value    int64
		min, max int64
	}{
		{"Shards", int64(c.Shards), 1, 1024},
		{"QueueSize", int64(c.QueueSize), 64, 1 << 20},
		{"MaxSessions", int64(c.MaxSessions), 1, 1 << 22},
		{"MaxHandshakes", int64(c.MaxHandshakes), 1, 1 << 20},
		{"MaxMessageBytes", int64(c.MaxMessageBytes), wire.MinMaxMessage, 1 << 20},
		{"SendBufferBytes", int64(c.SendBufferBytes), 4096, 1 << 30},
		{"InFlightBytes", int64(c.InFlightBytes), 4096, 1 << 30},
		{"BufferBudgetBytes", c.BufferBudgetBytes, 1 << 20, 1 << 50},
		{"OpenTimeout", int64(c.OpenTimeout), int64(10 * time.Millisecond), int64(time.Hour)},
		{"IdleTimeout", int64(c.IdleTimeout), int64(100 * time.Millisecond), int64(24 * time.Hour)},
		{"DrainTimeout", int64(c.DrainTimeout), int64(time.Millisecond), int64(24 * time.Hour)},
	} {
		if f.value != 0 && (f.value < f.min || f.value > f.max) {
			return fmt.Errorf("gateway: %s is %d: it must be 0 (the default) or %d to %d", f.name, f.value, f.min, f.max)
		}
	}
	return nil
}

func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	defTime := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.Shards, runtime.GOMAXPROCS(0))
	def(&c.QueueSize, 8192)
	c.QueueSize = 1 << bits.Len(uint(c.QueueSize-1))
	def(&c.MaxSessions, 20000)
	def(&c.MaxHandshakes, 1024)
	def(&c.MaxMessageBytes, 65536)
	def(&c.SendBufferBytes, 256<<10)
	def(&c.InFlightBytes, 256<<10)
	c.InFlightBytes = max(c.InFlightBytes, 2*c.MaxMessageBytes)
	defTime(&c.OpenTimeout, 5*time.Second)
	defTime(&c.IdleTimeout, 30*time.Second)
	defTime(&c.DrainTimeout, 10*time.Second)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}
