package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"strait/transport"
)

// The delivery classes, so that most programs need to import this package alone.
const (
	Reliable   = transport.Reliable
	Unreliable = transport.Unreliable
)

// DefaultPort is the port that an address without one means.
const DefaultPort = "7777"

// Transport chooses how a session is carried.
type Transport uint8

const (
	// Auto is QUIC, and TCPUDP after Options.FallbackDelay or as soon as QUIC fails;
	// the first that opens a session is used, and where that was TCPUDP, it is first
	// for the next ten minutes. With Options.DialContext alone it is TCP: who takes
	// TCP through a proxy does not want UDP to go around it.
	Auto Transport = iota
	// TCP is TLS over TCP (WIRE.md section 4).
	TCP
	// TCPUDP is TCP, with a lane of sealed UDP for unreliable messages (WIRE.md section
	// 6) where the gateway offers one and the network lets it through.
	TCPUDP
	// QUIC is QUIC over UDP (WIRE.md section 5).
	QUIC

	transports // count; keep last
)

// Transports lists what can be dialled explicitly, best first.
var Transports = [...]Transport{QUIC, TCPUDP, TCP}

// String returns the name in lower case: "auto", "quic", "tcp+udp", "tcp".
func (t Transport) String() string {
	switch t {
	case Auto:
		return "auto"
	case TCP:
		return "tcp"
	case TCPUDP:
		return "tcp+udp"
	case QUIC:
		return "quic"
	}
	return fmt.Sprintf("Transport(%d)", uint8(t))
}

// network is what the address of the gateway is of.
func (t Transport) network() string {
	if t == QUIC {
		return "QUIC (UDP)"
	}
	return "TCP"
}

// Options says how to dial. The zero value is ready for use with a gateway whose
// certificate the system's roots verify.
type Options struct {
	// Transport is the transport to use; zero is Auto.
	Transport Transport
	// QUICAddr is where the gateway speaks QUIC: "host:port", or ":port" for the host
	// that is dialled. Empty is the address of the dial, its port number in UDP.
	QUICAddr string
	// NoDatagrams has QUIC go without DATAGRAM frames: unreliable messages of both
	// directions travel in the control stream, the newest of each channel (WIRE.md
	// section 5). For comparisons, and for games that want the order of one stream.
	NoDatagrams bool
	// FallbackDelay is how long Auto lets one transport try, and QUIC one address,
	// before it begins with the next beside it (RFC 8305 section 5); 0 is 250 ms.
	FallbackDelay time.Duration

	// The server is always verified, in one of three ways; at most one of CAFile,
	// RootCAs and Pin may be set, none means the system's roots.

	// CAFile is a PEM file with the certificates of the authorities to trust.
	CAFile string
	// RootCAs are the authorities to trust.
	RootCAs *x509.CertPool
	// Pin is the SHA-256 of the server's own certificate (DER) in hex, colons
	// allowed; several are separated by commas and any of them is good. It replaces
	// the check of chain, name and dates.
	Pin string
	// ServerName is the name that the certificate must be good for, and what is
	// sent as SNI; empty is the host of the address.
	ServerName string
	// Certificate is shown to a gateway that asks for a client certificate, with its
	// chain; nil is none.
	Certificate *tls.Certificate

	// Token returns the auth token; it is asked before each connection, with a
	// context that ends with the attempt. nil is no token.
	Token func(ctx context.Context) ([]byte, error)
	// Route names the game logic to reach, where the gateway lets a client say so.
	Route string
	// Name is the client's name and build for the gateway's logs; empty is "strait-go".
	Name string

	// OpenTimeout bounds each opening: token, connect, TLS and hello together;
	// 0 is 10 s.
	OpenTimeout time.Duration
	// SendBufferBytes bounds reliable messages that wait to be written, 64 bytes
	// for each message included; 0 is 256 KiB. One message of the session's limit
	// always fits.
	SendBufferBytes int
	// ReceiveBufferBytes bounds reliable messages that wait for Receive, counted
	// likewise, and a quarter of it unreliable ones; 0 is 256 KiB. One message
	// always fits.
	ReceiveBufferBytes int
	// Reconnect says whether and how a session that ended is followed by another.
	Reconnect Reconnect

	// OnState hears what happens to the session: all calls in order from one
	// goroutine, which nothing else waits for but Close. So it may take its time,
	// but must neither call Close nor wait for who does.
	OnState func(State)
	// Logger is told of sessions lost and opened again; nil is silence.
	Logger *slog.Logger
	// DialContext makes the TCP connection, for proxies and tests; TLS runs on top
	// of what it returns. nil is a net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// ListenPacket makes the UDP sockets, for proxies, for one of several networks,
	// and for tests; network is "udp4" or "udp6". nil is a net.ListenConfig with any
	// free port. With QUIC those that are no *net.UDPConn are all open until the
	// session ends, also after Client.Rebind.
	ListenPacket func(ctx context.Context, network string) (net.PacketConn, error)
}

