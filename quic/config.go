package quic

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"strait/internal/fleetkey"
	"strait/proto/wire"
	"strait/quic/session"
	"strait/transport"
)

// ALPN is the protocol name that a client must offer (WIRE.md section 5).
const ALPN = session.ALPN

// The defaults of Config.
const (
	DefaultOpenTimeout          = 5 * time.Second
	DefaultIdleTimeout          = 30 * time.Second
	DefaultMaxMessage           = 65536
	DefaultLinger               = session.DefaultLinger
	DefaultLingerBytes          = session.DefaultLingerBytes
	DefaultMaxUnreliable        = session.MinMaxUnreliable
	DefaultStreamWindow         = session.DefaultStreamWindow
	DefaultConnWindow           = session.DefaultConnWindow
	DefaultMaxStreams           = session.DefaultStreams
	DefaultHandshakes           = 1024
	DefaultHandshakesPerAddress = 64
	DefaultQLogEvery            = 100
)

// minWindow is the least window: a smaller one makes every message wait for credit.
const minWindow = 16 << 10

// Retry says when a client must prove its address with QUIC's Retry (RFC 9000 section
// 8.1.2), which costs it a round trip and the gateway nothing.
type Retry uint8

const (
	// RetryAuto asks for it while a quarter of the handshakes that may be unfinished
	// are, in all or from that address.
	RetryAuto Retry = iota
	// RetryAlways asks every client without a token.
	RetryAlways
	// RetryOff asks nobody.
	RetryOff
)

// String returns the name used in configuration and logs.
func (r Retry) String() string {
	switch r {
	case RetryAuto:
		return "auto"
	case RetryAlways:
		return "always"
	case RetryOff:
		return "off"
	}
	return fmt.Sprintf("Retry(%d)", uint8(r))
}

