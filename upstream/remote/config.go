package remote

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"
	"unicode/utf8"

	"strait/upstream/endpoint"
)

// Config says where game logic is and how patient the pool is. Zero values are
// the documented defaults.
type Config struct {
	// Backends are the URLs of the backends, at least one, each once.
	Backends []string
	// Streams is the number of streams to each backend, up to 64; 0 is 2.
	Streams int
	// Grace is how long a session waits for a backend before it is closed
	// UPSTREAM_LOST; 0 is 10 s.
	Grace time.Duration
	// GatewayID names this gateway to the backends; empty is a random one.
	GatewayID string
	// TLS is for backends whose scheme asks for it; nil verifies them with the
	// system's roots. An empty ServerName is the host of the URL.
	TLS *tls.Config
	// StreamBufferBytes is how much may be queued for one stream before its
	// sessions are held back; 0 is 4 MiB.
	StreamBufferBytes int
	// RetainBytes is how much one stream keeps for redelivery until the backend
	// acknowledges it; 0 is 4 MiB.
	RetainBytes int
	// PingEvery is how long a stream may be quiet before it is asked for a sign of
	// life; 0 is 2 s.
	PingEvery time.Duration
	// PingTimeout is how long a backend may take to answer a ping; 0 is 5 s.
	PingTimeout time.Duration
	// FullTimeout is how long a stream may stay full; 0 is 5 s.
	FullTimeout time.Duration
	// DialTimeout bounds one attempt to connect, and one to resolve a name; 0 is 5 s.
	DialTimeout time.Duration
	// ResolveEvery is how often names are resolved again while all is well; 0 is 30 s.
	ResolveEvery time.Duration
	// Resolver resolves names; nil is net.DefaultResolver.
	Resolver Resolver
	// Logger is told when streams come and go; nil is slog.Default.
	Logger *slog.Logger
}

// Resolver turns names into addresses. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

const maxStreams = 64

// Validate reports all that is wrong with c, given the carriers that New will get.
func (c *Config) Validate(carriers ...Carrier) error {
	var errs []error
	if len(carriers) == 0 {
		return errors.New("no carriers: name at least one, such as link.Carrier{}")
	}
	if len(c.Backends) == 0 {
		errs = append(errs, fmt.Errorf("no backends: name at least one, such as %s://host:port", carriers[0].Schemes().Plain))
	}
	seen := make(map[endpoint.Endpoint]bool)
	for _, raw := range c.Backends {
		switch _, e, err := parse(raw, carriers); {
		case err != nil:
			errs = append(errs, err)
		case seen[e]:
			errs = append(errs, fmt.Errorf("backend %q is named twice: name each backend once", e))
		default:
			seen[e] = true
		}
	}
	if c.Streams < 0 || c.Streams > maxStreams {
		errs = append(errs, fmt.Errorf("%d streams to each backend: it must be 1 to %d, or 0 for 2", c.Streams, maxStreams))
	}
	if !utf8.ValidString(c.GatewayID) {
		errs = append(errs, fmt.Errorf("the gateway's id %q must be UTF-8", c.GatewayID))
	}
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"grace time", int64(c.Grace)},
		{"stream buffer", int64(c.StreamBufferBytes)},
		{"retention budget", int64(c.RetainBytes)},
		{"ping interval", int64(c.PingEvery)},
		{"ping timeout", int64(c.PingTimeout)},
		{"full timeout", int64(c.FullTimeout)},
		{"dial timeout", int64(c.DialTimeout)},
		{"resolve interval", int64(c.ResolveEvery)},
	} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("the %s is negative: it must be above 0, or 0 for the default", n.name))
		}
	}
	return errors.Join(errs...)
}

// parse takes a URL apart and finds the carrier for it.
func parse(raw string, carriers []Carrier) (Carrier, endpoint.Endpoint, error) {
	var schemes []endpoint.Schemes
	for _, c := range carriers {
		schemes = append(schemes, c.Schemes())
	}
	e, err := endpoint.Parse(raw, schemes...)
	if err != nil {
		return nil, e, fmt.Errorf("backend %q: %w", endpoint.Masked(raw), err)
	}
	i := slices.IndexFunc(schemes, func(s endpoint.Schemes) bool { return slices.Contains(s.List(), e.Scheme) })
	return carriers[i], e, nil
}

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	defaultTo(&c.Streams, 2)
	defaultTo(&c.Grace, 10*time.Second)
	defaultTo(&c.StreamBufferBytes, 4<<20)
	defaultTo(&c.RetainBytes, 4<<20)
	defaultTo(&c.PingEvery, 2*time.Second)
	defaultTo(&c.PingTimeout, 5*time.Second)
	defaultTo(&c.FullTimeout, 5*time.Second)
	defaultTo(&c.DialTimeout, 5*time.Second)
	defaultTo(&c.ResolveEvery, 30*time.Second)
	if c.GatewayID == "" {
		var id [8]byte
		_, _ = rand.Read(id[:]) // never fails
		c.GatewayID = hex.EncodeToString(id[:])
	}
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func defaultTo[T ~int | ~int64](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}