// Reconnect says how a client comes back. Zero is on, with the documented values.
type Reconnect struct {
	// Off ends the client with its first session.
	Off bool
	// First makes Dial itself go on trying, by the same rules, until its context
	// ends.
	First bool
	// Min and Max bound the backoff; 0 is 250 ms and 15 s. The n-th attempt waits a
	// random part of min(Max, Min·2^(n-1)) ("full jitter"), after what the gateway
	// asked for with retry_after_ms. A session that lasted for Max resets n.
	Min, Max time.Duration
	// MaxAttempts ends the client after so many attempts that led to no lasting
	// session; 0 is no limit.
	MaxAttempts int
}

const (
	defaultName        = "strait-go"
	defaultOpenTimeout = 10 * time.Second
	defaultBuffer      = 256 << 10
	defaultFallback    = 250 * time.Millisecond
	defaultBackoffMin  = 250 * time.Millisecond
	defaultBackoffMax  = 15 * time.Second
)

// Validate reports every setting that Dial would refuse.
func (o *Options) Validate() error {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Transport >= transports {
		refuse("Transport %d does not exist; use Auto, QUIC, TCPUDP or TCP", uint8(o.Transport))
	}
	if o.QUICAddr != "" {
		if _, port, err := net.SplitHostPort(o.QUICAddr); err != nil || port == "" {
			refuse("QUICAddr %q is no address; it should look like play.example.com:7778, or :7778", o.QUICAddr)
		}
	}
	if o.FallbackDelay < 0 {
		refuse("FallbackDelay %v is negative; use 0 for %v", o.FallbackDelay, defaultFallback)
	}
	ways := 0
	for _, set := range []bool{o.CAFile != "", o.RootCAs != nil, o.Pin != ""} {
		if set {
			ways++
		}
	}
	if ways > 1 {
		refuse("more than one of CAFile, RootCAs and Pin is set; choose one way to verify the server")
	}
	if o.Pin != "" {
		if _, err := parsePins(o.Pin); err != nil {
			errs = append(errs, err)
		}
	}
	if o.OpenTimeout < 0 {
		refuse("OpenTimeout %v is negative; use 0 for %v", o.OpenTimeout, defaultOpenTimeout)
	}
	if o.SendBufferBytes < 0 {
		refuse("SendBufferBytes %d is negative; use 0 for %d", o.SendBufferBytes, defaultBuffer)
	}
	if o.ReceiveBufferBytes < 0 {
		refuse("ReceiveBufferBytes %d is negative; use 0 for %d", o.ReceiveBufferBytes, defaultBuffer)
	}
	r := o.Reconnect
	if r.Min < 0 || r.Max < 0 || r.MaxAttempts < 0 {
		refuse("Reconnect has a negative value (Min %v, Max %v, MaxAttempts %d); use 0 for the default", r.Min, r.Max, r.MaxAttempts)
	} else if r = r.withDefaults(); r.Min > r.Max {
		refuse("Reconnect.Min %v is above Reconnect.Max %v", r.Min, r.Max)
	}
	if r.Off && r.First {
		refuse("Reconnect.Off and Reconnect.First contradict each other; set one")
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = defaultName
	}
	if o.OpenTimeout == 0 {
		o.OpenTimeout = defaultOpenTimeout
	}
	if o.FallbackDelay == 0 {
		o.FallbackDelay = defaultFallback
	}
	if o.SendBufferBytes == 0 {
		o.SendBufferBytes = defaultBuffer
	}
	if o.ReceiveBufferBytes == 0 {
		o.ReceiveBufferBytes = defaultBuffer
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Reconnect = o.Reconnect.withDefaults()
	return o
}

func (r Reconnect) withDefaults() Reconnect {
	if r.Min == 0 {
		r.Min = defaultBackoffMin
	}
	if r.Max == 0 {
		r.Max = max(defaultBackoffMax, r.Min)
	}
	return r
}

// roots returns the authorities to trust; nil is the system's.
func (o *Options) roots() (*x509.CertPool, error) {
	if o.CAFile == "" {
		return o.RootCAs, nil
	}
	pem, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("CAFile: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CAFile: %s holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", o.CAFile)
	}
	return pool, nil
}

// address completes "host", "host:port", ":port", "[v6]:port" or a bare IPv6
// address; an empty host is this machine.
func address(addr string) (hostport, host string, err error) {
	bad := func(why string) (string, string, error) {
		return "", "", fmt.Errorf("address %q: %s; it should look like play.example.com:%s", addr, why, DefaultPort)
	}
	host, port := addr, DefaultPort
	switch {
	case addr == "":
		return bad("it is empty")
	case net.ParseIP(addr) != nil:
	case strings.HasPrefix(addr, "[") && strings.HasSuffix(addr, "]"):
		host = addr[1 : len(addr)-1]
	case strings.Contains(addr, ":"):
		if host, port, err = net.SplitHostPort(addr); err != nil {
			return bad("it is not host:port")
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return bad("the port is not a number from 1 to 65535")
	}
	if host == "" {
		host = "localhost"
	}
	return net.JoinHostPort(host, port), host, nil
}