// Config says how a Listener behaves. TLS and Pool are required; zero is the documented
// default for everything else.
type Config struct {
	// TLS holds the certificate. It is copied; ALPN and TLS 1.3 are enforced. Session
	// tickets are as TLS says, and early data is never accepted with them.
	TLS *tls.Config
	// Conn is the socket to serve, for a port that is shared: whoever shares it hands on
	// nothing whose first byte is below 0x40. The caller closes it after the Listener.
	// nil: the Listener has a socket of its own.
	Conn net.PacketConn
	// Openings caps the connections that have not opened a session, over all listeners
	// that share it; nil is no cap.
	Openings *transport.Openings
	// Handshakes is how many handshakes may be unfinished; more are refused. 0 is 1024.
	Handshakes int
	// HandshakesPerAddress is the same for one IPv4 address or IPv6 /64; 0 is 64.
	HandshakesPerAddress int
	// Retry is RetryAuto, RetryAlways or RetryOff.
	Retry Retry
	// Pool is where received messages lie.
	Pool *transport.Pool
	// OpenTimeout bounds handshake, CLIENT_HELLO and authentication together; 0 is 5 s.
	OpenTimeout time.Duration
	// HandshakeTimeout is how long a handshake may go without a packet; all of it has
	// OpenTimeout. 0 is OpenTimeout.
	HandshakeTimeout time.Duration
	// IdleTimeout is after how long without a packet a connection is lost; 0 is 30 s. A
	// client that asks for less gets less.
	IdleTimeout time.Duration
	// KeepAlive is how often QUIC itself PINGs a quiet connection, at most every half
	// of the idle timeout; 0 is never: sessions have PINGs of their own.
	KeepAlive time.Duration
	// MaxMessage is the longest DATA payload in bytes that a client may send; 0 is
	// 65536, the least is 16384.
	MaxMessage int
	// MaxUnreliable is the longest unreliable message in bytes of a client without
	// datagrams, as Conn.Max reports it; 0 is 1100, which is also the least.
	MaxUnreliable int
	// NoDatagrams keeps unreliable messages on the control stream.
	NoDatagrams bool
	// StreamWindow and ConnWindow are the most bytes in flight from a client, on one
	// stream and on all; 0 is 128 KiB and 512 KiB. Windows start at a quarter.
	StreamWindow, ConnWindow int
	// MaxStreams is how many channel streams a client may have open, up to 256; 0 is
	// 256, and a negative number is none: all channels share the control stream, as do
	// those beyond. Each is counted in Pool with 8 KB whether or not anything comes on it.
	MaxStreams int
	// Linger is how long the end of a connection may take to be written, and then how
	// long the client's end is waited for; 0 is 1 s.
	Linger time.Duration
	// LingerBytes is how much of the control stream is discarded at most meanwhile; 0
	// is 256 KiB.
	LingerBytes int
	// Keys are the fleet's: address tokens are sealed with them, so that one gateway's
	// are good at another, and stateless resets are derived from them and NodeID, so
	// that a gateway that starts again can end the connections of before. nil: random.
	Keys *fleetkey.Ring
	// NodeID names this gateway within the fleet (RFC 9000 section 21.11: two that share
	// a reset key could be made to reset each other's connections).
	NodeID string
	// NoGSO sends each packet with a system call of its own (Linux).
	NoGSO bool
	// NoMTUDiscovery keeps packets at 1280 bytes. Else they grow to what the path
	// carries (RFC 8899); quic-go does not notice when it carries less later.
	NoMTUDiscovery bool
	// ReadBuffer and WriteBuffer are the socket's buffers in bytes; 0 is what quic-go
	// asks for, 7 MiB. What the system grants is logged.
	ReadBuffer, WriteBuffer int
	// QLogDir is an existing folder for traces in the qlog format, for debugging: one
	// file for one in QLogEvery connections, never deleted. Empty: none.
	QLogDir string
	// QLogEvery is described with QLogDir; 0 is 100.
	QLogEvery int
	// Logger takes what an operator should see; nil is silence.
	Logger *slog.Logger
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf("quic: "+format, args...)) }
	switch t := c.TLS; {
	case t == nil:
		refuse("TLS is missing: give a tls.Config with a certificate")
	default:
		if len(t.Certificates) == 0 && t.GetCertificate == nil && t.GetConfigForClient == nil {
			refuse("TLS has no certificate: set Certificates or GetCertificate")
		}
		if t.MaxVersion != 0 && t.MaxVersion < tls.VersionTLS13 {
			refuse("TLS.MaxVersion is %s: QUIC needs TLS 1.3, and 0 is right", tls.VersionName(t.MaxVersion))
		}
	}
	if c.Pool == nil {
		refuse("Pool is missing")
	}
	if c.Retry > RetryOff {
		refuse("Retry is %d: it is RetryAuto, RetryAlways or RetryOff", uint8(c.Retry))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
		zero  string
	}{
		{"OpenTimeout", c.OpenTimeout, DefaultOpenTimeout.String()},
		{"HandshakeTimeout", c.HandshakeTimeout, "OpenTimeout"},
		{"IdleTimeout", c.IdleTimeout, DefaultIdleTimeout.String()},
		{"KeepAlive", c.KeepAlive, "none"},
		{"Linger", c.Linger, DefaultLinger.String()},
	} {
		if d.value < 0 {
			refuse("%s is %v: it is at least 0, and 0 is %s", d.name, d.value, d.zero)
		}
	}
	for _, n := range []struct {
		name  string
		value int
		zero  int
	}{
		{"Handshakes", c.Handshakes, DefaultHandshakes},
		{"HandshakesPerAddress", c.HandshakesPerAddress, DefaultHandshakesPerAddress},
		{"LingerBytes", c.LingerBytes, DefaultLingerBytes},
		{"ReadBuffer", c.ReadBuffer, 7 << 20},
		{"WriteBuffer", c.WriteBuffer, 7 << 20},
		{"QLogEvery", c.QLogEvery, DefaultQLogEvery},
	} {
		if n.value < 0 {
			refuse("%s is %d: it is at least 0, and 0 is %d", n.name, n.value, n.zero)
		}
	}
	if c.MaxMessage != 0 && (c.MaxMessage < wire.MinMaxMessage || c.MaxMessage > wire.MaxFrameLen-2) {
		refuse("MaxMessage is %d bytes: it is from %d to %d, or 0 for %d", c.MaxMessage, wire.MinMaxMessage, wire.MaxFrameLen-2, DefaultMaxMessage)
	}
	if c.MaxUnreliable != 0 && (c.MaxUnreliable < session.MinMaxUnreliable || c.MaxUnreliable > wire.MaxFrameLen-2) {
		refuse("MaxUnreliable is %d bytes: it is from %d to %d, or 0 for %d", c.MaxUnreliable, session.MinMaxUnreliable, wire.MaxFrameLen-2, DefaultMaxUnreliable)
	}
	if c.StreamWindow != 0 && c.StreamWindow < minWindow {
		refuse("StreamWindow is %d bytes: it is at least %d, or 0 for %d", c.StreamWindow, minWindow, DefaultStreamWindow)
	}
	if d := c.withDefaults(); c.ConnWindow < 0 || d.ConnWindow < d.StreamWindow {
		refuse("ConnWindow is %d bytes: it is at least StreamWindow, which is %d, or 0 for %d", c.ConnWindow, d.StreamWindow, DefaultConnWindow)
	}
	if c.MaxStreams > DefaultMaxStreams {
		refuse("MaxStreams is %d: it is at most %d, one for each channel", c.MaxStreams, DefaultMaxStreams)
	}
	if c.QLogDir != "" {
		if info, err := os.Stat(c.QLogDir); err != nil {
			refuse("QLogDir: %v", err)
		} else if !info.IsDir() {
			refuse("QLogDir is %s, a file: it is an existing folder", c.QLogDir)
		}
	}
	return errors.Join(errs...)
}

// or is v, or what zero stands for.
func or[T comparable](v, zero T) T {
	var none T
	if v == none {
		return zero
	}
	return v
}

// withDefaults fills in what zero stands for.
func (c Config) withDefaults() Config {
	c.Handshakes = or(c.Handshakes, DefaultHandshakes)
	c.HandshakesPerAddress = or(c.HandshakesPerAddress, DefaultHandshakesPerAddress)
	c.OpenTimeout = or(c.OpenTimeout, DefaultOpenTimeout)
	c.HandshakeTimeout = or(c.HandshakeTimeout, c.OpenTimeout)
	c.IdleTimeout = or(c.IdleTimeout, DefaultIdleTimeout)
	c.MaxMessage = or(c.MaxMessage, DefaultMaxMessage)
	c.MaxUnreliable = or(c.MaxUnreliable, DefaultMaxUnreliable)
	c.StreamWindow = or(c.StreamWindow, DefaultStreamWindow)
	c.ConnWindow = or(c.ConnWindow, max(DefaultConnWindow, c.StreamWindow))
	c.MaxStreams = or(c.MaxStreams, DefaultMaxStreams)
	c.Linger = or(c.Linger, DefaultLinger)
	c.LingerBytes = or(c.LingerBytes, DefaultLingerBytes)
	c.QLogEvery = or(c.QLogEvery, DefaultQLogEvery)
	if c.Keys == nil {
		keys := fleetkey.Generate()
		c.Keys = &keys
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
