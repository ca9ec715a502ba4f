package lab

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"strait/compare/link"
)

// Side is an end of the link.
type Side uint8

const (
	Client Side = iota
	Gateway
)

// String returns client or gateway.
func (s Side) String() string {
	switch s {
	case Client:
		return "client"
	case Gateway:
		return "gateway"
	}
	return fmt.Sprintf("side %d", uint8(s))
}

const (
	// DefaultMTU is that of Ethernet.
	DefaultMTU = 1500
	minMTU     = 1280 // RFC 8200 section 5
	maxMTU     = 9000
)

// Config describes a lab. The zero value has a perfect link between two namespaces.
type Config struct {
	// Link is in force from the start; see Lab.Impair.
	Link link.Config
	// MTU is the size of the largest packet in bytes; zero is DefaultMTU.
	MTU int
	// CongestionControl is what TCP uses on both sides, such as cubic; zero is the
	// machine's default (the sysctl net.ipv4.tcp_congestion_control). Not on Loopback.
	CongestionControl string
	// Loopback makes a lab without namespaces and without link: both sides are this
	// machine's loopback. Link must then be the zero value but for its seed.
	Loopback bool
	// Log receives what goes wrong beside the caller's way; nil discards it.
	Log *slog.Logger
}

// Validate returns what is impossible in c, with what would be right.
func (c Config) Validate() error {
	errs := []error{c.Link.Validate()}
	if c.MTU != 0 && (c.MTU < minMTU || c.MTU > maxMTU) {
		errs = append(errs, fmt.Errorf("mtu is %d: from %d, the least that IPv6 allows, to %d, or 0 for %d", c.MTU, minMTU, maxMTU, DefaultMTU))
	}
	if c.Loopback && !unimpaired(c.Link) {
		errs = append(errs, errNoLink)
	}
	if c.Loopback && c.CongestionControl != "" {
		errs = append(errs, fmt.Errorf("congestion control is %s: a lab on loopback uses the machine's, so leave it out", c.CongestionControl))
	}
	return errors.Join(errs...)
}

var errNoLink = errors.New("a lab on loopback has no link to impair: no settings, or a lab with namespaces")

// unimpaired reports whether c is a perfect link.
func unimpaired(c link.Config) bool {
	return c.Up == link.Settings{} && c.Down == link.Settings{} && !c.BlockUDP && len(c.Blackouts) == 0 && len(c.AddressChanges) == 0
}

// Addrs are the addresses of one side.
type Addrs struct {
	V4 netip.Addr
	V6 netip.Addr // not valid where the kernel has no IPv6
}

// Handover is a change of the client's addresses.
type Handover struct {
	At       time.Duration // when it was done, since Impair
	Late     time.Duration // after it was due; 0 if it was asked for
	Old, New Addrs
	Err      error // why it failed
}

// AccessError says that this process may not make a lab, and what would help.
type AccessError struct {
	Op     string // what was refused
	Err    error
	Advice string
	// UserNamespace is set when [Reexec] may help.
	UserNamespace bool
}

func (e *AccessError) Error() string {
	return fmt.Sprintf("%s: %v; %s", e.Op, e.Err, e.Advice)
}

func (e *AccessError) Unwrap() error { return e.Err }
