// Package clienttest is a gateway small enough to test programs that use the
// client: it speaks WIRE.md on TLS over TCP, on QUIC and on sealed UDP, echoes, and
// does what a test tells it to.
//
// It owns its listeners, its certificate and its sessions. It has no limits, no
// authentication and no game logic, and is never for production.
//
//  1. [New] listens and serves; [Gateway.Addr] and [Gateway.Pin] are what
//     client.Dial needs.
//  2. Each connection opens a [Session], unless [Config.Raw] takes it over. Its
//     messages go to [Config.Message], by default back to the sender.
//  3. [Gateway.Close] cuts what is left and waits for all goroutines.
package clienttest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"net"
	"sync"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"strait/proto/straitv1"
	"strait/transport"
	"strait/udp"
)

// Config says what a Gateway does. Zero is an echo on a free loopback port.
type Config struct {
	// Listener is where to accept connections, without TLS; nil is a free port of
	// 127.0.0.1. The Gateway closes it.
	Listener net.Listener
	// PacketConn is where to serve QUIC beside it; nil is nowhere. The Gateway closes
	// it. See Listen.
	PacketConn net.PacketConn
	// UDP offers a lane of sealed UDP to who asks for one, on a free port of 127.0.0.1.
	UDP bool
	// TLS may change the configuration of the server before it is used.
	TLS func(*tls.Config)
	// Hello may change the SERVER_HELLO, or refuse the client with a
	// transport.Reason.
	Hello func(*straitv1.ClientHello, *straitv1.ServerHello) error
	// Opened is called for each session, after its SERVER_HELLO was written, from a
	// goroutine of its own.
	Opened func(*Session)
	// Message is called for each message, in order; payload is borrowed. nil echoes.
	Message func(s *Session, d transport.Delivery, channel uint8, payload []byte)
	// Closed hears why the client ended a session.
	Closed func(*Session, transport.Reason)
	// Raw takes over a connection after its TLS handshake; nothing else is called
	// then, and the connection is closed when it returns.
	Raw func(*tls.Conn)
	// RawQUIC is Raw for a QUIC connection.
	RawQUIC func(*quicgo.Conn)
}

// Listen returns a listener and a UDP socket with the same free port of 127.0.0.1.
func Listen() (net.Listener, net.PacketConn, error) {
	for tries := 0; ; tries++ {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, err
		}
		p, err := net.ListenPacket("udp", l.Addr().String())
		if err == nil {
			return l, p, nil
		}
		_ = l.Close()
		if tries == 10 {
			return nil, nil, err
		}
	}
}

// Gateway is a running gateway.
type Gateway struct {
	config   Config
	listener net.Listener
	tls      *tls.Config
	leaf     *x509.Certificate
	work     sync.WaitGroup
	overQUIC *quicServer // nil without

	lanes *udp.Service // nil without

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	count  int
	closed bool
}

// New starts a gateway.
func New(c Config) (*Gateway, error) {
	if c.Listener == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		c.Listener = l
	}
	cert, err := selfSigned()
	if err != nil {
		_ = c.Listener.Close()
		return nil, err
	}
	g := &Gateway{
		config: c, listener: c.Listener, leaf: cert.Leaf,
		tls: &tls.Config{
			Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13,
			NextProtos: []string{"strait/1"}, SessionTicketsDisabled: true,
		},
		conns: make(map[net.Conn]struct{}),
	}
	if c.TLS != nil {
		c.TLS(g.tls)
	}
	if c.UDP {
		g.lanes, err = udp.Listen(context.Background(), "127.0.0.1:0", udp.Config{Pool: buffers})
		if err != nil {
			_ = c.Listener.Close()
			return nil, err
		}
	}
	if c.PacketConn != nil {
		g.overQUIC, err = g.serveQUIC(c.PacketConn)
		if err != nil {
			_ = c.Listener.Close()
			_ = c.PacketConn.Close()
			return nil, err
		}
	}
	g.work.Go(g.accept)
	return g, nil
}

// Addr is the address to dial.
func (g *Gateway) Addr() string { return g.listener.Addr().String() }

// Pin is the SHA-256 of the certificate, as client.Options.Pin takes it.
func (g *Gateway) Pin() string {
	sum := sha256.Sum256(g.leaf.Raw)
	return hex.EncodeToString(sum[:])
}

// Certificate is the self-signed certificate, good for 127.0.0.1, ::1 and
// localhost.
func (g *Gateway) Certificate() *x509.Certificate { return g.leaf }

// Roots trust the gateway's certificate alone.
func (g *Gateway) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(g.leaf)
	return pool
}

// Accepted is how many TCP connections came so far.
func (g *Gateway) Accepted() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.count
}

// Close cuts every connection and waits for all goroutines. Idempotent.
func (g *Gateway) Close() error {
	g.mu.Lock()
	g.closed = true
	err := g.listener.Close()
	for c := range g.conns {
		_ = c.Close()
	}
	g.mu.Unlock()
	if g.overQUIC != nil {
		g.overQUIC.close()
	}
	g.work.Wait()
	g.StopUDP()
	return err
}

// StopUDP ends the lanes of sealed UDP at once; their sessions go on.
func (g *Gateway) StopUDP() {
	if g.lanes != nil {
		_ = g.lanes.Close()
	}
}

func (g *Gateway) accept() {
	for {
		raw, err := g.listener.Accept()
		if err != nil {
			return
		}
		g.mu.Lock()
		g.count++
		if g.closed {
			g.mu.Unlock()
			_ = raw.Close()
			return
		}
		g.conns[raw] = struct{}{}
		g.work.Go(func() {
			g.serve(raw)
			_ = raw.Close()
			g.mu.Lock()
			delete(g.conns, raw)
			g.mu.Unlock()
		})
		g.mu.Unlock()
	}
}

func (g *Gateway) serve(raw net.Conn) {
	conn := tls.Server(raw, g.tls)
	if conn.Handshake() != nil {
		return
	}
	if g.config.Raw != nil {
		g.config.Raw(conn)
		return
	}
	newSession(g, conn, raw).run()
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "clienttest"},
		// Tests with a simulated clock live in the year 2000.
		NotBefore:             time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:                  true,
		BasicConstraintsValid: true,
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}
