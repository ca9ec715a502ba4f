package sealed

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

const (
	// maxEpochPackets and maxEpochAge are the limits of WIRE.md section 6.6.
	maxEpochPackets = 1 << 22
	maxEpochAge     = 30 * time.Minute
	minEpochPackets = 16
)

// Shared is what both ends can be told. Zero values are the documented defaults.
type Shared struct {
	// Rand fills its argument with unpredictable bytes, from any goroutine; nil is
	// crypto/rand.
	Rand func([]byte)
	// Counters counts what is dropped; nil counts for nobody.
	Counters *Counters
	// EpochPackets and EpochAge are what one epoch is used for, in each direction,
	// before the lane closes; the gateway makes a new offer after three quarters. 0 is
	// 2^22 packets and 30 minutes, which are also the most; the least is 16 packets.
	EpochPackets uint64
	EpochAge     time.Duration
	// MaxMessage is the longest message in bytes that is put together from pieces; 0
	// is 16384.
	MaxMessage int
	// ReassemblyBytes bounds what waits for missing pieces, 192 bytes for each message
	// included; 0 is 64 KiB.
	ReassemblyBytes int
}

func (s *Shared) validate() error {
	switch {
	case s.EpochPackets > maxEpochPackets || s.EpochPackets != 0 && s.EpochPackets < minEpochPackets:
		return fmt.Errorf("sealed: EpochPackets is %d: want %d to %d, or 0 for %[3]d", s.EpochPackets, minEpochPackets, maxEpochPackets)
	case s.EpochAge < 0 || s.EpochAge > maxEpochAge:
		return fmt.Errorf("sealed: EpochAge is %v: want up to %v, or 0 for that", s.EpochAge, maxEpochAge)
	case s.MaxMessage < 0:
		return fmt.Errorf("sealed: MaxMessage is %d bytes: want above 0, or 0 for 16384", s.MaxMessage)
	case s.ReassemblyBytes < 0:
		return fmt.Errorf("sealed: ReassemblyBytes is %d: want above 0, or 0 for 65536", s.ReassemblyBytes)
	}
	return nil
}

// settings is a Shared with its defaults filled in; many lanes share one.
type settings struct {
	rand            func([]byte)
	counters        *Counters
	epochPackets    uint64
	epochAge        time.Duration
	maxMessage      int
	reassemblyBytes int
	pingEvery       time.Duration
}

func (s *Shared) settings(pingEvery time.Duration) settings {
	out := settings{
		rand: s.Rand, counters: s.Counters, epochPackets: or(s.EpochPackets, maxEpochPackets), epochAge: or(s.EpochAge, maxEpochAge),
		maxMessage: or(s.MaxMessage, 16384), reassemblyBytes: or(s.ReassemblyBytes, 64<<10), pingEvery: pingEvery,
	}
	if out.rand == nil {
		out.rand = systemRandom
	}
	if out.counters == nil {
		out.counters = new(Counters)
	}
	return out
}

// Config is a gateway's. Zero values are the documented defaults.
type Config struct {
	Shared
	// Tokens and Resets make what offers carry; both are required.
	Tokens *Tokens
	Resets *Resets
	// IdleTimeout is the silence after which a lane is unbound, as ACCEPT announces
	// it; 0 is 30 s, the least is 1 s.
	IdleTimeout time.Duration
	// TokenLifetime is how long a token waits for its first use; 0 is 30 s.
	TokenLifetime time.Duration
	// OfferEvery is the least time between two offers while a lane is unbound; 0 is
	// 60 s, which is also the least (WIRE.md section 6.1).
	OfferEvery time.Duration
	// PingEvery is the least time between two PINGs, sent while the client sends, that
	// measure the round trip; 0 is 10 s.
	PingEvery time.Duration
}

const (
	leastOfferEvery  = 60 * time.Second
	leastIdleTimeout = time.Second
)

// Validate says what is wrong with c and what would be right.
func (c *Config) Validate() error {
	switch {
	case c.Tokens == nil || c.Resets == nil:
		return errors.New("sealed: Config needs Tokens and Resets")
	case c.IdleTimeout != 0 && c.IdleTimeout < leastIdleTimeout || c.IdleTimeout.Milliseconds() > 1<<32-1:
		return fmt.Errorf("sealed: IdleTimeout is %v: want %v or more that fits 32 bits of milliseconds, or 0 for 30s", c.IdleTimeout, leastIdleTimeout)
	case c.TokenLifetime < 0 || c.TokenLifetime.Milliseconds() > 1<<32-1:
		return fmt.Errorf("sealed: TokenLifetime is %v: want above 0 that fits 32 bits of milliseconds, or 0 for 30s", c.TokenLifetime)
	case c.OfferEvery != 0 && c.OfferEvery < leastOfferEvery:
		return fmt.Errorf("sealed: OfferEvery is %v: want %v or more, or 0 for that", c.OfferEvery, leastOfferEvery)
	case c.PingEvery < 0:
		return fmt.Errorf("sealed: PingEvery is %v: want above 0, or 0 for 10s", c.PingEvery)
	}
	return c.validate()
}

// ClientConfig is a client's. Zero values are the documented defaults.
type ClientConfig struct {
	Shared
	// PingEvery is the time between two PINGs, which measure the round trip and keep
	// translators of addresses from forgetting; 0 is 5 s. A third of the gateway's
	// patience, where that is less, comes first.
	PingEvery time.Duration
	// DeadAfter is the silence after a PING, repeated four times as often, after which
	// the lane is given up; 0 is 4 s.
	DeadAfter time.Duration
}

// Validate says what is wrong with c and what would be right.
func (c *ClientConfig) Validate() error {
	switch {
	case c.PingEvery < 0:
		return fmt.Errorf("sealed: PingEvery is %v: want above 0, or 0 for 5s", c.PingEvery)
	case c.DeadAfter < 0:
		return fmt.Errorf("sealed: DeadAfter is %v: want above 0, or 0 for 4s", c.DeadAfter)
	}
	return c.validate()
}

func or[T comparable](v, instead T) T {
	var zero T
	if v == zero {
		return instead
	}
	return v
}

func systemRandom(b []byte) { rand.Read(b) }
