package tcp

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	recordHeaderLen = 5
	recordAlert     = 0x15
	recordHandshake = 0x16
	alertFatal      = 2
	alertNoALPN     = 120 // no_application_protocol, RFC 7301 section 3.2
)

var (
	errNoALPN = errors.New("tcp: the client does not offer the ALPN protocol " + ALPN)
	errNotTLS = errors.New("tcp: the client does not speak TLS")
)

// socket is the connection below TLS. It counts bytes, gives back the first ones,
// which were read before there was any TLS state, and remembers what the client
// offered.
//
// On an event loop it is not the connection any more but memory: reads take input
// that the loop lends, writes collect what the write owner sends.
type socket struct {
	net.Conn
	counters *counters
	memory   bool   // Read and Write go to memory
	input    []byte // in memory: ciphertext, lent by the loop for a turn
	mu       sync.Mutex
	output   *[]byte // in memory: ciphertext to be sent; guarded by mu, a leaf
	first    [recordHeaderLen]byte
	have, at uint8 // of first: received, handed on
	failed   Failure
	judged   bool // failed is set
	mute     bool // an alert of our own was sent: nothing may follow
}

func (s *socket) Read(p []byte) (int, error) {
	if s.memory {
		if len(s.input) == 0 {
			return 0, errDry
		}
		n := copy(p, s.input)
		s.input = s.input[n:]
		return n, nil
	}
	if s.at < s.have {
		n := copy(p, s.first[s.at:s.have])
		s.at += uint8(n)
		return n, nil
	}
	n, err := s.Conn.Read(p)
	s.counters.bytesIn.Add(uint64(n))
	return n, err
}

func (s *socket) Write(p []byte) (int, error) {
	if s.mute {
		return len(p), nil
	}
	if s.memory {
		s.mu.Lock()
		if s.output == nil {
			s.output = getBuffer()
		}
		*s.output = append(*s.output, p...)
		s.mu.Unlock()
		return len(p), nil
	}
	n, err := s.Conn.Write(p)
	s.counters.bytesOut.Add(uint64(n))
	return n, err
}

// errDry is what a read from memory gives when its input is used up. It is
// temporary, which leaves crypto/tls as it was.
var errDry net.Error = dryError{}

type dryError struct{}

func (dryError) Error() string   { return "tcp: no more input for now" }
func (dryError) Timeout() bool   { return true }
func (dryError) Temporary() bool { return true }

// takeOutput hands over the ciphertext collected in memory; nil: none.
func (s *socket) takeOutput() *[]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.output
	s.output = nil
	return b
}

// pendingOut reports whether there is ciphertext in memory.
func (s *socket) pendingOut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.output != nil
}

// SetWriteDeadline does nothing: it is called by crypto/tls around close_notify
// and would replace the deadline that ends a connection whose peer is stuck.
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

// judge notes why the handshake will fail; the first reason counts.
func (s *socket) judge(f Failure) {
	if !s.judged {
		s.failed, s.judged = f, true
	}
}

// serverConfig returns a copy of base that enforces what WIRE.md section 4 asks for.
func serverConfig(base *tls.Config) *tls.Config {
	t := enforce(base)
	ask := t.GetConfigForClient
	t.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		effective := t
		var chosen *tls.Config
		if ask != nil {
			given, err := ask(hello)
			if err != nil {
				return nil, err
			}
			if given != nil {
				chosen = enforce(given)
				effective = chosen
			}
		}
		return chosen, examine(hello, effective)
	}
	return t
}

func enforce(base *tls.Config) *tls.Config {
	t := base.Clone()
	t.NextProtos = []string{ALPN}
	t.DynamicRecordSizingDisabled = true
	if t.MinVersion == 0 {
		t.MinVersion = tls.VersionTLS13
	}
	return t
}

// examine notes on the socket why the handshake will fail, and refuses a client
// without any ALPN, which crypto/tls would let in.
func examine(hello *tls.ClientHelloInfo, t *tls.Config) error {
	s, ok := hello.Conn.(*socket)
	if !ok {
		return nil
	}
	allowed := func(v uint16) bool { return v >= t.MinVersion && (t.MaxVersion == 0 || v <= t.MaxVersion) }
	switch {
	case !slices.ContainsFunc(hello.SupportedVersions, allowed):
		s.judge(FailedVersion)
	case len(hello.SupportedProtos) == 0:
		// crypto/tls has only internal_error for an error from here.
		_, err := s.Write([]byte{recordAlert, 3, 3, 0, 2, alertFatal, alertNoALPN})
		s.mute = true
		s.judge(FailedALPN)
		return errors.Join(errNoALPN, err)
	case !slices.Contains(hello.SupportedProtos, ALPN):
		s.judge(FailedALPN)
	}
	return nil
}

// handshake waits for the client's first bytes and then does the TLS handshake.
func (c *Conn) handshake() error {
	s := &c.sock
	if err := s.SetDeadline(c.deadline); err != nil {
		return err
	}
	n, err := s.Conn.Read(s.first[:])
	if n == 0 {
		if err == nil {
			err = io.ErrNoProgress
		}
		return err
	}
	s.counters.bytesIn.Add(uint64(n))
	s.have = uint8(n)
	if s.first[0] != recordHandshake {
		return errNotTLS
	}
	c.tls = tls.Server(s, c.l.tls)
	if err := c.tls.Handshake(); err != nil {
		return err
	}
	return s.Conn.SetWriteDeadline(time.Time{})
}

// failure classifies an error of handshake.
func (c *Conn) failure(err error) Failure {
	switch p := c.phase.Load(); {
	case p == dropped:
		return FailedEvicted
	case p == drained:
		return FailedClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return FailedTimeout
	case c.sock.judged:
		return c.sock.failed
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return FailedCertificate
	case errors.Is(err, errNotTLS):
		return FailedTLS
	case isGone(err):
		return FailedEOF
	}
	return FailedTLS
}
