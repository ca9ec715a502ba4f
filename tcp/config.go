// Package tcp is the transport of WIRE.md section 4: section 2 frames over TLS
// over TCP. On Linux an open connection lives on an event loop, elsewhere, or with
// Config.NoLoop, on a goroutine of its own; to both ends the two are the same.
//
// It owns listening sockets, the TLS handshake and its limits, deadlines, the
// order in which a connection ends, and what moves its bytes. It never parses a
// frame ([lane.Core] does), never looks into a message and never knows whose
// session it carries: that is the [transport.Peer]'s.
//
//  1. [Listener.Serve] accepts and starts a goroutine for the connection, its
//     reader. TLS state is made when the client's first bytes are there, and not
//     before.
//  2. The reader does the handshake, asks [transport.Accept] for the peer, and
//     reads into [lane.Core.Space] what the frame at hand needs. When the session is
//     open it moves the connection to an event loop and ends (moved_linux.go), or
//     goes on reading.
//  3. [Conn.Wake] writes: up to one TLS record from [lane.Core.Fill] at a time,
//     until nothing is left. On an event loop the caller does it, without waiting;
//     else a writer's goroutine that lives as long as there is something to write.
//     An idle connection has no writer, no buffer and no deadline.
//  4. An end, whoever asked for it, stops the reading ([transport.Peer.Closing])
//     and writes what is queued, CLOSE, close_notify and FIN; what still arrives is
//     discarded, so that no reset destroys the CLOSE; then the socket is closed and
//     [transport.Peer.Gone] said.
package tcp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"strait/proto/wire"
	"strait/transport"
)

// ALPN is the protocol name that a client must offer (WIRE.md section 4).
const ALPN = "strait/1"

// The defaults of Config.
const (
	DefaultOpenTimeout   = 5 * time.Second
	DefaultMaxMessage    = 65536
	DefaultLinger        = time.Second
	DefaultLingerBytes   = 256 << 10
	DefaultMaxUnreliable = minMaxUnreliable
)

// minMaxUnreliable is the least that SERVER_HELLO may say (WIRE.md section 6.7).
const minMaxUnreliable = 1100

// Config says how a Listener behaves. TLS and Pool are required; zero is the
// documented default for everything else.
type Config struct {
	// TLS holds the certificate. It is copied; ALPN is enforced, records are not
	// made small for the start of a connection, and MinVersion 0 is TLS 1.3 (1.2
	// must be asked for). Session tickets are as TLS says: a resumed handshake
	// spares the signature, and early data is never accepted with them.
	TLS *tls.Config
	// Openings caps the connections that have not opened a session, over all
	// listeners that share it; nil is no cap.
	Openings *transport.Openings
	// Pool is where received messages lie.
	Pool *transport.Pool
	// OpenTimeout bounds TLS handshake, CLIENT_HELLO and authentication together;
	// 0 is 5 s.
	OpenTimeout time.Duration
	// MaxMessage is the longest DATA payload in bytes that a client may send; 0 is
	// 65536, the least is 16384.
	MaxMessage int
	// Linger is how long the end of a connection may take to be written, and then
	// how long input is read and discarded; 0 is 1 s.
	Linger time.Duration
	// LingerBytes is how many bytes are discarded at most; after them the rest is
	// left unread until Linger is over. 0 is 256 KiB.
	LingerBytes int
	// MaxUnreliable is the longest unreliable message in bytes, as Conn.Max reports
	// it; 0 is 1100, which is also the least.
	MaxUnreliable int
	// NoLoop keeps a goroutine for each connection also where there is an event loop.
	NoLoop bool
	// Logger takes what an operator should see; nil is silence.
	Logger *slog.Logger
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf("tcp: "+format, args...)) }
	switch t := c.TLS; {
	case t == nil:
		refuse("TLS is missing: give a tls.Config with a certificate")
	default:
		if len(t.Certificates) == 0 && t.GetCertificate == nil && t.GetConfigForClient == nil {
			refuse("TLS has no certificate: set Certificates or GetCertificate")
		}
		if t.MinVersion != 0 && t.MinVersion < tls.VersionTLS12 {
			refuse("TLS.MinVersion is %s: TLS 1.3 (or 0) is right, TLS 1.2 the least", tls.VersionName(t.MinVersion))
		}
		if t.MaxVersion != 0 && t.MaxVersion < max(t.MinVersion, tls.VersionTLS12) || t.MinVersion == 0 && t.MaxVersion != 0 && t.MaxVersion < tls.VersionTLS13 {
			refuse("TLS.MaxVersion is %s, below the least version: 0 is right", tls.VersionName(t.MaxVersion))
		}
	}
	if c.Pool == nil {
		refuse("Pool is missing")
	}
	if c.OpenTimeout < 0 {
		refuse("OpenTimeout is %v: it is at least 0, and 0 is %v", c.OpenTimeout, DefaultOpenTimeout)
	}
	if c.MaxMessage != 0 && (c.MaxMessage < wire.MinMaxMessage || c.MaxMessage > wire.MaxFrameLen-2) {
		refuse("MaxMessage is %d bytes: it is from %d to %d, or 0 for %d", c.MaxMessage, wire.MinMaxMessage, wire.MaxFrameLen-2, DefaultMaxMessage)
	}
	if c.Linger < 0 {
		refuse("Linger is %v: it is at least 0, and 0 is %v", c.Linger, DefaultLinger)
	}
	if c.LingerBytes < 0 {
		refuse("LingerBytes is %d: it is at least 0, and 0 is %d", c.LingerBytes, DefaultLingerBytes)
	}
	if c.MaxUnreliable != 0 && (c.MaxUnreliable < minMaxUnreliable || c.MaxUnreliable > wire.MaxFrameLen-2) {
		refuse("MaxUnreliable is %d bytes: it is from %d to %d, or 0 for %d", c.MaxUnreliable, minMaxUnreliable, wire.MaxFrameLen-2, DefaultMaxUnreliable)
	}
	return errors.Join(errs...)
}

// withDefaults fills in what zero stands for.
func (c Config) withDefaults() Config {
	if c.OpenTimeout == 0 {
		c.OpenTimeout = DefaultOpenTimeout
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = DefaultMaxMessage
	}
	if c.Linger == 0 {
		c.Linger = DefaultLinger
	}
	if c.LingerBytes == 0 {
		c.LingerBytes = DefaultLingerBytes
	}
	if c.MaxUnreliable == 0 {
		c.MaxUnreliable = DefaultMaxUnreliable
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
